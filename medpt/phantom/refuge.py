"""REFUGE: the six archives of 2018, unpacked.

Traps: subsets of different frame sizes, an extra folder, masks that count down (0 cup, 128 rim, 255
background), sheets with the labels under different names, the sheet of the training set without any, an
illustration, macOS debris.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medpt.phantom.fundus import develop, paint_optic_disc, photograph
from medpt.phantom.paint import Rng, debris, save, stream
from medpt.phantom.tables import write_xlsx

GLAUCOMA_EVERY = 3  # flatter than the original, where it is every tenth
FOVEA = ("Fovea_X", "Fovea_Y")


def write(folder: Path, seed: int, train: int = 60, test: int = 30, size: int = 128) -> None:
    """`train` images of size x 1.03 size; `test` of 0.77 size, square, in validation and test set each."""
    counts = {True: 0, False: 0}
    rows: list[tuple[str, int, int]] = []
    for n in range(train):
        sick = n % GLAUCOMA_EVERY == 0
        counts[sick] += 1
        name, kind = f"{'g' if sick else 'n'}{counts[sick]:04d}", "Glaucoma" if sick else "Non-Glaucoma"
        image, mask = eye(stream(seed, "REFUGE", name), size, round(size * 1.03), sick)
        save(folder / "REFUGE-Training400" / "Training400" / kind / f"{name}.jpg", image, "JPEG")
        save(folder / "Annotation-Training400" / "Disc_Cup_Masks" / kind / f"{name}.bmp", mask, "BMP")
        rows.append((f"{name}.jpg", 40, 50))
    write_xlsx(folder / "Annotation-Training400" / "Fovea_location.xlsx", [("ImgName", *FOVEA), *rows])
    _validation(folder, seed, test, round(size * 0.77))
    _test(folder, seed, test, round(size * 0.77))
    debris(folder / "Annotation-Training400", "Fovea_location.xlsx")


def _validation(folder: Path, seed: int, count: int, side: int) -> None:
    rows: list[tuple[str | int, ...]] = [("ID", "ImgName", *FOVEA, "Glaucoma Label")]
    for n in range(1, count + 1):
        name, sick = f"V{n:04d}", n % GLAUCOMA_EVERY == 0
        image, mask = eye(stream(seed, "REFUGE", name), side, side, sick)
        save(folder / "REFUGE-Validation400" / f"{name}.jpg", image, "JPEG")
        save(folder / "REFUGE-Validation400-GT" / "Disc_Cup_Masks" / f"{name}.bmp", mask, "BMP")
        rows.append((n, f"{name}.jpg", 40, 50, int(sick)))
    write_xlsx(folder / "REFUGE-Validation400-GT" / "Fovea_locations.xlsx", rows)


def _test(folder: Path, seed: int, count: int, side: int) -> None:
    rows: list[tuple[str | int, ...]] = [("ID", "ImgName", "Label(Glaucoma=1)", *FOVEA)]
    truth = folder / "REFUGE-Test-GT"
    for n in range(1, count + 1):
        name, sick = f"T{n:04d}", n % GLAUCOMA_EVERY == 1
        image, mask = eye(stream(seed, "REFUGE", name), side, side, sick)
        save(folder / "Test400" / f"{name}.jpg", image, "JPEG")
        save(truth / "Disc_Cup_Masks" / ("G" if sick else "N") / f"{name}.bmp", mask, "BMP")
        rows.append((n, f"{name}.jpg", int(sick), 40, 50))
        if n == 1:
            save(truth / "Illustration" / f"{name}.bmp", mask, "BMP")
    write_xlsx(truth / "Glaucoma_label_and_Fovea_location.xlsx", rows)


def eye(rng: Rng, height: int, width: int, glaucoma: bool) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A photograph and its mask as stored; glaucoma widens the cup."""
    canvas = photograph(rng, height, width)
    disc, cup = paint_optic_disc(rng, canvas, rng.uniform(0.7, 0.85) if glaucoma else rng.uniform(0.25, 0.5))
    mask = np.where(cup > 0.5, 0, np.where(disc > 0.5, 128, 255)).astype(np.uint8)
    return develop(rng, canvas), mask
