"""What is kept of an image so that a copy of it is recognised later: two names of its decoded pixels.

The exact one is the sha256 of the pixels as the reader hands them over, before any preprocessing: equal only
for the same pixels, whatever file format they came in. The near one survives recompression, resizing, black
borders, a change of brightness and, nearly always, a crop of a hundredth a side, and is known turned and
mirrored; it does not survive a crop of a twentieth or a change of black level. An image without structure (a
black slice) has no near name and is never a copy. The usual 64 bits do not tell fundus photographs apart:
two patients of DRIVE are 1 bit from each other, a recompressed copy up to 10. So it has 255; the figures are
in reports/LOG.md.

The near name is the sign of the 255 lowest frequencies of the cosine transform (Zauner, Implementation and
benchmarking of perceptual image hash functions, 2010; signs instead of a median, so that flips and quarter
turns of the image permute and negate bits) of the part that holds the middle 80 % of the light along each
axis: unlike a threshold that finds the border, quantiles of light move little with noise.
"""

import hashlib
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medpt.data.decode import opencv

BYTES = 32  # of either name
SIDE = 16  # frequencies along an axis
GRID, CANVAS = 32, 128  # pixels of the part that is transformed, and of the whole image it is taken from
DARK = 0.1  # share of the light that lies outside the part on each side
STRUCTURE = 2.0  # grey levels: the least standard deviation of an image that can be recognised
ELEMENTS = 8  # of medpt.data.augment.dihedral, whose numbers `turned` follows

Name = NDArray[np.uint8]


def exact_hash(image: NDArray[Any]) -> bytes:
    """sha256 of shape, type and pixels, 32 bytes."""
    found = hashlib.sha256(f"{image.dtype.str}{image.shape}".encode())
    found.update(np.ascontiguousarray(image).data)
    return found.digest()


def perceptual_hash(image: NDArray[Any]) -> bytes:
    """255 bits and a zero, 32 bytes; all zero where the image has no structure.

    `image` is uint8 (H, W, 3) RGB or (H, W), or (H, W) of any other type, of which the 1st to 99th percentile
    is taken.
    """
    part = _lit(_canvas(_as_bytes(image)).astype(np.float64))
    if part.std() < STRUCTURE:
        return bytes(BYTES)
    waves = _cosines()
    light = waves @ part @ waves.T
    light[0, 0] = 0  # the mean is no feature
    return np.packbits(light.ravel() > 0).tobytes()


def turned(names: Name) -> Name:
    """(N, 32) near names as (8, N, 32): element t is the name of the image under transform t."""
    bits = np.unpackbits(names, axis=1).reshape(-1, SIDE, SIDE).astype(bool)
    odd = np.arange(SIDE) % 2 == 1
    forms = []
    for element in range(ELEMENTS):
        form = bits ^ odd if element >= 4 else bits
        for _ in range(element % 4):
            form = form.transpose(0, 2, 1) ^ odd[:, None]
        forms.append(np.packbits(form.reshape(len(names), -1), axis=1))
    return np.stack(forms) * names.any(axis=1, keepdims=True)


def _as_bytes(image: NDArray[Any]) -> NDArray[np.uint8]:
    if image.dtype == np.uint8:
        return image
    low, high = np.percentile(image, (1, 99))
    return ((np.clip(image, low, high) - low) * (255 / max(high - low, 1e-12))).astype(np.uint8)


def _canvas(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey (CANVAS, CANVAS); halved while large, which costs a sixth of averaging at once."""
    cv2 = opencv()
    while min(image.shape[:2]) >= 4 * CANVAS:
        height, width = image.shape[0] // 2, image.shape[1] // 2
        image = cv2.resize(image[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA)
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return cv2.resize(grey, (CANVAS, CANVAS), interpolation=cv2.INTER_AREA)


def _lit(grey: NDArray[np.float64]) -> NDArray[np.float64]:
    """(GRID, GRID) sums over the box of the middle light, cut at fractions of a pixel."""
    total = np.zeros((CANVAS + 1, CANVAS + 1))
    total[1:, 1:] = grey.cumsum(0).cumsum(1)
    rows, columns = (_between(edge) for edge in (total[:, -1], total[-1]))
    cells = np.diff(np.diff(_at(_at(total, rows).T, columns).T, axis=0), axis=1)
    return cells / max(np.diff(rows[:2])[0] * np.diff(columns[:2])[0], 1e-12)


def _between(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """GRID + 1 places, equally far apart, from the DARK to the 1 - DARK quantile of cumulated light."""
    share = np.linspace(0, 1, CANVAS + 1) if light[-1] <= 0 else light / light[-1]
    low, high = np.interp([DARK, 1 - DARK], share, np.arange(CANVAS + 1))
    return np.linspace(low, high, GRID + 1)


def _at(table: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of the table between its own, linearly."""
    below = np.minimum(places.astype(int), CANVAS - 1)
    share = (places - below)[:, None]
    return table[below] * (1 - share) + table[below + 1] * share


@cache
def _cosines() -> NDArray[np.float64]:
    """The first SIDE rows of the unnormalised DCT-II of GRID points."""
    frequency, place = np.arange(SIDE)[:, None], np.arange(GRID)[None]
    return np.cos(np.pi * (2 * place + 1) * frequency / (2 * GRID))
