"""CardiacMRI (York): volumes and cells of contours as MATLAB 5 files.

Traps: points as (x, y) from 1, the separator row, cells of -99999 above and below the heart, a heart with the
epicardium first, numbers that sort wrongly as text, intensities of another scale in every second patient.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medpt.phantom.paint import Canvas, Rng, ellipse, fractal, grid, smooth, stream

DEPTH, FRAMES, POINTS = 8, 2, 32
NOBODY = -99999.0
Wall = tuple[float, float, float, float, float]  # centre x, y, inner and outer radius, eccentricity


def write(folder: Path, seed: int, train: int = 10, test: int = 0, size: int = 96) -> None:
    """`train` and, as there is no test set, `test` more hearts: eight slices of size x size, two frames."""
    for number in range(1, train + test + 1):
        rng = stream(seed, "CardiacMRI", number)
        volume = np.zeros((size, size, DEPTH, FRAMES))
        cells = np.empty((DEPTH, FRAMES), object)
        centre = rng.uniform(-0.15, 0.15, 2)
        for z, t in np.ndindex(DEPTH, FRAMES):
            wall = _wall(rng, centre, z, t)
            volume[:, :, z, t] = _image(rng, size, wall, 2000.0 if number % 2 else 500.0)
            cells[z, t] = NOBODY if wall is None else _cell(wall, size, outer_first=number % 5 == 4)
        _save(folder / "mrimages" / f"sol_yxzt_pat{number}.mat", {"sol_yxzt": volume})
        contours = folder / "manual_seg" / f"manual_seg_32points_pat{number}.mat"
        _save(contours, {"manual_seg_32points": cells})


def _wall(rng: Rng, centre: NDArray[np.floating], z: int, t: int) -> Wall | None:
    """None beyond base and apex; the second frame is contracted."""
    if not 1 <= z <= DEPTH - 2:
        return None
    outer = (0.5 - 0.04 * z) * rng.uniform(0.95, 1.05)
    inner = outer * (0.62 if t == 0 else 0.42)
    return float(centre[0]), float(centre[1]), inner, outer, float(rng.uniform(-0.1, 0.1))


def _cell(wall: Wall, size: int, outer_first: bool) -> NDArray[np.float64]:
    """(65, 2): 32 points, a row of zeros, 32 points."""
    angle = np.linspace(0, 2 * np.pi, POINTS, endpoint=False)
    rings = []
    for radius in wall[2:4]:
        r = radius * (1 + wall[4] * np.cos(2 * angle))
        places = np.stack([wall[0] + r * np.cos(angle), wall[1] + r * np.sin(angle)], axis=1)
        rings.append((places + 1) * size / 2 + 0.5)  # pixel centres counted from 1
    return np.concatenate([rings[outer_first], np.zeros((1, 2)), rings[not outer_first]])


def _image(rng: Rng, size: int, wall: Wall | None, scale: float) -> Canvas:
    x, y = grid(size, size)
    image = 0.3 * ellipse(x, y, (0, 0), (0.95, 0.8), 0.05) + 0.05 * fractal(rng, size, size, 5, 4)
    for side in (-1, 1):
        image = image * (1 - 0.8 * ellipse(x, y, (side * 0.75, 0.1), (0.25, 0.5), 0.1))
    if wall is not None:
        dx, dy = x - wall[0], y - wall[1]
        stretch = 1 + wall[4] * np.cos(2 * np.arctan2(dy, dx))
        distance = np.hypot(dx, dy) / stretch
        for radius, value in ((wall[3], 0.16), (wall[2], 0.85)):
            cover = smooth((radius - distance) * size / 2)
            image = image * (1 - cover) + value * cover
    return np.rint(np.clip(image + 0.03 * rng.standard_normal((size, size)), 0, 1) * scale)


def _save(path: Path, variables: dict[str, Any]) -> None:
    """As savemat does, without the time of writing that it puts into the header."""
    from scipy.io import savemat

    content = io.BytesIO()
    savemat(content, variables, do_compression=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(116) + content.getvalue()[116:])
