"""What is cut off before an image is shrunk: black around a fundus, vignettes, empty borders of radiographs,
white padding of turned scans; all but a square around the optic disc.

An image is (H, W) or (H, W, 3), its mask (H, W) or None; both are cut alike.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medpt.data.components import largest_box
from medpt.data.decode import opencv

Image = NDArray[Any]
Mask = NDArray[np.uint8] | None
Pair = tuple[Image, Mask]

STRIP = 16  # lines looked at together
SMALLEST_CROP = 0.3  # of a side: a smaller box is a failed search, and the whole image stays
SEAM = 2  # pixels beside white padding that JPEG and interpolation mix with it
XRAY_DARK, XRAY_FLAT, XRAY_TRIM = 8.0, 4.0, 0.25  # grey levels, grey levels, share of a side


def crop_fundus(image: Image, mask: Mask, threshold: float) -> Pair:
    """The box of the largest 8-connected component with max(R, G, B) > threshold, padded square in black."""
    image, mask = _cropped(image, mask, _bright_box(image, threshold))
    pad = _to_square(*image.shape[:2])
    return _padded(image, pad), None if mask is None else _padded(mask, pad)


def fundus_square(image: Image, threshold: float) -> tuple[int, int, int]:
    """Left, top and side, in pixels of the image, of the square that crop_fundus cuts; padding is outside."""
    top, bottom, left, right = _bright_box(image, threshold)
    above, _, before, _ = _to_square(bottom - top, right - left)
    return left - before, top - above, max(bottom - top, right - left)


def crop_square(image: Image, mask: Mask, side: int, centre: tuple[float, float]) -> Pair:
    """The `side` x `side` pixels around `centre` (x, y), black and of class 0 where they leave the image.

    Pixel centres have whole coordinates; the square's middle is at most half a pixel off.
    """
    height, width = image.shape[:2]
    left, top = (math.floor(place - (side - 1) / 2 + 0.5) for place in centre)
    right, bottom = left + side, top + side
    image, mask = _cropped(image, mask, (max(0, top), max(0, bottom), max(0, left), max(0, right)))
    pad = (max(0, -top), max(0, bottom - height), max(0, -left), max(0, right - width))
    return _padded(image, pad), None if mask is None else _padded(mask, pad)


def crop_dermoscopy(image: Image, mask: Mask, threshold: float) -> Pair:
    """Without the black vignette: the box of the largest component with max(R, G, B) > threshold."""
    return _cropped(image, mask, _bright_box(image, threshold))


def crop_xray(image: Image, mask: Mask) -> Pair:
    """Without border rows, then columns, of mean under 8 or SD under 4 grey levels; at most 25 % a side."""
    grey = image if image.ndim == 2 else opencv().cvtColor(image, opencv().COLOR_RGB2GRAY)
    top, bottom = _informative(grey, axis=1)
    left, right = _informative(grey[top:bottom], axis=0)
    return _cropped(image, mask, (top, bottom, left, right))


def crop_white(image: Image, mask: Mask, threshold: float) -> Pair:
    """Without white padding, as turned OCT scans have: black where it is, cut off where whole lines are it.

    Padding is what joins a corner of the image through pixels (4-connected) with all channels > threshold,
    and two pixels around it. Bright tissue stays, also at the border, unless padding touches it. An image of
    which the cut would leave under 30 % of a side stays as it is.
    """
    padding = _white_padding(image, threshold)
    box = _span(padding, axis=1) + _span(padding, axis=0)
    height, width = padding.shape
    if box[1] - box[0] < SMALLEST_CROP * height or box[3] - box[2] < SMALLEST_CROP * width:
        return image, mask
    filled = image.copy()
    filled[padding > 0] = 0
    return _cropped(filled, mask, box)


def _white_padding(image: Image, threshold: float) -> NDArray[np.uint8]:
    """(H, W), 1 where the padding is and 0 elsewhere."""
    cv2 = opencv()
    channels = 1 if image.ndim == 2 else 3
    bounds = (np.full(channels, bound) for bound in (math.floor(threshold) + 1.0, 255.0))
    white = cv2.inRange(image, *bounds)
    height, width = white.shape
    for x, y in ((0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)):
        if white[y, x] == 255:
            cv2.floodFill(white, None, (x, y), 1)
    seam = np.ones((2 * SEAM + 1, 2 * SEAM + 1), np.uint8)
    return cv2.dilate((white == 1).astype(np.uint8), seam)


def _span(padding: NDArray[np.uint8], axis: int) -> tuple[int, int]:
    """First and end of the rows (axis 1) or columns (axis 0) that are not padding all over."""
    kept = np.flatnonzero(~padding.all(axis=axis))
    return (int(kept[0]), int(kept[-1]) + 1) if len(kept) else (0, 0)


def _bright_box(image: Image, threshold: float) -> tuple[int, int, int, int]:
    channels = 1 if image.ndim == 2 else 3
    limits = (np.full(channels, limit) for limit in (-32_768.0, float(math.floor(threshold))))
    dark = opencv().inRange(image, *limits)  # in all channels
    foreground = opencv().bitwise_not(dark)
    height, width = foreground.shape
    left, top, w, h = largest_box(foreground) or (0, 0, 0, 0)
    if w < SMALLEST_CROP * width or h < SMALLEST_CROP * height:
        return 0, height, 0, width
    return top, top + h, left, left + w


def _informative(grey: Image, axis: int) -> tuple[int, int]:
    """First and end of the lines to keep: of most images, only the outermost lines are looked at."""
    length = grey.shape[1 - axis]
    limit = int(XRAY_TRIM * length)
    first, last = limit, length - limit
    for start in range(0, limit, STRIP):
        if len(found := _kept_lines(grey, axis, start, min(start + STRIP, limit))):
            first = int(found[0])
            break
    for stop in range(length, length - limit, -STRIP):
        if len(found := _kept_lines(grey, axis, max(stop - STRIP, length - limit), stop)):
            last = int(found[-1]) + 1
            break
    nothing = (first, last) == (limit, length - limit) and not len(_kept_lines(grey, axis, 0, length))
    return (0, length) if nothing else (first, last)


def _kept_lines(grey: Image, axis: int, start: int, stop: int) -> NDArray[np.intp]:
    """The numbers of those rows (axis 1) or columns (axis 0) that are neither dark nor flat."""
    cv2 = opencv()
    lines, count = (grey[start:stop] if axis else grey[:, start:stop]), grey.shape[axis]
    mean = cv2.reduce(lines, axis, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel() / count
    squares = cv2.reduce(lines, axis, cv2.REDUCE_SUM2, dtype=cv2.CV_64F).ravel() / count
    deviation = np.sqrt(np.maximum(squares - mean**2, 0))
    return start + np.flatnonzero((mean >= XRAY_DARK) & (deviation >= XRAY_FLAT))


def _cropped(image: Image, mask: Mask, box: tuple[int, int, int, int]) -> Pair:
    top, bottom, left, right = box
    return image[top:bottom, left:right], None if mask is None else mask[top:bottom, left:right]


def _to_square(height: int, width: int) -> tuple[int, int, int, int]:
    """Lines to add at top, bottom, left and right."""
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    return top, side - height - top, left, side - width - left


def _padded(pixels: Image, pad: tuple[int, int, int, int]) -> Image:
    return (
        opencv().copyMakeBorder(pixels, *pad, opencv().BORDER_CONSTANT, value=(0, 0, 0))
        if any(pad)
        else pixels
    )
