from pathlib import Path

import numpy as np
import pytest
import torch
from bags import tiny_encoder

from medpt.errors import DivergedError
from medpt.models.registry import build_encoder
from medpt.survival import features

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def images(n: int, side: int = 32) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (n, side, side, 3)).astype(np.uint8)


@pytest.mark.parametrize(("backbone", "width"), [("resnet18", 512), ("densenet121", 1024)])
def test_features_are_the_positive_last_map_averaged_one_image_at_a_time(backbone: str, width: int) -> None:
    torch.manual_seed(0)
    encoder, pixels = build_encoder(backbone), images(3, 64)
    found = features.extract(encoder, pixels)
    assert (found.shape, found.dtype) == ((3, width), np.float16)
    for row, image in zip(found, pixels, strict=True):
        normalised = ((image / 255 - MEAN) / STD).transpose(2, 0, 1)[None]
        with torch.no_grad():
            last = encoder(torch.from_numpy(normalised).float())[-1][0].numpy()
        np.testing.assert_allclose(row, np.maximum(last, 0).mean((1, 2)), rtol=2e-3, atol=1e-4)


def test_more_than_one_batch_from_a_file(tmp_path: Path) -> None:
    pixels = images(2 * features.BATCH + 3)
    np.save(tmp_path / "images.npy", pixels)
    found = features.extract(tiny_encoder(), np.load(tmp_path / "images.npy", mmap_mode="r"))
    one_by_one = [features.extract(tiny_encoder(), pixels[row : row + 1])[0] for row in (0, 64, 127, 130)]
    np.testing.assert_allclose(found[[0, 64, 127, 130]], one_by_one, rtol=2e-3, atol=1e-4)


def test_random_network_takes_its_statistics_from_one_pass_over_the_training_patches() -> None:
    pixels, rows = images(300), np.arange(100, 300)
    encoder = tiny_encoder()
    convolution, norm = encoder.layers[0][0], encoder.layers[0][1]  # type: ignore[index]
    features.extract(encoder, pixels, settle_on=features.settling_rows(rows, 4))
    drawn = _drawn(rows, 4)
    with torch.no_grad():
        outputs = [
            convolution(features.load(pixels, drawn[start : start + 64], "cpu")) for start in (0, 64, 128)
        ]
    means, variances = zip(*((x.mean((0, 2, 3)), x.var((0, 2, 3))) for x in outputs), strict=True)
    torch.testing.assert_close(norm.running_mean, torch.stack(means).mean(0))
    torch.testing.assert_close(norm.running_var, torch.stack(variances).mean(0))
    assert (norm.momentum, norm.training, int(norm.num_batches_tracked)) == (0.1, False, 3)


def _drawn(rows: np.ndarray, seed: int) -> np.ndarray:
    from medpt.identity import stream_seed

    return np.random.default_rng(stream_seed(seed, "settle")).permutation(rows)


def test_batches_of_one_slide_have_less_spread_than_mixed_ones() -> None:
    """Slides differ in brightness; in their order, each fills a batch of its own."""
    shades = np.repeat(np.linspace(20, 230, 4), features.BATCH)[:, None, None, None]
    pixels = (shades + np.random.default_rng(0).normal(0, 5, (len(shades), 16, 16, 3))).astype(np.uint8)
    variances = []
    for shuffled in (False, True):
        encoder = tiny_encoder()
        features.extract(
            encoder, pixels, settle_on=features.settling_rows(np.arange(len(pixels)), 0, shuffled)
        )
        variances.append(float(encoder.layers[0][1].running_var.mean()))  # type: ignore[index, union-attr]
    assert variances[1] > 4 * variances[0]


def test_at_most_so_many_patches_settle_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "SETTLING_PATCHES", 128)
    encoder = tiny_encoder()
    features.extract(encoder, images(300), settle_on=features.settling_rows(np.arange(300), 0))
    assert int(encoder.layers[0][1].num_batches_tracked) == 2  # type: ignore[index]


def test_settling_changes_features_and_trained_statistics_stay() -> None:
    pixels = images(20)
    trained = tiny_encoder()
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    plain = features.extract(trained, pixels)
    assert all(torch.equal(value, before[name]) for name, value in trained.state_dict().items())
    settled = features.extract(tiny_encoder(), pixels, settle_on=np.arange(20))
    assert np.abs(settled.astype(float) - plain).max() > 0.1
    again = features.extract(tiny_encoder(), pixels, settle_on=np.arange(20))
    np.testing.assert_array_equal(settled, again)


def test_features_beyond_float16_are_refused() -> None:
    encoder = tiny_encoder()
    torch.nn.init.constant_(encoder.layers[2][1].weight, 1e7)  # type: ignore[index]
    with pytest.raises(DivergedError, match="float16"):
        features.extract(encoder, images(2))
