"""SVCCA finds the layers that pre-training changed."""

from pathlib import Path

import numpy as np
import pytest
import torch
from memory_inputs import MemoryInputs, job_in
from training_sets import shades, squares

from medpt.models.weights import random_weights
from medpt.specs import Svcca
from medpt.units import svcca


def test_svcca_tells_a_changed_layer_from_an_unchanged_one(tmp_path: Path) -> None:
    before = random_weights("resnet18", seed=0)
    after = {name: tensor.clone() for name, tensor in before.items()}
    changed = "encoder.layer4.1.conv2.weight"
    after[changed] = torch.randn(after[changed].shape, generator=torch.Generator().manual_seed(1)) * 0.02
    spec = Svcca("source", "w", "resnet18", ("a", "b"), images=16)
    loaders = {"a": shades(size=64), "b": squares(size=64)}
    metrics = svcca.run(spec, MemoryInputs(loaders, before=before, after=after), job_in(tmp_path))
    with np.load(tmp_path / "out" / svcca.SIMILARITY, allow_pickle=False) as file:
        arrays = dict(file)
    assert arrays["layers"][0] == "conv1"
    assert arrays["similarity"][0] == pytest.approx(1, abs=1e-6)
    place = list(arrays["layers"]).index("layer4.1.conv2")
    assert arrays["weights"][place] < 0.1 < 0.99 < arrays["weights"][0]
    assert {len(column) for column in arrays.values()} == {18}
    assert metrics["probe_images"] == 16
