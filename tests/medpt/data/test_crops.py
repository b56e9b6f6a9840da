"""Crops against slow readings of their definitions, and memory that is kept and given back."""

import ctypes
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medpt.data import crops
from medpt.data.crops import crop_fundus, crop_white, crop_xray


def informative(lines: np.ndarray) -> tuple[int, int]:
    """All lines, by mean and deviation of each: what the fast one must find."""
    good = [n for n, line in enumerate(lines.astype(float)) if line.mean() >= 8 and line.std() >= 4]
    limit = int(0.25 * len(lines))
    first, last = (good[0], good[-1] + 1) if good else (0, len(lines))
    return min(first, limit), max(last, len(lines) - limit)


def naive_xray(grey: np.ndarray) -> np.ndarray:
    top, bottom = informative(grey)
    left, right = informative(grey[top:bottom].T)
    return grey[top:bottom, left:right]


@st.composite
def radiographs(draw: st.DrawFn) -> np.ndarray:
    """Noise with borders that are dark or flat, of any width, up to an image that is nothing else."""
    height, width = draw(st.integers(1, 150)), draw(st.integers(1, 150))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    image = rng.integers(0, draw(st.sampled_from([6, 13, 256])), (height, width)).astype(np.uint8)
    for axis in (0, 1):
        for end in (1, -1):
            lines = np.moveaxis(image, axis, 0)[::end]
            lines[: draw(st.integers(0, len(lines)))] = draw(st.sampled_from([0, 5, 8, 200]))
    return image


@given(radiographs())
@settings(max_examples=150, deadline=None)
def test_borders_of_radiographs_are_those_of_all_lines(image: np.ndarray) -> None:
    assert np.array_equal(crop_xray(image, None)[0], naive_xray(image))


def test_lines_beyond_the_first_strip_are_found() -> None:
    image = np.zeros((200, 220), np.uint8)
    image[37:190, 41:203] = np.random.default_rng(0).integers(0, 256, (153, 162))
    assert crop_xray(image, image)[1].shape == (153, 162)  # type: ignore[union-attr]
    assert crops.STRIP < 37


@pytest.mark.parametrize("threshold", [0, 10, 40.5, 254])
@pytest.mark.parametrize("colour", [True, False])
def test_fundus_is_what_is_bright_in_any_channel(threshold: float, colour: bool) -> None:
    rng = np.random.default_rng(1)
    image = np.zeros((60, 80, 3), np.uint8)
    image[8:50, 20:62, rng.integers(3)] = 255  # a square, so that nothing is padded
    image[:, :, 1] += rng.integers(0, int(threshold) + 1, (60, 80)).astype(np.uint8) * (image[:, :, 1] == 0)
    image = image if colour else image.max(axis=2)
    ys, xs = np.nonzero((image.max(axis=2) if colour else image) > threshold)
    box = image[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
    assert np.array_equal(crop_fundus(image, None, threshold)[0], box)


def naive_white(image: np.ndarray, threshold: float) -> np.ndarray:
    """Labelled components that hold a corner, two pixels wider, by SciPy."""
    from scipy import ndimage

    labels, _ = ndimage.label(image > threshold)
    corners = {int(labels[y, x]) for y in (0, -1) for x in (0, -1)} - {0}
    return ndimage.binary_dilation(np.isin(labels, list(corners)), np.ones((5, 5)))


@given(st.integers(0, 2**32), st.integers(12, 60), st.integers(12, 60), st.sampled_from([250, 254, 99.5]))
@settings(max_examples=80, deadline=None)
def test_white_padding_is_what_joins_a_corner(seed: int, height: int, width: int, threshold: float) -> None:
    rng = np.random.default_rng(seed)
    image = rng.choice(np.array([20, 90, 250, 255], np.uint8), (height, width), p=[0.5, 0.1, 0.2, 0.2])
    image[: rng.integers(0, 8)] = image[:, width - rng.integers(0, 8) :] = 255
    cut, mask = crop_white(image, np.arange(height * width, dtype=np.int64).reshape(height, width), threshold)
    padding = naive_white(image, threshold)
    rows, columns = np.flatnonzero(~padding.all(1)), np.flatnonzero(~padding.all(0))
    if len(rows) and rows[-1] + 1 - rows[0] >= 0.3 * height and columns[-1] + 1 - columns[0] >= 0.3 * width:
        box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert np.array_equal(cut, np.where(padding, 0, image)[box])
        assert mask is not None
        assert np.array_equal(mask, np.arange(height * width).reshape(height, width)[box])
    else:
        assert np.array_equal(cut, image)


@pytest.mark.parametrize("quality", [75, 90])
@pytest.mark.parametrize("degrees", [-25, 7, 20])
def test_corners_of_turned_scans_become_black_and_tissue_stays(degrees: int, quality: int) -> None:
    import cv2

    from medpt.phantom.oct2017 import section
    from medpt.phantom.paint import stream, to_bytes

    scan = np.minimum(to_bytes(section(stream(0, "scan", degrees), 200, 300, "CNV")), 240)
    turn = cv2.getRotationMatrix2D((150, 100), degrees, 1.0)
    turned = cv2.warpAffine(scan, turn, (300, 200), borderValue=(255,))
    outside = cv2.warpAffine(np.zeros_like(scan), turn, (300, 200), borderValue=(255,)) == 255
    stored = cv2.imdecode(cv2.imencode(".jpg", turned, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 0)
    assert stored[outside].mean() > 250
    cut, _ = crop_white(stored, None, 250)
    assert cut.shape == stored.shape
    assert (cut[outside] == 0).mean() > 0.985  # slivers that JPEG severs stay
    inside = ~cv2.dilate(outside.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)
    assert np.array_equal(cut[inside], stored[inside])
    assert np.array_equal(crop_white(np.repeat(stored[:, :, None], 3, 2), None, 250)[0][:, :, 1], cut)


def test_bright_tissue_at_the_border_is_no_padding_and_a_white_image_stays() -> None:
    image = np.full((50, 80), 30, np.uint8)
    image[20:30] = 255
    assert np.array_equal(crop_white(image, None, 250)[0], image)
    white = np.full((50, 80), 255, np.uint8)
    assert np.array_equal(crop_white(white, None, 250)[0], white)
    image[:12] = 255
    assert crop_white(image, None, 250)[0].shape == (36, 80)  # twelve rows of padding and the seam


MEMORY = """
import numpy as np
from pathlib import Path
from medpt.data.glibc_memory import kept

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

size = 96 * 2**20
np.ones(size, np.uint8)
before = resident()
with kept():
    np.ones(size, np.uint8)
    assert resident() - before > size * 0.9, "given back within"
assert resident() - before < size * 0.2, "kept after"
np.ones(size, np.uint8)
assert resident() - before < size * 0.2, "kept later"
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="no glibc")
def test_freed_memory_is_kept_within_and_given_back_after() -> None:
    """In a process of its own: what other tests freed would serve again."""
    subprocess.run([sys.executable, "-c", MEMORY], check=True)
