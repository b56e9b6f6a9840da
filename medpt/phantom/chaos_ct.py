"""CHAOS: CT slices as DICOM and liver masks as PNG, and test patients without masks.

Traps: positions that descend with the file number in every second patient, both styles of file names
(counting from 0 and from 1), intercepts that differ, padding below -1024 outside the field of view, a patient
without masks.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medpt.phantom.dicom import computed
from medpt.phantom.paint import Canvas, Rng, ellipse, fractal, grid, save, stream

PATIENTS = (1, 2, 5, 6, 8, 10, 14, 16, 18, 19, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30)
SLICES = 8
INTERCEPTS = (-1024, -1200, -1000)
PADDING = -1000  # below the intercept's air, as scanners fill what they did not measure


def write(folder: Path, seed: int, train: int = 4, test: int = 1, size: int = 96) -> None:
    """`train` patients with masks, `test` without; eight slices of size x size each."""
    for n, patient in enumerate(PATIENTS[:train]):
        _patient(
            folder / "CHAOS_Train_Sets" / "Train_Sets" / "CT" / str(patient),
            stream(seed, "CHAOS", n),
            n,
            size,
            True,
        )
    for n in range(test):
        rng = stream(seed, "CHAOS", "test", n)
        _patient(folder / "CHAOS_Test_Sets" / "Test_Sets" / "CT" / str(3 + n), rng, n, size, False)


def _patient(folder: Path, rng: Rng, number: int, size: int, labelled: bool) -> None:
    shape = rng.uniform(0.9, 1.1, 8)
    for rank in range(SLICES):
        units, liver = abdomen(rng, size, rank / (SLICES - 1), shape)
        z = -3.0 * rank if number % 2 else 3.0 * rank
        style = f"IMG-{number:04d}-{rank + 1:05d}.dcm" if number % 4 == 2 else f"i{rank:04d},0000b.dcm"
        path = folder / "DICOM_anon" / style
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(computed(units, INTERCEPTS[number % 3], z, f"{number + 1}.{rank + 1}"))
        if labelled:
            save(folder / "Ground" / f"liver_GT_{rank:03d}.png", liver, "PNG", "1")


def abdomen(
    rng: Rng, size: int, depth: float, shape: NDArray[np.floating]
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """One axial slice, HU (S, S), and its liver, 0 or 255; `depth` 0 is at the lungs, 1 at the kidneys."""
    x, y = grid(size, size)
    units = np.full((size, size), -1000.0, np.float32)
    body = ellipse(x, y, (0, 0.02), (0.86 * shape[0], 0.62 * shape[1]), 0.03)
    inner = ellipse(x, y, (0, 0.02), (0.78 * shape[0], 0.53 * shape[1]), 0.05)
    units = _fill(_fill(units, body, -100), inner, 45)
    lungs = min(1.0, max(0.0, 0.5 - depth) * 3)
    for side in (-1, 1):
        units = _fill(
            units, ellipse(x, y, (side * 0.42, 0.0), (0.35 * lungs + 1e-3, 0.42 * lungs + 1e-3), 0.1), -820
        )
    extent = float(np.clip(np.sin(np.pi * np.clip((depth - 0.22) / 0.9, 0, 1)) * 1.3, 0, 1))
    liver = inner * (_liver(x, y, extent, shape) if extent > 0.15 else 0)
    units = _fill(_organs(units, x, y, depth, shape), liver, 112 + 140 * float(shape[7] - 1))
    vessels = (fractal(rng, size, size, 9, 2) > 1.25) * (liver > 0.9)
    units += 45 * vessels + 9 * rng.standard_normal((size, size)).astype(np.float32) * (units > -500)
    units += 5 * fractal(rng, size, size, 7, 3) * (units > -500)
    units[np.hypot(x, y) > 1.08] = -1000 + PADDING
    return np.rint(units).astype(np.int16), (liver > 0.5).astype(np.uint8) * np.uint8(255)


def _fill(units: Canvas, cover: Canvas, value: float) -> Canvas:
    return units * (1 - cover) + value * cover


def _liver(x: Canvas, y: Canvas, extent: float, shape: NDArray[np.floating]) -> Canvas:
    right = ellipse(x, y, (-0.38, -0.02), (0.36 * extent * shape[2], 0.44 * extent * shape[3]), 0.06, 0.25)
    left = ellipse(x, y, (-0.02, -0.24), (0.36 * extent * shape[4], 0.16 * extent), 0.08, 0.15)
    return np.maximum(right, left)


def _organs(units: Canvas, x: Canvas, y: Canvas, depth: float, shape: NDArray[np.floating]) -> Canvas:
    """Spine, aorta, spleen, stomach with gas, kidneys; the spleen is as bright as the liver."""
    units = _fill(units, ellipse(x, y, (0, 0.36), (0.13, 0.12), 0.15), 330)
    units = _fill(units, ellipse(x, y, (0, 0.4), (0.04, 0.04), 0.3), 40)
    units = _fill(units, ellipse(x, y, (0.04, 0.17), (0.06, 0.06), 0.15), 175)
    if 0.2 < depth < 0.8:
        units = _fill(units, ellipse(x, y, (0.55, 0.18), (0.14 * shape[5], 0.22), 0.1, -0.4), 116)
        units = _fill(units, ellipse(x, y, (0.36, -0.18), (0.2, 0.15), 0.1), 30)
        units = _fill(units, ellipse(x, y, (0.36, -0.24), (0.14, 0.07), 0.1), -850)
    if depth > 0.6:
        for side in (-1, 1):
            units = _fill(units, ellipse(x, y, (side * 0.34, 0.28), (0.12, 0.15 * shape[6]), 0.12), 165)
    for angle in np.linspace(0, 2 * np.pi, 11):
        rib = (0.8 * shape[0] * np.cos(angle), 0.02 + 0.56 * shape[1] * np.sin(angle))
        units = _fill(units, ellipse(x, y, rib, (0.05, 0.025), 0.3, angle + np.pi / 2), 380)
    return units
