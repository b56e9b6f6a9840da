"""Where the optic disc is: from the pixels that a network takes for disc to a place in the photograph.

The disc is the largest component of those pixels with its holes filled, and its place their centroid. Where
there is none, it is that of the brightest hundredth of the blurred red channel. No label of the image that
is searched is read here.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medpt.data.crops import Image, fundus_square
from medpt.data.decode import opencv
from medpt.data.preprocess import Point, output_size, roi_side, steps
from medpt.errors import InputError
from medpt.identity import stream_seed

if TYPE_CHECKING:
    from medpt.data.dataset import Dataset
    from medpt.data.shards import Row

SOURCE = "REFUGE-OD"  # whose training images teach the disc
THRESHOLD = 0.5  # of the disc's probability (pOSAL, Wang et al. 2019)
JITTER = 1 / 40  # of the side of the crop: 16 pixels of 640; a detector is not exact, and training shows it
BLUR = 1 / 32  # of the side: about half a disc's radius
BRIGHTEST = 0.01  # of the pixels


@dataclass(frozen=True)
class Frame:
    """The square of an image that became a prepared image: left, top and side in its pixels, size after."""

    left: float
    top: float
    width: float
    height: float
    size: int

    def original(self, place: Point) -> Point:
        """From pixels of the prepared image to pixels of the image as decoded."""
        x, y = ((value + 0.5) / self.size for value in place)
        return self.left + x * self.width - 0.5, self.top + y * self.height - 0.5


def frame(image: Image, pipeline: str) -> Frame:
    """What `pipeline` looks at. InputError where it cuts by another operation than crop_fundus."""
    left, top, (height, width) = 0, 0, image.shape[:2]
    for name, arguments in steps(pipeline):
        if name == "crop_fundus":
            left, top, width = fundus_square(image, *arguments)
            height = width
        elif name not in ("resize", "clahe"):
            raise InputError(
                f"{pipeline}: the disc's detector takes crop_fundus, resize and clahe, not {name}"
            )
    return Frame(left, top, width, height, output_size(pipeline))


def centre(disc: NDArray[np.bool_]) -> Point | None:
    """(x, y) of the middle of the largest 8-connected component of (S, S), holes filled; None without one."""
    cv2 = opencv()
    count, labels, stats, _ = cv2.connectedComponentsWithStats(disc.astype(np.uint8), connectivity=8)
    if count < 2:
        return None
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    found = (labels == largest).astype(np.uint8)
    outlines, _ = cv2.findContours(found, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(found, outlines, -1, 1, cv2.FILLED)
    return _middle(found > 0)


def brightest(image: NDArray[np.uint8]) -> Point:
    """(x, y) of the middle of the hundredth of the pixels (S, S, 3) whose blurred red is highest."""
    red = image[:, :, 0].astype(np.float32)
    blurred = opencv().GaussianBlur(red, (0, 0), BLUR * max(red.shape))
    count = math.ceil(BRIGHTEST * red.size)
    limit = np.partition(blurred.ravel(), -count)[-count]
    return _middle(blurred >= limit)


def crop_centre(place: Point, image: Image, row: "Row", side: int) -> Point:
    """Return the centre of a square of `side` pixels: `place`, in the image, shifted in training images."""
    return inside(image, shaken(place, row.record.id, side) if row.split == "train" else place)


def inside(image: Image, place: Point) -> Point:
    """Return the nearest point that is in the image."""
    height, width = image.shape[:2]
    return min(max(place[0], 0.0), width - 1.0), min(max(place[1], 0.0), height - 1.0)


def mask_locator(dataset: "Dataset", pipeline: str) -> "Callable[[Image, Row], Point]":
    """Return a function for the centre of the pipeline's crop: the disc (class 1) of an image's own mask.

    Only sources are cut so: where the disc is must not come from the mask of an image that is tested.
    """
    side = crop_side(pipeline)

    def locate(image: Image, row: "Row") -> Point:
        disc = centre(dataset.mask(row.record) == 1)
        if disc is None:
            raise InputError("its mask has no optic disc to cut around")
        return crop_centre(disc, image, row, side)

    return locate


def crop_side(pipeline: str) -> int:
    """Return the side of the square that a pipeline cuts; InputError if it cuts none."""
    if side := roi_side(pipeline):
        return side
    raise InputError(f"{pipeline}: this pipeline does not crop around an optic disc")


def shaken(place: Point, record_id: str, side: int) -> Point:
    """`place` moved by whole pixels, up to JITTER of `side` each way, alike in every preparation."""
    rng, most = np.random.default_rng(stream_seed(0, "disc", record_id)), round(JITTER * side)
    x, y = rng.integers(-most, most, 2, endpoint=True).tolist()
    return place[0] + x, place[1] + y


def _middle(pixels: NDArray[np.bool_]) -> Point:
    ys, xs = np.nonzero(pixels)
    return float(xs.mean()), float(ys.mean())
