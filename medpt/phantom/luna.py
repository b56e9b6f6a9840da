"""Finding and Measuring Lungs in CT Data: `2d_images` and `2d_masks` as TIFF, `lung_stats.csv`.

Traps: Hounsfield units in 32-bit integers, every third in floats, which a conversion to 8 bits would clip;
padding of -2000 outside the field of view; the volumes of `3d_images`; macOS debris.
"""

import gzip
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medpt.phantom.paint import Canvas, Rng, debris, ellipse, fractal, grid, save, stream

RIGHT, LEFT, TRACHEA = 3, 4, 5  # ids of LUNA16's masks, in the order that its readers know
PADDING = -2000


def write(folder: Path, seed: int, train: int = 30, test: int = 1, size: int = 96) -> None:
    """`train` slices with masks of size x size; `test` volumes that the 2-D set does not read."""
    lines = ["img_id,lung_area_px,lung_mean_hu"]
    for n in range(train):
        rng = stream(seed, "LUNA", n)
        units, ids = chest(rng, size, rng.uniform(0.15, 0.9), rng.uniform(0.9, 1.1, 6))
        lungs = (ids == RIGHT) | (ids == LEFT)
        name = f"ID_{n:04d}_Z_{(142 + 31 * n) % 250:04d}.tif"
        save(folder / "2d_images" / name, units.astype(np.float32 if n % 3 == 2 else np.int32), "TIFF")
        save(folder / "2d_masks" / name, lungs.astype(np.uint8) * np.uint8(255), "TIFF")
        lines.append(f"{name},{lungs.sum()},{units[lungs].mean():.2f}")
    (folder / "lung_stats.csv").write_text("\n".join(lines) + "\n")
    for n in range(test):
        _volume(folder / "3d_images" / f"IMG_{n + 2:04d}.nii.gz", stream(seed, "LUNA", "volume", n), size)
    debris(folder / "2d_images", "ID_0000_Z_0142.tif")


def _volume(path: Path, rng: Rng, size: int) -> None:
    import nibabel

    shape = rng.uniform(0.9, 1.1, 6)
    planes = [chest(rng, size, depth, shape)[0].T for depth in np.linspace(0.2, 0.8, 4)]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(nibabel.Nifti1Image(np.stack(planes, 2), np.eye(4)).to_bytes(), mtime=0))


def chest(
    rng: Rng, size: int, depth: float, shape: NDArray[np.floating]
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """One axial slice, HU (S, S), and the ids of lungs and trachea; `depth` 0 is the apex, 1 the base."""
    x, y = grid(size, size)
    body = ellipse(x, y, (0, 0.02), (0.9 * shape[0], 0.66 * shape[1]), 0.03)
    units = np.where(body > 0.5, -90.0, -1000.0).astype(np.float32)
    units = _fill(units, ellipse(x, y, (0, 0.02), (0.8 * shape[0], 0.57 * shape[1]), 0.05), 45)
    ids = np.zeros((size, size), np.uint8)
    extent = float(np.sin(np.pi * np.clip(0.12 + 0.8 * depth, 0, 1)))
    for number, side, wide in ((RIGHT, -1, 0.31 * shape[2]), (LEFT, 1, 0.26 * shape[3])):
        lung = ellipse(x, y, (side * 0.42, 0.02), (wide * extent, 0.45 * extent * shape[4]), 0.06, 0.1 * side)
        units = _fill(units, lung, -840 + 60 * float(shape[5] - 1))
        vessels = fractal(rng, size, size, 10, 2) > 1.3
        units[vessels & (lung > 0.5)] = -60  # inside the lung all the same
        ids[lung > 0.5] = number
    for centre, radii, value in (((0.03, -0.1), (0.2, 0.24), 60), ((0, 0.42), (0.12, 0.11), 320)):
        units = _fill(units, ellipse(x, y, centre, (radii[0] * extent, radii[1]), 0.1), value)
    ids[(ellipse(x, y, (0.03, -0.1), (0.2 * extent, 0.24), 0.1) > 0.5)] = 0
    if depth < 0.4:
        trachea = ellipse(x, y, (0, 0.16), (0.06, 0.06), 0.1)
        units = _fill(units, trachea, -980)
        ids[trachea > 0.5] = TRACHEA
    units += 12 * rng.standard_normal((size, size)).astype(np.float32)
    units[np.hypot(x, y) > 1.08] = PADDING
    return np.rint(units).astype(np.int16), ids


def _fill(units: Canvas, cover: Canvas, value: float) -> Canvas:
    return units * (1 - cover) + value * cover
