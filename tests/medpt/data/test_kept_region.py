"""Masks of prepared images at the size of the original."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from medpt.data.kept_region import KeptRegion, kept_region
from medpt.data.preprocess import OPERATIONS, preprocess_pair, steps

PIPELINES = (
    "resize(16)",
    "crop_fundus(10)|resize(16)|clahe(2,8)",
    "crop_dermoscopy(10)|resize(16)",
    "crop_xray()|resize(16)|clahe(2,8)",
    "crop_white(250)|resize(16)",
    "roi(30)|resize(16)",
)


def picture(seed: int, height: int, width: int) -> NDArray[np.uint8]:
    """A bright textured box on black with a white corner, so that every crop has something to cut."""
    rng = np.random.default_rng(seed)
    image = np.zeros((height, width, 3), np.uint8)
    top, left = rng.integers(0, 6, 2)
    inner = image[top : height - 4, left : width - 3]
    inner[:] = rng.integers(60, 240, inner.shape)
    image[:5, :5] = 255
    return image


@pytest.mark.parametrize("pipeline", PIPELINES)
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 99),
    height=st.integers(32, 80),
    width=st.integers(32, 80),
    centre=st.tuples(st.integers(0, 31), st.integers(0, 31)),
)
def test_restored_mask_is_prepared_to_what_was_predicted(
    pipeline: str, seed: int, height: int, width: int, centre: tuple[int, int]
) -> None:
    image = picture(seed, height, width)
    predicted = np.random.default_rng(seed).integers(0, 4, (16, 16)).astype(np.uint8)
    region = kept_region(image, pipeline, centre)
    whole = region.restore(predicted)
    assert whole.shape == (height, width)
    _, again = preprocess_pair(image, whole, pipeline, centre)
    _, is_inside = preprocess_pair(image, np.ones((height, width), np.uint8), pipeline, centre)
    assert again is not None
    np.testing.assert_array_equal(again, np.where(is_inside, predicted, 0))


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_region_is_what_the_pipeline_cuts(pipeline: str) -> None:
    image, centre = picture(3, 50, 70), (4.0, 45.0)
    region, pixels = kept_region(image, pipeline, centre), image
    for name, arguments in steps(pipeline):
        if name == "resize":
            break
        pixels, _ = OPERATIONS[name].apply(pixels, None, *arguments, *((centre,) if name == "roi" else ()))
    assert (region.height, region.width) == pixels.shape[:2]
    top, left = max(0, region.top), max(0, region.left)
    inner = image[top : region.top + region.height, left : region.left + region.width]
    cut = pixels[top - region.top :, left - region.left :][: inner.shape[0], : inner.shape[1]]
    outside_white = cut.any(-1) if pipeline.startswith("crop_white") else np.ones(cut.shape[:2], bool)
    np.testing.assert_array_equal(cut[outside_white], inner[outside_white])


def test_square_outside_the_image_restores_background() -> None:
    region = KeptRegion(left=40, top=40, width=8, height=8, image_width=40, image_height=40)
    assert not region.restore(np.ones((4, 4), np.uint8)).any()
