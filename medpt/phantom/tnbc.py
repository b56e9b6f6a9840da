"""TNBC: RGBA tiles `Slide_NN/NN_k.png` with nuclei in `GT_NN/NN_k.png`.

Traps: alpha, slides 12 to 14 of brain, macOS debris.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medpt.phantom.paint import (
    Canvas,
    Rng,
    blend,
    debris,
    ellipse,
    fractal,
    grid,
    save,
    stream,
    tint,
    to_bytes,
)

SLIDES, BRAIN = 11, (12, 13, 14)
STROMA, CHROMATIN = (0.9, 0.68, 0.8), (0.42, 0.26, 0.55)


def write(folder: Path, seed: int, train: int = 50, test: int = 6, size: int = 96) -> None:
    """`train` tiles of breast, over eleven slides, and `test` of brain, of size x size."""
    top = folder / "TNBC_NucleiSegmentation"
    places = [(n % SLIDES + 1, n // SLIDES + 1) for n in range(train)]
    places += [(BRAIN[n % 3], n // 3 + 1) for n in range(test)]
    for slide, k in places:
        image, nuclei = tile(stream(seed, "TNBC", slide, k), size, 0.3 + 0.05 * slide)
        opaque = np.full((size, size, 1), 255, np.uint8)
        name = f"{slide:02d}_{k}.png"
        save(top / f"Slide_{slide:02d}" / name, np.concatenate([image, opaque], axis=2), "PNG")
        save(top / f"GT_{slide:02d}" / name, nuclei, "PNG")
    debris(top / "Slide_01", "01_1.png")


def tile(rng: Rng, size: int, crowding: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """H&E (S, S, 3) and its nuclei (S, S), 0 or 255; `crowding` from 0, sparse, to 1."""
    x, y = grid(size, size)
    image = tint(np.array(STROMA) * rng.uniform(0.92, 1.05, 3), 0.09 * fractal(rng, size, size, 5, 4))
    cover = np.zeros((size, size), np.float32)
    for _ in range(int(12 + 50 * crowding)):
        here, nucleus = _nucleus(rng, x, y)
        colour = np.array(CHROMATIN) * rng.uniform(0.7, 1.25)
        image[here] = blend(image[here], 0.9 * nucleus, colour)
        cover[here] = np.maximum(cover[here], nucleus)
    image = image + 0.05 * fractal(rng, size, size, 16, 2)[:, :, None]
    return to_bytes(image), (cover > 0.5).astype(np.uint8) * np.uint8(255)


def _nucleus(rng: Rng, x: Canvas, y: Canvas) -> tuple[tuple[slice, slice], Canvas]:
    """A window of the tile and the nucleus in it."""
    centre = (rng.uniform(-1, 1), rng.uniform(-1, 1))
    radii = (rng.uniform(0.05, 0.11), rng.uniform(0.05, 0.09))
    column, row = (int((place + 1) * len(x) / 2) for place in centre)
    reach = len(x) // 12 + 2
    here = np.s_[max(0, row - reach) : row + reach, max(0, column - reach) : column + reach]
    return here, ellipse(x[here], y[here], centre, radii, 0.25, rng.uniform(0, np.pi))
