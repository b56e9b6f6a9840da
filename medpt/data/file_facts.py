"""Facts about an image file that need no pixels: bytes, height, width, and the quality of a JPEG.

Controls look whether these alone predict the labels. They are kept with the prepared images, which lose them.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

FILE_FACTS = ("file size", "image height", "image width", "JPEG quality")
UNKNOWN = (float("nan"),) * len(FILE_FACTS)
JPEG = (".jpg", ".jpeg")
STANDARD_SUM = 3_688  # of the luminance table of the JPEG standard (ITU-T T.81, Annex K), which is quality 50


def describe_file(path: Path, shape: Sequence[int]) -> tuple[float, ...]:
    """Return the numbers that FILE_FACTS names; nan where the image is no file of its own, or no JPEG.

    `shape` is that of the decoded image, (H, W, ...).
    """
    nbytes = float(path.stat().st_size) if path.is_file() else float("nan")
    quality = jpeg_quality(path) if path.is_file() and path.suffix.lower() in JPEG else float("nan")
    return nbytes, float(shape[0]), float(shape[1]), quality


def jpeg_quality(path: Path) -> float:
    """Estimate the quality, up to 100, that libjpeg was asked for, from the luminance table of the file.

    It is exact to about one for tables that are scaled from the standard's, and orders other tables by how
    coarse they are. It is nan for a file that is no JPEG.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path, formats=("JPEG",)) as image:
            tables = getattr(image, "quantization", None) or {}
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
        return float("nan")
    if not tables:
        return float("nan")
    scale = 100 * float(np.sum(tables[min(tables)])) / STANDARD_SUM
    return (200 - scale) / 2 if scale <= 100 else 5_000 / scale
