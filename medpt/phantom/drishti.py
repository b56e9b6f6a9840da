"""DRISHTI-GS: photographs, soft maps of disc and cup by four experts, boundaries and cup-to-disc ratios.

Traps: the doubled outer folder, `GT` and `Test_GT`, test images one folder deeper, numbers with gaps, soft
maps of levels 0, 64, 128, 191 and 255, macOS debris.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medpt.phantom.fundus import develop, paint_optic_disc, photograph
from medpt.phantom.paint import Canvas, debris, save, stream

LEVELS = np.array([0, 64, 128, 191, 255], np.uint8)
EXPERTS = (0.35, 0.45, 0.55, 0.65)  # where each draws the line through a soft edge


def write(folder: Path, seed: int, train: int = 16, test: int = 16, size: int = 128) -> None:
    """PNGs of size x 1.17 size with the maps of both targets."""
    top = folder / "Drishti-GS1_files" / "Drishti-GS1_files"
    for subset, truth, count, first in (("Training", "GT", train, 2), ("Test", "Test_GT", test, 1)):
        for n in range(count):
            name = f"drishtiGS_{first + 2 * n:03d}"
            rng = stream(seed, "DRISHTI-GS", name)
            eye = photograph(rng, size, round(size * 1.17))
            ratio = rng.uniform(0.4, 0.6) if n % 2 else rng.uniform(0.6, 0.85)
            covers = paint_optic_disc(rng, eye, ratio)
            inner = ("NORMAL" if n % 2 else "GLAUCOMA") if subset == "Test" else "."
            save(top / subset / "Images" / inner / f"{name}.png", develop(rng, eye), "PNG")
            _truth(top / subset / truth / name, name, covers, ratio)
    debris(top / "Training" / "Images", "drishtiGS_002.png")


def _truth(folder: Path, name: str, covers: tuple[Canvas, Canvas], ratio: float) -> None:
    for kind, cover in zip(("OD", "cup"), covers, strict=True):
        save(folder / "SoftMap" / f"{name}_{kind}segSoftmap.png", soft_map(cover), "PNG")
    row, column = (round(float(places.mean())) for places in np.nonzero(covers[0] > 0.5))
    (folder / "AvgBoundary").mkdir()
    (folder / "AvgBoundary" / f"{name}_diskCenter.txt").write_text(f"{row} {column}\n")
    (folder / f"{name}_cdrValues.txt").write_text(" ".join([f"{ratio:.2f}"] * 4) + "\n")


def soft_map(cover: Canvas) -> NDArray[np.uint8]:
    """The mean of four experts, as the publisher rounds it."""
    return LEVELS[np.sum([cover > line for line in EXPERTS], axis=0)]
