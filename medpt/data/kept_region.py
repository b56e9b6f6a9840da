"""The part of an image that a preprocessing pipeline keeps, and masks of it at the size of the image."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medpt.data.crops import Image
from medpt.data.decode import opencv
from medpt.data.preprocess import OPERATIONS, ROI, Point, steps


@dataclass(frozen=True)
class KeptRegion:
    """A rectangle of an image, in its pixels; padding lies outside of the image."""

    left: int
    top: int
    width: int
    height: int
    image_width: int
    image_height: int

    def restore(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a mask (S, S) of the prepared image at the size of the image, 0 where the pipeline cut.

        Preprocessing brings the result back to the same (S, S) where the image is not smaller.
        """
        cv2 = opencv()
        large = cv2.resize(mask, (self.width, self.height), interpolation=cv2.INTER_NEAREST_EXACT)
        whole = np.zeros((self.image_height, self.image_width), np.uint8)
        top, left = max(0, self.top), max(0, self.left)
        bottom = min(self.image_height, self.top + self.height)
        right = min(self.image_width, self.left + self.width)
        if bottom > top and right > left:
            inner = large[top - self.top : bottom - self.top, left - self.left : right - self.left]
            whole[top:bottom, left:right] = inner
        return whole


def kept_region(image: Image, pipeline: str, centre: Point | None = None) -> KeptRegion:
    """Return what `pipeline` keeps of an image; `centre` is what roi cuts around."""
    height, width = image.shape[:2]
    places: Any = np.arange(1, height * width + 1, dtype=np.int32).reshape(height, width)  # 0 is padding
    pixels = image
    for name, arguments in steps(pipeline):
        if name == "resize":
            break
        around = (centre,) if name == ROI else ()
        pixels, places = OPERATIONS[name].apply(pixels, places, *arguments, *around)
    size = (places.shape[1], places.shape[0], width, height)
    inside = np.flatnonzero(places)
    if not len(inside):  # a square that lies outside
        return KeptRegion(width, height, *size)
    row, column = divmod(int(inside[0]), places.shape[1])
    y, x = divmod(int(places[row, column]) - 1, width)
    return KeptRegion(x - column, y - row, *size)
