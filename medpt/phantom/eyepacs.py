"""EyePACS: `train/<patient>_{left,right}.jpeg` and trainLabels.csv; grades show in spots and bleedings.

Traps: two eyes of a patient with different grades, an image that is black, frames of different widths, an
unlabelled test set, macOS debris.
"""

from pathlib import Path

import numpy as np

from medpt.phantom.fundus import RETINOPATHY, develop, paint_spots, photograph
from medpt.phantom.paint import debris, save, stream

GRADES = (0, 3, 1, 4, 2, 0, 4, 3, 0, 2)  # by turns; flatter than the original, where three of four are 0
BLACK = 5  # the image, by rank, that is black


def write(folder: Path, seed: int, train: int = 120, test: int = 4, size: int = 96) -> None:
    """`train` JPEGs of size x 1.2 to 1.5 size with grades; `test` without."""
    rows = ["image,level"]
    for subset, count, first in (("train", train, 10), ("test", test, 1)):
        for n in range(count):
            name = f"{first + n // 2 * 3}_{'right' if n % 2 else 'left'}"
            rng, grade = stream(seed, "EyePACS", subset, n), GRADES[n % len(GRADES)]
            eye = photograph(rng, size, round(size * (1.2 + 0.1 * (n // 2 % 4))))
            paint_spots(rng, eye, RETINOPATHY[grade])
            pixels = develop(rng, eye)
            save(folder / subset / f"{name}.jpeg", np.zeros_like(pixels) if n == BLACK else pixels, "JPEG")
            rows += [f"{name},{grade}"] if subset == "train" else []
    (folder / "trainLabels.csv").write_text("\n".join(rows) + "\n")
    debris(folder / "train", "10_left.jpeg")
