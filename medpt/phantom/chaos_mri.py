"""CHAOS-MRI: T1 in and out of phase and T2 as DICOM, masks as PNG, and test patients without masks.

Traps: the two phases of T1 have interleaved numbers, and masks the names of the in-phase ones; a level that
resaving moved within its organ's range; slices without organs.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medpt.phantom.dicom import resonance
from medpt.phantom.paint import Canvas, Rng, ellipse, fractal, grid, save, stream

PATIENTS = (1, 2, 3, 5, 8, 10, 13, 15, 19, 20, 21, 22, 31, 32, 33, 34, 36, 37, 38, 39)
SLICES = 8
LEVELS = (0, 63, 126, 189, 252)
INTENSITIES = {  # of fat, muscle, and the four organs
    "in": (620, 210, (380, 250, 250, 220)),
    "out": (540, 190, (350, 240, 240, 210)),
    "T2": (260, 90, (170, 420, 420, 330)),
}


def write(folder: Path, seed: int, train: int = 4, test: int = 1, size: int = 96) -> None:
    """`train` patients with masks, `test` without; eight slices of size x size a sequence."""
    for n, patient in enumerate(PATIENTS[:train]):
        place = folder / "CHAOS_Train_Sets" / "Train_Sets" / "MR" / str(patient)
        _patient(place, stream(seed, "CHAOS-MRI", n), n + 1, size, labelled=True)
    for n in range(test):
        place = folder / "CHAOS_Test_Sets" / "Test_Sets" / "MR" / str(4 + n)
        _patient(place, stream(seed, "CHAOS-MRI", "test", n), 100 + n, size, labelled=False)


def _patient(folder: Path, rng: Rng, number: int, size: int, labelled: bool) -> None:
    shape = rng.uniform(0.9, 1.1, 6)
    for rank in range(SLICES):
        ids = organs(size, rank / (SLICES - 1), shape)
        levels = np.array(LEVELS, np.uint8)[ids]
        levels[levels == 63] = 63 if rank % 2 else 60
        t1, t2 = folder / "T1DUAL", folder / "T2SPIR"
        even, odd, plain = 2 * rank + 2, 2 * rank + 1, rank + 1
        for place, kind, series, n in (
            (t1 / "DICOM_anon" / "InPhase", "in", 4, even),
            (t1 / "DICOM_anon" / "OutPhase", "out", 4, odd),
            (t2 / "DICOM_anon", "T2", 7, plain),
        ):
            place.mkdir(parents=True, exist_ok=True)
            pixels = _image(rng, ids, kind, shape)
            content = resonance(pixels, 6.0 * rank, f"{number}.{series}.{n}")
            (place / f"IMG-{series:04d}-{n:05d}.dcm").write_bytes(content)
        if labelled:
            save(t1 / "Ground" / f"IMG-0004-{even:05d}.png", levels, "PNG")
            save(t2 / "Ground" / f"IMG-0007-{plain:05d}.png", levels, "PNG")


def organs(size: int, depth: float, shape: NDArray[np.floating]) -> NDArray[np.uint8]:
    """(S, S): 0, 1 liver, 2 right kidney, 3 left kidney, 4 spleen; none at `depth` 0, the pelvis at 1."""
    x, y = grid(size, size)
    ids = np.zeros((size, size), np.uint8)
    upper, lower = (float(np.sin(np.pi * np.clip(d, 0, 1))) for d in (depth * 1.3, depth * 1.5 - 0.4))
    for number, centre, radii, extent in (
        (1, (-0.36, -0.06), (0.4, 0.4), upper * shape[0]),
        (4, (0.56, 0.12), (0.17, 0.25), upper * shape[1]),
        (2, (-0.33, 0.28), (0.14, 0.17), lower * shape[2]),
        (3, (0.35, 0.28), (0.14, 0.17), lower * shape[3]),
    ):
        if extent > 0.3:
            scaled = (radii[0] * extent, radii[1] * extent)
            ids[ellipse(x, y, centre, scaled, 0.1) > 0.5] = number
    return ids


def _image(rng: Rng, ids: NDArray[np.uint8], kind: str, shape: NDArray[np.floating]) -> NDArray[np.int16]:
    """Intensities from 0, brighter by the patient's gain and toward one side, as surface coils see them."""
    size = len(ids)
    x, y = grid(size, size)
    fat, muscle, of_organs = INTENSITIES[kind]
    body = ellipse(x, y, (0, 0.02), (0.9 * shape[4], 0.66), 0.03)
    inner = ellipse(x, y, (0, 0.02), (0.8 * shape[4], 0.56), 0.05)
    pixels: Canvas = body * fat * (1 - inner) + inner * muscle
    for number, value in enumerate(of_organs, 1):
        pixels = np.where(ids == number, value, pixels)
    if kind == "out":  # fat and water cancel along the edges
        edges = np.abs(np.gradient(body)[1]) + np.abs(np.gradient(inner)[1])
        pixels = pixels * np.clip(1 - 2 * edges, 0, 1)
    pixels = pixels * (1 + 0.12 * x + 0.06 * fractal(rng, size, size, 4, 3)) * shape[5] * body
    return np.rint(np.abs(pixels + 8 * rng.standard_normal((size, size)))).astype(np.int16)
