"""Candidates, the rules of a valid patch against slow ones, and a focus that test patients do not set."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from medpt.data.decode import read_image
from medpt.errors import InputError
from medpt.phantom.paint import stream
from medpt.phantom.tnbc import tile
from medpt.survival import patches
from medpt.survival.patches import PatchOptions, candidates, fault, finish, focus, in_focus, options_of

INKS = {"blue": (20, 60, 200), "navy": (10, 30, 120), "green": (30, 140, 60), "black": (25, 20, 30)}


def stained(seed: int = 0, side: int = 128) -> NDArray[np.uint8]:
    return tile(stream(seed, "test"), side, 1.0)[0]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 900), st.integers(0, 900), st.integers(8, 200), st.integers(1, 60), st.integers(0, 9))
def test_candidates_lie_on_the_grid_once_each_in_the_order_of_reading(
    width: int, height: int, side: int, count: int, seed: int
) -> None:
    found = candidates(width, height, side, count, seed, "a.svs")
    assert len(found) == min(count, (width // side) * (height // side))
    assert (found % side == 0).all()
    assert ((found >= 0) & (found + side <= [width, height])).all()
    rows = [(y, x) for x, y in found.tolist()]
    assert rows == sorted(set(rows))


def test_candidates_are_uniform_and_of_the_slide_and_the_seed() -> None:
    drawn = [candidates(500, 400, 100, 5, 0, f"{n}.svs") for n in range(800)]
    counts = np.zeros((4, 5))
    for corners in drawn:
        np.add.at(counts, (corners[:, 1] // 100, corners[:, 0] // 100), 1)
    assert abs(counts - 200).max() < 60  # 200 are expected in each of 20 cells, with a deviation of 12
    assert len({corners.tobytes() for corners in drawn}) > 700
    again = candidates(500, 400, 100, 5, 0, "0.svs")
    assert np.array_equal(again, drawn[0])
    assert not np.array_equal(candidates(500, 400, 100, 5, 1, "0.svs"), drawn[0])


@pytest.mark.parametrize("ink", INKS)
@pytest.mark.parametrize(("rows", "expected"), [(6, None), (7, "pen")])
def test_more_than_a_twentieth_of_ink_is_pen(ink: str, rows: int, expected: str | None) -> None:
    patch = stained()
    assert patches.pen_share(patch) == 0
    patch[:rows] = INKS[ink]
    assert patches.pen_share(patch) == pytest.approx(rows / 128)
    assert fault(patch) == expected


def test_what_has_no_contrast_is_blank() -> None:
    rng = np.random.default_rng(0)
    for deviation, expected in ((9, "blank"), (11, None)):
        grey = np.clip(rng.normal(200, deviation, (128, 128, 1)), 0, 255)
        patch = np.repeat(np.rint(grey).astype(np.uint8), 3, axis=2)
        assert abs(patch[:, :, 0].std() - deviation) < 0.7
        assert fault(patch) == expected


@pytest.mark.real
def test_real_h_and_e_is_valid_until_somebody_draws_on_it(real: Path) -> None:
    images = [path for path in (real / "derived" / "TNBC").rglob("*") if path.suffix in (".png", ".jpg")]
    found = [image for path in images if (image := read_image(path)).ndim == 3 and np.ptp(image) > 100]
    coloured = [image for image in found if (image[:, :, 0] != image[:, :, 1]).mean() > 0.5]
    assert len(coloured) >= 4
    for image in coloured:
        assert fault(image) is None
        image[: len(image) // 10] = INKS["blue"]
        assert fault(image) == "pen"


def slow_focus(patch: NDArray[np.uint8]) -> float:
    grey = np.rint(patch @ np.array([0.299, 0.587, 0.114]))
    grey = np.pad(grey, 1, mode="reflect")
    middle = grey[1:-1, 1:-1]
    return float((grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * middle).var())


def test_focus_is_the_variance_of_the_laplacian_and_falls_with_blur() -> None:
    for seed in range(4):
        patch = stained(seed)
        blurred = np.rint(gaussian_filter(patch.astype(float), (2, 2, 0))).astype(np.uint8)
        assert focus(patch) == pytest.approx(slow_focus(patch), rel=0.01)
        assert focus(blurred) < 0.3 * focus(patch)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 999), st.integers(2, 60))
def test_threshold_of_focus_is_of_training_patches_alone(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    values, training = rng.exponential(100, count), rng.random(count) < 0.7
    training[0] = True
    kept = in_focus(values, training)
    own = np.sort(values[training])
    place = 0.02 * (len(own) - 1)
    threshold = np.interp(place, np.arange(len(own)), own)
    assert np.array_equal(kept, values >= threshold)
    values[~training] = rng.exponential(1e6, count)[~training]
    assert np.array_equal(in_focus(values, training)[training], kept[training])


def test_focus_without_training_patches_is_refused() -> None:
    with pytest.raises(InputError, match="no patch of a training patient"):
        in_focus(np.ones(3), np.zeros(3, bool))


def test_box_is_halved_as_the_mean_of_four_and_equalised_only_if_asked() -> None:
    box = stained(side=64)
    small = finish(box, PatchOptions(box=64, size=32))
    means = box.reshape(32, 2, 32, 2, 3).mean(axis=(1, 3))
    assert np.abs(small - means).max() <= 1
    assert not np.array_equal(finish(box, PatchOptions(box=64, size=32, clahe=True)), small)


def test_options_of_a_dataset_and_their_mistakes() -> None:
    assert options_of("TCGA-LGG", {}) == PatchOptions(200, 512, 256, False)
    assert options_of("TCGA-GBM", {}) == PatchOptions(candidates=223)
    assert options_of("TCGA-GBM", {"candidates": 9, "box": 64}) == PatchOptions(9, 64)
    with pytest.raises(InputError) as caught:
        options_of("TCGA-GBM", {"boxes": 64, "tissue": 0.1})
    assert "patches: unknown key `boxes`; did you mean box?" in str(caught.value)
    assert len(caught.value.problems) == 2
    with pytest.raises(InputError) as caught:
        options_of("TCGA-GBM", {"box": 64.0, "size": 0, "clahe": 1})
    assert len(caught.value.problems) == 3
    assert "patches: `size` is 0; a whole number from 8 is accepted" in str(caught.value)
