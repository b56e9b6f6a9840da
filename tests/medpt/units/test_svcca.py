"""SVCCA finds the layers that pre-training changed."""

from pathlib import Path

import numpy as np
import pytest
import torch
from memory_inputs import MemoryInputs, job_in
from training_sets import shades, squares

from medpt.analysis.activations import layer_similarities
from medpt.models.weights import build_encoder_with, random_weights
from medpt.specs import Svcca
from medpt.units import svcca
from medpt.units.base import Weights, sample_training_images


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


def test_published_weights_are_compared_with_the_mean_of_fresh_networks(tmp_path: Path) -> None:
    """Slowly: one network after the other, by a unit of its own."""

    class Fresh(MemoryInputs):
        def initial_weights(self, spec: Svcca) -> Weights:  # type: ignore[override]
            return random_weights("resnet18", spec.seed)

    inputs = Fresh({"a": shades(size=32)}, after=random_weights("resnet18", seed=9))
    spec = Svcca("imagenet*", "w", "resnet18", ("a",), images=8, seed=3, fresh=2)
    svcca.run(spec, inputs, job_in(tmp_path))
    with np.load(tmp_path / "out" / svcca.SIMILARITY, allow_pickle=False) as file:
        found = dict(file)
    probes = sample_training_images(inputs.loaders["a"], 8, "svcca", 3, 0)
    after = build_encoder_with("resnet18", inputs.after).eval()
    slow = [
        layer_similarities(
            build_encoder_with("resnet18", random_weights("resnet18", n)).eval(), after, probes, seed=3
        )
        for n in (3, 4)
    ]
    values = np.array([[layer.similarity for layer in layers] for layers in slow])
    assert found["similarity"] == pytest.approx(values.mean(0))
    assert found["similarity_std"] == pytest.approx(np.abs(values[0] - values[1]) / np.sqrt(2))
