"""The bounding box of an image's largest connected component, without labelling every pixel."""

import numpy as np
from numpy.typing import NDArray

from medpt.data.decode import opencv

Box = tuple[int, int, int, int]  # left, top, width, height


def largest_box(foreground: NDArray[np.uint8]) -> Box | None:
    """The box of the 8-connected component of most pixels in `foreground` (0 or 1); None if it is empty.

    Where one contour clearly holds more pixels than the boxes of all others could, its box is the answer
    (0.6 ms on a fundus of 2048 × 2048); else components are labelled and counted (27 ms).
    """
    cv2 = opencv()
    contours, hierarchy = cv2.findContours(foreground, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return None
    outer = [contour for contour, links in zip(contours, hierarchy[0], strict=True) if links[3] < 0]
    boxes = [tuple(map(int, cv2.boundingRect(contour))) for contour in outer]
    areas = [width * height for _, _, width, height in boxes]
    main = int(np.argmax(areas))
    if cv2.countNonZero(foreground) > 2 * (sum(areas) - areas[main]):
        return boxes[main]  # type: ignore[return-value]
    return counted_box(foreground)


def counted_box(foreground: NDArray[np.uint8]) -> Box | None:
    """The same by labelling and counting all components."""
    cv2 = opencv()
    _, _, stats, _ = cv2.connectedComponentsWithStats(foreground, connectivity=8)
    if len(stats) < 2:
        return None
    left, top, width, height, _ = stats[1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))]
    return int(left), int(top), int(width), int(height)
