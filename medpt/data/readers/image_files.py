"""Pixels of records whose image and whose mask are files that Pillow, OpenCV or libjpeg decode."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medpt.data.dataset import Record
from medpt.data.decode import read_grey, read_image


def image(root: Path, record: Record) -> NDArray[np.uint8]:
    """Return RGB (H, W, 3) or grey (H, W), as `read_image`."""
    return read_image(root / record.image_path)


def grey_image(root: Path, record: Record) -> NDArray[np.uint8]:
    """Return grey (H, W), as `read_grey`."""
    return read_grey(root / record.image_path)


def bright_mask(root: Path, record: Record) -> NDArray[np.uint8]:
    """Return 1 where the grey value of a mask is 128 or more, else 0, (H, W)."""
    return (read_grey(root / str(record.mask_path)) >= 128).astype(np.uint8)
