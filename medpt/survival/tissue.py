"""The tissue on a slide: a mask of its thumbnail by saturation, and the share of tissue in a box.

Glass is pale and bright, stained tissue is not. Pen, folds and dust count as tissue here; patches with pen
are refused later (medpt/survival/patches.py). Pen does not influence the threshold: with it, Otsu's method
took the ink for tissue and all tissue for glass on one of 18 phantom slides.
"""

import numpy as np
from numpy.typing import NDArray

from medpt.data.decode import opencv

LEAST_SATURATION = 0.05  # Otsu's threshold of a slide without tissue lies within its noise
BRIGHT = 0.95  # V of HSV from which on it is glass
OPENING = 3  # pixels
SPECK = 0.001  # of the thumbnail's area
INKS: dict[str, tuple[tuple[int, int, int], tuple[int, int, int]]] = {  # HSV of OpenCV: hue 0 to 179
    "blue": ((97, 153, 51), (120, 255, 255)),  # haematoxylin starts at hue 125 and is less saturated
    "green": ((40, 90, 51), (85, 255, 255)),  # no stain of H&E is green
    "black": ((0, 0, 0), (179, 255, 40)),
}

Box = tuple[float, float, float, float]  # left, top, right, bottom


def tissue_mask(thumbnail: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return a mask (h, w) of a thumbnail (h, w, 3): saturated above Otsu's threshold, not bright, no specks.

    Otsu, A threshold selection method from gray-level histograms, 1979; over the saturation in 8 bits of the
    pixels that are not pen.
    """
    cv2 = opencv()
    hsv = cv2.cvtColor(thumbnail, cv2.COLOR_RGB2HSV)
    stained = hsv[:, :, 1] > max(_otsu(hsv[:, :, 1][ink(hsv) == 0]), LEAST_SATURATION * 255)
    mask = (stained & (hsv[:, :, 2] < BRIGHT * 255)).astype(np.uint8)
    opened = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((OPENING, OPENING), np.uint8))
    return _without_specks(opened)


def ink(hsv: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a mask (h, w) of pen: not 0 where HSV (h, w, 3) is a strong, pure blue or green, or black."""
    cv2 = opencv()
    blue, green, black = (cv2.inRange(hsv, low, high) for low, high in INKS.values())
    return blue | green | black


def _otsu(values: NDArray[np.uint8]) -> float:
    if not len(values):
        return 0.0
    cv2 = opencv()
    return float(cv2.threshold(values, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[0])


def _without_specks(mask: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Remove 8-connected components below SPECK of the area."""
    cv2 = opencv()
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    kept = stats[:, cv2.CC_STAT_AREA] >= SPECK * mask.size
    kept[0] = False  # the background
    return kept[labels]


def share(mask: NDArray[np.bool_], box: Box) -> float:
    """Return the share, 0 to 1, of True among the pixels that the box touches; corners are in pixels."""
    left, top, right, bottom = box
    part = mask[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))]
    return float(part.mean())
