"""Where the tissue is on a slide: a mask of its thumbnail by saturation, and its share in a box.

Glass is pale and bright, stained tissue is neither. Pen, folds and dust are not told from tissue here;
medpt/survival/patches.py refuses pen where it sees pixels.
"""

import numpy as np
from numpy.typing import NDArray

from medpt.data.decode import opencv

LEAST_SATURATION = 0.05  # Otsu's threshold of a slide without tissue lies within its noise
BRIGHT = 0.95  # V of HSV from which on it is glass
OPENING = 3  # pixels
SPECK = 0.001  # of the thumbnail's area

Box = tuple[float, float, float, float]  # left, top, right, bottom


def tissue_mask(thumbnail: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(h, w) of a thumbnail (h, w, 3): saturation above Otsu's threshold and not bright, without specks.

    Otsu, A threshold selection method from gray-level histograms, 1979; over the saturation in 8 bits.
    """
    cv2 = opencv()
    hsv = cv2.cvtColor(thumbnail, cv2.COLOR_RGB2HSV)
    found, _ = cv2.threshold(hsv[:, :, 1], 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    stained = hsv[:, :, 1] > max(found, LEAST_SATURATION * 255)
    mask = (stained & (hsv[:, :, 2] < BRIGHT * 255)).astype(np.uint8)
    opened = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((OPENING, OPENING), np.uint8))
    return _without_specks(opened)


def _without_specks(mask: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Without 8-connected components below SPECK of the area."""
    cv2 = opencv()
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    kept = stats[:, cv2.CC_STAT_AREA] >= SPECK * mask.size
    kept[0] = False  # the background
    return kept[labels]


def share(mask: NDArray[np.bool_], box: Box) -> float:
    """The share, 0 to 1, of True among the pixels that the box touches; its corners are in pixels."""
    left, top, right, bottom = box
    part = mask[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))]
    return float(part.mean())
