"""Where an optic disc is, and what is cut around it, against slow readings of their definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from medpt.data import optic_disc
from medpt.data.crops import crop_fundus, crop_square, fundus_square
from medpt.data.optic_disc import Frame
from medpt.data.preprocess import canonical, preprocess, preprocess_pair, roi_pipeline, roi_side, steps
from medpt.errors import InputError


def naive_square(image: np.ndarray, side: int, centre: tuple[float, float]) -> np.ndarray:
    """Pixel by pixel: what lies within half a side of the middle, black outside of the image."""
    left, top = (int(np.floor(place + 0.5 - (side - 1) / 2)) for place in centre)
    found = np.zeros((side, side, *image.shape[2:]), image.dtype)
    for y in range(side):
        for x in range(side):
            if 0 <= top + y < image.shape[0] and 0 <= left + x < image.shape[1]:
                found[y, x] = image[top + y, left + x]
    return found


@given(
    *(st.integers(1, 24), st.integers(1, 24), st.integers(2, 31)),
    *(st.integers(0, 96), st.integers(0, 96), st.integers(0, 99)),
)
@settings(max_examples=150, deadline=None)
def test_square_is_cut_and_padded_pixel_by_pixel(
    height: int, width: int, side: int, across: int, down: int, seed: int
) -> None:
    image = np.random.default_rng(seed).integers(1, 255, (height, width, 3)).astype(np.uint8)
    centre = min(across / 4, width - 1), min(down / 4, height - 1)
    cut, mask = crop_square(image, image[:, :, 1].copy(), side, centre)
    assert np.array_equal(cut, naive_square(image, side, centre))
    assert mask is not None
    assert np.array_equal(mask, cut[:, :, 1])


def marked(height: int, width: int, x: int, y: int) -> np.ndarray:
    """A bright field with a black frame around it, and one pixel of pure green."""
    image = np.zeros((height, width, 3), np.uint8)
    image[10:-6, 20:-14] = (90, 40, 40)
    image[y, x] = (90, 255, 40)
    return image


@pytest.mark.parametrize(("height", "width"), [(120, 200), (200, 120), (150, 150)])
@pytest.mark.parametrize(
    "pipeline", ["crop_fundus|resize(600)", "resize(600)", "crop_fundus(10)|resize(600)|clahe"]
)
def test_place_is_found_again_in_the_photograph(height: int, width: int, pipeline: str) -> None:
    for x, y in ((25, 15), (width // 2, height // 3), (width - 20, height - 10)):
        image = marked(height, width, x, y)
        small = preprocess(image, pipeline.replace("|clahe", ""))
        green = np.maximum(small[:, :, 1].astype(float) - 40, 0)
        down, across = ndimage.center_of_mass(green)
        back = optic_disc.frame(image, pipeline).original((across, down))
        assert back == pytest.approx((x, y), abs=0.2)


def test_square_of_a_fundus_is_the_one_that_is_cropped() -> None:
    image = marked(120, 200, 60, 50)
    left, top, side = fundus_square(image, 10)
    assert crop_fundus(image, None, 10)[0].shape == (side, side, 3)
    assert (left, side) == (20, 166)
    assert top == 10 - (166 - 104) // 2


def test_other_cuts_have_no_way_back() -> None:
    with pytest.raises(InputError, match="takes crop_fundus, resize and clahe, not crop_xray"):
        optic_disc.frame(np.zeros((9, 9, 3), np.uint8), "crop_xray|resize(8)")


@given(st.integers(0, 2**32), st.floats(0.2, 0.8))
@settings(max_examples=100, deadline=None)
def test_middle_is_that_of_the_largest_component_without_holes(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    blobs = ndimage.gaussian_filter(rng.random((40, 50)), 2)
    found = blobs > np.quantile(blobs, share)
    labels, count = ndimage.label(found, np.ones((3, 3)))
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    middle = optic_disc.centre(found)
    fillings = [ndimage.binary_fill_holes(labels == n + 1) for n in np.flatnonzero(areas == areas.max())]
    assert any(middle == pytest.approx(ndimage.center_of_mass(filled)[::-1]) for filled in fillings)


def test_vessel_across_the_disc_and_a_lesion_beside_it_do_not_move_it() -> None:
    y, x = np.mgrid[:100, :100]
    whole = np.hypot(x - 61, y - 40) < 15
    found = whole & ~((abs(x - 66) < 3) & (abs(y - 40) < 9))
    found |= np.hypot(x - 15, y - 80) < 9
    assert optic_disc.centre(found) == pytest.approx((61, 40))
    assert optic_disc.centre(np.zeros((9, 9), bool)) is None


def test_without_a_network_s_disc_the_brightest_blur_counts_and_no_speck() -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:128, :128]
    image = np.zeros((128, 128, 3), np.uint8)
    image[:, :, 0] = (
        90 + rng.integers(0, 30, (128, 128)) + 80 * np.exp(-((x - 92) ** 2 + (y - 50) ** 2) / 200)
    )
    image[20, 20] = 255
    image[:, :, 1] = 255 - image[:, :, 0]
    assert optic_disc.brightest(image) == pytest.approx((92, 50), abs=1.5)


def test_training_images_are_cut_a_little_beside_always_alike() -> None:
    moved = np.array([optic_disc.shaken((100.0, 50.0), f"image {n}", 640) for n in range(400)]) - (100, 50)
    assert (moved == np.rint(moved)).all()
    assert moved.min() == -16
    assert moved.max() == 16
    assert abs(moved.mean()) < 1
    assert optic_disc.shaken((1.0, 2.0), "a", 640) == optic_disc.shaken((1.0, 2.0), "a", 640)


def test_pipeline_cuts_first_and_needs_a_place() -> None:
    pipeline = roi_pipeline(64, 32)
    assert pipeline == "roi(64)|resize(32)|clahe(2,8)"
    assert (roi_side(pipeline), roi_side("resize(8)")) == (64, None)
    assert steps(pipeline)[0] == ("roi", (64,))
    image = np.random.default_rng(0).integers(0, 255, (90, 90, 3)).astype(np.uint8)
    cut, mask = preprocess_pair(image, image[:, :, 0].copy(), "roi(32)|resize(32)", (40.0, 30.0))
    assert np.array_equal(cut, naive_square(image, 32, (40, 30)))
    assert mask is not None
    assert np.array_equal(mask, cut[:, :, 0])
    with pytest.raises(InputError, match=r"roi needs the place of the optic disc.*space file"):
        preprocess(image, pipeline)
    with pytest.raises(InputError, match="roi after another operation"):
        canonical("crop_fundus|roi(64)|resize(32)")


def test_frame_maps_corners_to_corners() -> None:
    view = Frame(left=-10, top=5, width=200, height=100, size=50)
    assert view.original((-0.5, -0.5)) == (-10.5, 4.5)
    assert view.original((49.5, 49.5)) == (189.5, 104.5)
