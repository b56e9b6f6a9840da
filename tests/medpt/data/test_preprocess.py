"""Every operation against a slow or independent oracle, and the language of pipelines."""

from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from medpt.data import preprocess
from medpt.data.decode import opencv
from medpt.data.preprocess import (
    FIRST,
    clahe,
    crop_dermoscopy,
    crop_fundus,
    crop_xray,
    default_pipeline,
    percentile,
    preprocess_pair,
    resize,
    window,
)
from medpt.errors import InputError

RNG = np.random.default_rng(7)


def natural(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth structure and noise, grey."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    base = 90 + 60 * np.sin(x / 17 + rng.uniform(0, 3)) * np.cos(y / 23) + 40 * (x > width / 2)
    return np.clip(base + rng.normal(0, 12, base.shape), 0, 255).astype(np.uint8)


def largest_box(foreground: np.ndarray) -> tuple[int, int, int, int] | None:
    """Top, bottom, left, right of the largest 8-connected component, by flooding."""
    seen = np.zeros_like(foreground)
    best: list[tuple[int, int]] = []
    for start in zip(*np.nonzero(foreground), strict=True):
        if seen[start]:
            continue
        seen[start] = True
        component, queue = [], deque([start])
        while queue:
            r, c = queue.popleft()
            component.append((r, c))
            for p in [(r + i, c + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]:
                inside = 0 <= p[0] < foreground.shape[0] and 0 <= p[1] < foreground.shape[1]
                if inside and foreground[p] and not seen[p]:
                    seen[p] = True
                    queue.append(p)
        best = max(best, component, key=len)
    if not best:
        return None
    rows, columns = zip(*best, strict=True)
    return min(rows), max(rows) + 1, min(columns), max(columns) + 1


@given(arrays.arrays(np.bool_, st.tuples(st.integers(2, 12), st.integers(2, 12))), st.integers(0, 2))
@settings(max_examples=60, deadline=None)
def test_bright_box_is_that_of_the_largest_component(foreground: np.ndarray, channel: int) -> None:
    image = np.full((*foreground.shape, 3), 10, np.uint8)
    image[foreground, channel] = 11
    cropped, _ = crop_dermoscopy(image, None, 10)
    box = largest_box(foreground)
    height, width = foreground.shape
    if box is None or box[1] - box[0] < 0.3 * height or box[3] - box[2] < 0.3 * width:
        box = (0, height, 0, width)
    areas = np.unique(foreground)  # components of equal size may tie: then only the area can be compared
    if areas.size and not _ties(foreground):
        assert np.array_equal(cropped, image[box[0] : box[1], box[2] : box[3]])


def _ties(foreground: np.ndarray) -> bool:
    from scipy.ndimage import label

    parts, count = label(foreground, np.ones((3, 3)))
    sizes = np.bincount(parts.ravel())[1:]
    return count > 1 and int((sizes == sizes.max()).sum()) > 1


def test_fundus_is_cropped_to_the_disc_and_padded_square_with_its_mask() -> None:
    y, x = np.mgrid[:60, :100]
    disc = ((x - 50) / 30) ** 2 + ((y - 30) / 40) ** 2 < 1  # wider than the frame is high
    image = np.where(disc[:, :, None], 120, 3).astype(np.uint8).repeat(3, 2)
    image[2, 2] = 255  # dust outside the field of view
    image[30, 50] = 200
    mask = np.zeros((60, 100), np.uint8)
    mask[30, 50] = 1
    found, found_mask = crop_fundus(image, mask, 10)
    columns = np.flatnonzero(disc.any(axis=0))
    side = max(60, columns[-1] + 1 - columns[0])
    assert found.shape == (side, side, 3)
    assert found_mask is not None
    assert found_mask.shape == (side, side)
    assert np.array_equal(np.argwhere(found_mask == 1), np.argwhere(found[:, :, 0] == 200))
    assert (found_mask == 1).sum() == 1


def test_xray_border_is_trimmed_and_never_more_than_a_quarter() -> None:
    image = natural(80, 100)
    image[:, :11] = 200  # bright and flat
    image[:7], image[-3:] = 2, 2  # dark
    mask = np.arange(8000, dtype=np.uint16).reshape(80, 100).astype(np.uint8)
    found, found_mask = crop_xray(image, mask)
    kept = [n for n in range(80) if image[n].mean() >= 8 and image[n].std() >= 4]
    columns = [n for n in range(100) if image[7:77, n].mean() >= 8 and image[7:77, n].std() >= 4]
    box = slice(kept[0], kept[-1] + 1), slice(columns[0], columns[-1] + 1)
    assert (kept[0], kept[-1], columns[0], columns[-1]) == (7, 76, 11, 99)
    assert np.array_equal(found, image[box])
    assert found_mask is not None
    assert np.array_equal(found_mask, mask[box])
    dark = image.copy()
    dark[:60] = 0
    assert crop_xray(dark, None)[0].shape[0] == 80 - 20 - 3
    assert crop_xray(np.zeros((40, 40), np.uint8), None)[0].shape == (40, 40)


def test_window_is_linear_between_its_ends() -> None:
    units = np.array([[-1024, -160, -60, 40, 240, 3071]], np.int16)
    assert window(units, None, -160, 240)[0].tolist() == [[0, 0, 64, 128, 255, 255]]


def test_percentile_stretches_and_takes_constant_images() -> None:
    image = RNG.integers(0, 4000, (50, 50)).astype(np.int16)
    found = percentile(image, None, 1, 99)[0]
    low, high = np.percentile(image, [1, 99])
    expected = np.clip((image - low) / (high - low) * 255, 0, 255)
    assert np.abs(found - expected).max() <= 0.51
    assert not percentile(np.full((4, 4), 7, np.uint8), None, 1, 99)[0].any()


@pytest.mark.parametrize(("height", "width", "size"), [(7, 9, 4), (30, 50, 16), (5, 5, 11), (64, 48, 32)])
def test_resize_is_bilinear_on_aligned_centres_and_nearest_for_masks(
    height: int, width: int, size: int
) -> None:
    image, mask = natural(height, width), RNG.integers(0, 200, (height, width), np.uint8)
    found, found_mask = resize(image, mask, size)
    assert found_mask is not None
    for r in range(size):
        for c in range(size):
            y, x = (r + 0.5) * height / size - 0.5, (c + 0.5) * width / size - 0.5
            y0, x0 = int(np.floor(y)), int(np.floor(x))
            corners = [
                image[min(max(i, 0), height - 1), min(max(j, 0), width - 1)]
                * (1 - abs(y - i))
                * (1 - abs(x - j))
                for i in (y0, y0 + 1)
                for j in (x0, x0 + 1)
            ]
            assert abs(found[r, c] - sum(corners)) <= 1
            rows, columns = ([int(np.floor(v + 0.5)), int(np.ceil(v - 0.5))] for v in (y, x))  # ties: either
            assert found_mask[r, c] in mask[rows][:, columns]


def slow_clahe(image: np.ndarray, clip: float, tiles: int) -> np.ndarray:
    """CLAHE in plain Python, for sides that `tiles` divides: bilinear between maps of clipped histograms."""
    high, wide = image.shape[0] // tiles, image.shape[1] // tiles
    limit = max(1, int(clip * high * wide / 256))
    maps = np.zeros((tiles, tiles, 256))
    for i in range(tiles):
        for j in range(tiles):
            counts = np.bincount(
                image[i * high : (i + 1) * high, j * wide : (j + 1) * wide].ravel(), minlength=256
            )
            excess = int(np.maximum(counts - limit, 0).sum())
            counts = np.minimum(counts, limit) + excess // 256
            rest = excess % 256
            step = max(1, 256 // rest) if rest else 1
            for level in list(range(0, 256, step))[:rest]:
                counts[level] += 1
            maps[i, j] = np.clip(np.rint(np.cumsum(counts) * 255 / (high * wide)), 0, 255)
    result = np.zeros(image.shape)
    for r in range(image.shape[0]):
        for c in range(image.shape[1]):
            y, x = r / high - 0.5, c / wide - 0.5
            i, j = int(np.floor(y)), int(np.floor(x))
            for m, a in ((i, 1 - (y - i)), (i + 1, y - i)):
                for n, b in ((j, 1 - (x - j)), (j + 1, x - j)):
                    tile = maps[min(max(m, 0), tiles - 1), min(max(n, 0), tiles - 1)]
                    result[r, c] += a * b * tile[image[r, c]]
    return np.rint(result)


@pytest.mark.parametrize(("clip", "tiles", "seed"), [(2.0, 8, 0), (2.0, 4, 1), (40.0, 8, 2), (0.5, 2, 3)])
def test_clahe_of_grey_agrees_with_the_oracle(clip: float, tiles: int, seed: int) -> None:
    image = natural(96, 128, seed)
    found = clahe(image, None, clip, tiles)[0]
    assert np.abs(found - slow_clahe(image, clip, tiles)).max() <= 1


def test_clahe_of_colour_is_of_lightness() -> None:
    from skimage.color import lab2rgb, rgb2lab

    image = np.stack([natural(64, 64, n) // 2 + 60 for n in range(3)], axis=2)
    lab = rgb2lab(image)
    lightness = np.rint(lab[:, :, 0] * 255 / 100).astype(np.uint8)
    lab[:, :, 0] = slow_clahe(lightness, 2.0, 8) * 100 / 255
    expected = np.rint(lab2rgb(lab) * 255)
    found = clahe(image, None, 2.0, 8)[0]
    assert np.abs(found - expected).mean() < 2.5  # two conversions to CIELAB, whose rounding CLAHE spreads
    cv2 = opencv()
    own = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    own[:, :, 0] = slow_clahe(own[:, :, 0], 2.0, 8)
    assert np.abs(found - cv2.cvtColor(own, cv2.COLOR_LAB2RGB).astype(int)).max() <= 3


@given(
    image=arrays.arrays(
        np.uint8,
        st.one_of(
            st.tuples(st.integers(2, 40), st.integers(2, 40)),
            st.tuples(st.integers(2, 40), st.integers(2, 40), st.just(3)),
        ),
    ),
    modality=st.sampled_from(sorted(FIRST)),
    size=st.integers(2, 48),
    data=st.data(),
)
@settings(max_examples=120, deadline=None)
def test_any_image_becomes_square_rgb_and_masks_keep_their_values(
    image: np.ndarray, modality: str, size: int, data: st.DataObject
) -> None:
    mask = data.draw(arrays.arrays(np.uint8, image.shape[:2]))
    before = image.copy(), mask.copy()
    pipeline = default_pipeline(modality, size)
    found, found_mask = preprocess_pair(image, mask, pipeline)
    assert found.shape == (size, size, 3)
    assert found.dtype == np.uint8
    assert found_mask is not None
    assert found_mask.shape == (size, size)
    assert found_mask.dtype == np.uint8
    padding = {0} if modality == "fundus" else set()
    assert set(np.unique(found_mask)) <= set(np.unique(mask)) | padding
    assert np.array_equal(image, before[0])
    assert np.array_equal(mask, before[1])
    assert np.array_equal(found, preprocess(image, pipeline))
    if image.ndim == 2:
        assert np.array_equal(found[:, :, 0], found[:, :, 2])


def test_hounsfield_units_need_a_window() -> None:
    units = RNG.integers(-1024, 3000, (40, 40)).astype(np.int16)
    assert preprocess(units, default_pipeline("ct", 32)).shape == (32, 32, 3)
    with pytest.raises(InputError, match="clahe: int16 pixels; accepted: uint8"):
        preprocess(units, default_pipeline("natural"))
    with pytest.raises(InputError, match=r"int16 pixels at the end; begin with window"):
        preprocess(units, "resize(8)")


def test_results_do_not_depend_on_threads() -> None:
    import cv2

    image = np.stack([natural(300, 400, n) for n in range(3)], axis=2)
    once = preprocess(image, default_pipeline("fundus"))
    cv2.setNumThreads(4)
    try:
        assert np.array_equal(preprocess(image, default_pipeline("fundus")), once)
    finally:
        cv2.setNumThreads(1)


@pytest.mark.parametrize("pipeline", [None, 5, 2.5])
def test_pipeline_that_is_no_text_is_refused(pipeline: object) -> None:
    with pytest.raises(InputError, match="accepted: text such as resize"):
        preprocess(np.zeros((8, 8), np.uint8), pipeline)  # type: ignore[arg-type]


def test_mask_of_another_size_is_refused() -> None:
    with pytest.raises(InputError, match=r"mask of 5x4 for an image of 4x4"):
        preprocess_pair(np.zeros((4, 4), np.uint8), np.zeros((4, 5), np.uint8), "resize(4)")


@pytest.mark.parametrize("pipeline", ["resize(8)", "crop_fundus(10)|resize(8)", "crop_white|resize(8)|clahe"])
@pytest.mark.parametrize(
    "image",
    [
        np.zeros((3, 20, 30), np.uint8),
        np.zeros((20, 30, 4), np.uint8),
        np.zeros((20, 30, 2), np.uint8),
        np.zeros((20, 30), bool),
        np.zeros((20, 30, 3), np.float32),
        np.zeros((20, 30), np.int64),
        np.full((20, 30), np.nan, np.float32),
        np.zeros((0, 30), np.uint8),
        np.zeros((70_000, 1), np.uint8),
        np.zeros(30, np.uint8),
    ],
    ids=lambda image: f"{image.dtype}{image.shape}",
)
def test_other_arrays_are_refused(image: np.ndarray, pipeline: str) -> None:
    with pytest.raises(InputError, match=r"accepted|no size|more than"):
        preprocess(image, pipeline)
