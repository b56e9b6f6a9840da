"""Features of images against a loop that gives the encoder one image at a time."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from memory_inputs import MemoryInputs, job_in
from training_sets import shades

from medpt.data.augment import normalise
from medpt.errors import DivergedError
from medpt.models.registry import build_classifier
from medpt.models.weights import ENCODER, build_encoder_with, random_weights
from medpt.normalisation import Normalisation
from medpt.specs import ImageFeatures
from medpt.units import image_features
from medpt.units.features import FEATURES

OWN = Normalisation((0.5,) * 3, (0.25,) * 3)
SPEC = ImageFeatures("source", "weights", "Toy", "data", "resnet18", normalisation=OWN)
WEIGHTS = random_weights("resnet18", 3)


def run(spec: ImageFeatures, folder: Path, inputs: MemoryInputs) -> np.ndarray:
    metrics = image_features.run(spec, inputs, job_in(folder))
    values: np.ndarray = np.load(folder / "out" / FEATURES)
    assert (metrics["images"], metrics["dimensions"]) == values.shape
    return values


def test_features_are_those_of_a_loop_over_images(tmp_path: Path) -> None:
    loader = shades(20, 5)
    found = run(SPEC, tmp_path, MemoryInputs({"data": loader}, after=WEIGHTS))
    encoder = build_encoder_with("resnet18", WEIGHTS).eval()
    with torch.no_grad():
        expected = [
            encoder(normalise(image, OWN))[-1][0].mean(dim=(1, 2)).numpy()
            for image, _ in loader.scan(np.arange(25), 1)
        ]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_linear_layer_of_a_classifier_gets_these_features(tmp_path: Path) -> None:
    """So a linear probe and a fine-tuning start from the same numbers."""
    loader = shades(6, 2)
    found = run(SPEC, tmp_path, MemoryInputs({"data": loader}, after=WEIGHTS))
    model = build_classifier("resnet18", 2).eval()
    model.encoder.load_state_dict({name.removeprefix(ENCODER): t for name, t in WEIGHTS.items()})  # type: ignore[union-attr]
    images, _ = next(iter(loader.scan(np.arange(8), 8)))
    with torch.no_grad():
        expected = model(normalise(images, OWN))
        logits = model.logits(torch.from_numpy(found))  # type: ignore[operator]
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


def test_random_networks_differ_by_seed_and_settle_on_training_images(tmp_path: Path) -> None:
    spec = replace(SPEC, initialization="random", weights=None, normalisation=None)
    loader = shades(20, 5)
    inputs = MemoryInputs({"data": loader})
    first, again, other = (
        run(replace(spec, seed=seed), tmp_path / name, inputs)
        for name, seed in (("first", 0), ("again", 0), ("other", 1))
    )
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
    assert sorted(image_features.settling_rows(loader)) == list(range(20))


def test_bfloat16_rounds_the_features(tmp_path: Path) -> None:
    inputs = MemoryInputs({"data": shades(4, 2)}, after=WEIGHTS)
    full = run(SPEC, tmp_path / "fp32", inputs)
    rounded = run(replace(SPEC, precision="bf16"), tmp_path / "bf16", inputs)
    assert not np.array_equal(full, rounded)
    np.testing.assert_allclose(full, rounded, atol=0.1 * np.abs(full).max())


def test_features_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    broken = {name: tensor * float("inf") if tensor.ndim == 4 else tensor for name, tensor in WEIGHTS.items()}
    with pytest.raises(DivergedError, match="not a finite number"):
        run(SPEC, tmp_path, MemoryInputs({"data": shades(4, 2)}, after=broken))
