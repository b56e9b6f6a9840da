"""The frozen probe: its features, its random networks and its pixels."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from memory_inputs import MemoryInputs, job_in
from training_sets import shades, squares

from medpt.models.weights import build_encoder_with
from medpt.specs import Probe
from medpt.tasks import pixel_probe
from medpt.tasks.linear import LinearModel
from medpt.units import probe
from medpt.units.probe import PROBE

SPEC = Probe("random", None, "Toy", "data", "resnet18", networks=2)


def test_probe_of_random_networks_reports_mean_and_spread(tmp_path: Path) -> None:
    inputs = MemoryInputs({"data": shades(24, 12, noise=20)})
    metrics = probe.run(SPEC, inputs, job_in(tmp_path))
    with np.load(tmp_path / "out" / PROBE) as stored:
        values = stored["auc"]
    assert values.shape == (2,)
    assert metrics["auc"] == pytest.approx(values.mean())
    assert metrics["auc_std"] == pytest.approx(values.std(ddof=1))
    assert metrics["auc"] > 0.9


def test_network_n_is_the_one_of_its_seed(tmp_path: Path) -> None:
    inputs = MemoryInputs({"data": shades(24, 12)})
    both = probe.run(SPEC, inputs, job_in(tmp_path / "both"))
    alone = [
        probe.run(replace(SPEC, seed=seed, networks=1), inputs, job_in(tmp_path / str(seed)))
        for seed in (0, 1)
    ]
    assert both["auc"] == pytest.approx(np.mean([each["auc"] for each in alone]))
    assert "auc_std" not in alone[0]


def test_training_rows_are_limited_and_the_same_each_time() -> None:
    loader = shades(40, 4)
    rows = probe.fitted_rows(loader, 10)
    assert len(rows) == 10
    assert np.bincount(loader.index.labels[rows]).tolist() == [5, 5]
    np.testing.assert_array_equal(rows, probe.fitted_rows(loader, 10))
    assert len(probe.fitted_rows(loader, 100)) == 40


def test_probe_of_masks_finds_bright_squares(tmp_path: Path) -> None:
    inputs = MemoryInputs({"data": squares(12, 4, ignored=True)})
    metrics = probe.run(replace(SPEC, networks=1), inputs, job_in(tmp_path))
    assert metrics["miou"] > metrics["background_miou"] + 0.1


def test_pixels_are_classified_as_by_enlarged_maps() -> None:
    """Compare with a model that is applied to the enlarged maps, pixel by pixel."""
    loader = squares(4, 2)
    encoder = build_encoder_with("resnet18", None, 3).eval()
    rng = np.random.default_rng(0)
    model = LinearModel(rng.normal(size=(sum(encoder.channels), 2)), rng.normal(size=2))
    rows = loader.index.rows("test")
    found = pixel_probe.confusions(encoder, loader, rows, model, "cpu")
    with torch.no_grad():
        images, masks = next(iter(loader.scan(rows, 2)))
        maps = pixel_probe._maps(encoder, images)
        big = [F.interpolate(m, masks.shape[1:], mode="bilinear", align_corners=False) for m in maps]
    features = torch.cat(big, 1).permute(0, 2, 3, 1).double().numpy()
    guesses = (features @ model.weights + model.bias).argmax(-1)
    for image in range(2):
        for true in range(2):
            for predicted in range(2):
                count = ((masks[image].numpy() == true) & (guesses[image] == predicted)).sum()
                assert abs(found[image, true, predicted] - count) <= 2  # pixels at the border of float32


def test_pixels_of_an_image_have_the_features_of_its_enlarged_maps() -> None:
    maps = [torch.rand(3, 4, 4), torch.rand(2, 2, 2)]
    y, x = np.mgrid[:8, :8].reshape(2, -1)
    places = torch.from_numpy(np.stack([x, y], 1))
    big = [F.interpolate(m[None], (8, 8), mode="bilinear", align_corners=False)[0] for m in maps]
    expected = torch.cat(big).permute(1, 2, 0).reshape(64, 5)
    torch.testing.assert_close(pixel_probe._sample(maps, places, 8), expected)
