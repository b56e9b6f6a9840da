"""HRF as all.zip unpacks: images, manual1 and mask, official names.

Traps: `.JPG` beside `.jpg`, vessels stored as 250 and their edges as 128, fields of view in three channels,
numbers that each group counts for itself, macOS debris.
"""

from pathlib import Path

import numpy as np

from medpt.phantom.fundus import RETINOPATHY, binary, develop, paint_spots, photograph
from medpt.phantom.paint import debris, save, stream

GROUPS = ("h", "g", "dr")


def write(folder: Path, seed: int, train: int = 18, test: int = 0, size: int = 148) -> None:
    """`train` + `test` photographs of size x 1.5 size, the three groups by turns."""
    for n in range(train + test):
        group, name = GROUPS[n % 3], f"{n // 3 + 1:02d}_{GROUPS[n % 3]}"
        rng = stream(seed, "HRF", name)
        eye = photograph(rng, size, round(size * 1.5))
        paint_spots(rng, eye, RETINOPATHY[3] if group == "dr" else ())
        vessels = np.where(eye.vessels > 0.7, 250, np.where(eye.vessels > 0.5, 128, 0)) * (eye.view > 0.5)
        image = folder / "images" / f"{name}.{'JPG' if group == 'dr' else 'jpg'}"
        save(image, develop(rng, eye), "JPEG")
        save(folder / "manual1" / f"{name}.tif", vessels.astype(np.uint8), "TIFF")
        save(folder / "mask" / f"{name}_mask.tif", binary(eye.view > 0.5), "TIFF", "RGB")
    debris(folder / "images", "01_h.jpg")
