"""Tissue masks against scikit-image, step by step, and on planted thumbnails."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage import color, filters, measure

from medpt.survival import tissue
from medpt.survival.tissue import share, tissue_mask

GLASS, STAINED = (243, 242, 244), (190, 120, 170)


def thumbnail(seed: int, height: int = 90, width: int = 120) -> NDArray[np.uint8]:
    """Blobs of stain of several strengths on glass, with noise."""
    rng = np.random.default_rng(seed)
    stain = np.clip(3 * gaussian_filter(rng.standard_normal((height, width)), 6) * 6, 0, 1)[:, :, None]
    pixels = np.array(GLASS) * (1 - stain) + np.array(STAINED) * stain + rng.normal(0, 3, (height, width, 3))
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def slow_mask(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    hsv = color.rgb2hsv(image)
    saturation = np.rint(hsv[:, :, 1] * 255).astype(np.uint8)
    threshold = max(int(filters.threshold_otsu(saturation)), 0.05 * 255)
    mask = (saturation > threshold) & (hsv[:, :, 2] < 0.95)
    eroded = moved(np.pad(mask, 1, constant_values=True)).all(axis=0)
    opened = np.asarray(moved(np.pad(eroded, 1, constant_values=False)).any(axis=0))
    labels = measure.label(opened, connectivity=2)
    for region in measure.regionprops(labels):
        if region.area < 0.001 * mask.size:
            opened[labels == region.label] = False
    return opened


def moved(padded: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The nine neighbours of every pixel."""
    height, width = padded.shape[0] - 2, padded.shape[1] - 2
    return np.stack([padded[y : y + height, x : x + width] for y in range(3) for x in range(3)])


@pytest.mark.parametrize("seed", range(12))
def test_mask_is_that_of_slow_steps(seed: int) -> None:
    image = thumbnail(seed)
    ours, slow = tissue_mask(image), slow_mask(image)
    assert 0.05 < slow.mean() < 0.95
    assert np.array_equal(ours, slow)


def test_glass_has_no_tissue_and_stain_on_all_of_it_is_found() -> None:
    glass = np.random.default_rng(0).integers(238, 250, (60, 80, 3)).astype(np.uint8)
    assert not tissue_mask(glass).any()
    glass[10:50, 20:60] = STAINED
    assert np.array_equal(np.argwhere(tissue_mask(glass))[[0, -1]], [[10, 20], [49, 59]])
    assert tissue_mask(glass).sum() == 1600


def test_specks_and_threads_go_and_what_is_large_enough_stays() -> None:
    image = np.full((100, 200, 3), GLASS, np.uint8)
    image[5:9, 5:9] = STAINED  # 16 pixels, below 20 = 0.001 of the area
    image[20:25, 5:10] = STAINED  # 25 pixels
    image[40:42, 5:100] = STAINED  # two pixels thick
    found = tissue_mask(image)
    assert found.sum() == 25
    assert found[20:25, 5:10].all()


def test_pen_does_not_set_the_threshold() -> None:
    image = np.full((100, 100, 3), GLASS, np.uint8)
    image[30:80, 30:80] = (228, 190, 214)  # faintly stained
    alone = tissue_mask(image)
    assert alone.sum() == 2500
    image[:, 5:15] = (20, 60, 200)
    found = tissue_mask(image)
    assert np.array_equal(found[:, 20:], alone[:, 20:])
    assert found[:, 5:15].all()
    assert tissue_mask(np.full((9, 9, 3), (20, 60, 200), np.uint8)).all()


def test_saturated_light_is_glass() -> None:
    image = np.full((60, 60, 3), GLASS, np.uint8)
    image[:, :30] = (255, 160, 200)  # V of 1
    assert not tissue_mask(image).any()
    image[:, :30] = (235, 147, 184)  # the same hue and saturation, darker
    assert tissue_mask(image)[:, :30].all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 999), st.floats(0, 15), st.floats(0, 11), st.floats(0.1, 5), st.floats(0.1, 5))
def test_share_is_that_of_the_pixels_touched(
    seed: int, left: float, top: float, width: float, height: float
) -> None:
    mask = np.random.default_rng(seed).random((16, 20)) < 0.5
    touched = [
        mask[y, x]
        for y in range(16)
        for x in range(20)
        if y + 1 > int(top) and y < top + height and x + 1 > int(left) and x < left + width
    ]
    assert share(mask, (left, top, left + width, top + height)) == pytest.approx(np.mean(touched))


def test_constants_are_those_of_the_specification() -> None:
    assert (tissue.LEAST_SATURATION, tissue.BRIGHT, tissue.OPENING, tissue.SPECK) == (0.05, 0.95, 3, 0.001)
