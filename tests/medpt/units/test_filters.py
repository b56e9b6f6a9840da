"""The filters of the first layer are described before and after pre-training."""

from pathlib import Path

import numpy as np
import torch
from memory_inputs import MemoryInputs, job_in

from medpt.models.weights import random_weights
from medpt.specs import Filters
from medpt.units import filters
from medpt.units.base import Tested


def test_filters_are_counted_before_and_after(tmp_path: Path) -> None:
    before = random_weights("resnet18", seed=0)
    after = {name: tensor.clone() for name, tensor in before.items()}
    axis = torch.arange(7) - 3.0
    wave = torch.cos(2 * torch.pi * axis / 4) * torch.exp(-(axis**2) / 8)
    after["encoder.conv1.weight"][:32] = wave * torch.exp(-(axis[:, None] ** 2) / 8)
    inputs = MemoryInputs(before=before, after=after)
    spec = Filters("source", "w", "resnet18")
    metrics = filters.run(spec, inputs, job_in(tmp_path))
    with np.load(tmp_path / "out" / filters.FILTERS, allow_pickle=False) as file:
        arrays = dict(file)
    assert arrays["after gabor"][:32].all()
    assert metrics["gabor_fraction_after"] >= 0.5 > metrics["gabor_fraction_before"]
    found = filters.stored_metrics(spec, {filters.FILTERS: arrays}, Tested((), ""))[filters.FILTERS]
    assert found.items() <= metrics.items()
    assert {"cosine", "relative_change", "anisotropy_after"} <= found.keys()
    assert arrays["after panel"].dtype == np.uint8
    assert np.array_equal(arrays["before"], before["encoder.conv1.weight"].double().numpy())
