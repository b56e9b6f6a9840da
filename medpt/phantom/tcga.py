"""TCGA as the GDC's client leaves it: a folder a file; slides that OpenSlide reads as Aperio's; survival.

GBM comes with `all_dataset.csv` and `grade_data.csv`, LGG with `clinical.tsv`. The larger the share of dense
nuclei, the shorter the survival: the logarithm of the hazard rises by HAZARD from none to all, times are
exponential in days ** SHAPE, and two in five (LGG: three in five) are censored at a random share of them.
That share ranks the patients of a large cohort with a C-index of 0.87; age and grade say nothing.
Traps: slides DXA (at 40x) and frozen sections, identifiers in either case, slides without microns a pixel and
with pen on them, patients of the other project in the tables, rows twice for two diagnoses, `'--`, times of
zero, slides without a patient.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medpt.data.decode import opencv
from medpt.phantom.paint import Rng, stream
from medpt.phantom.tcga_slides import Pixels, mark, tissue, write_svs

SITES = {"GBM": ("02", "06", "OX"), "LGG": ("CS", "DU", "HT")}
MEDIAN_DAYS = {"GBM": 400.0, "LGG": 2000.0}
DYING = {"GBM": (1, 2, 4), "LGG": (1, 3)}  # of five patients in turn: shares do not hang on luck
SHAPE = 3.0  # of the Weibull distribution of times: they span decades, not millennia
HAZARD = 9.0
SECTIONS = ("01Z-00-DX1", "01Z-00-DX2", "01Z-00-DXA", "01A-01-BS1")
MAGNIFICATION = {"DXA": 40}  # of other sections 20
PIXEL = 0.502  # microns, at 20x


@dataclass(frozen=True)
class Patient:
    name: str
    days: int
    died: bool
    age: int
    grade: int


def write_slides(folder: Path, project: str, seed: int, train: int, test: int, size: int) -> list[Patient]:
    """Write the slides of a project, GBM or LGG, and return its `train` patients with survival."""
    patients = []
    for n in range(train + test):
        rng = stream(seed, "TCGA", project, n)
        necrotic = rng.uniform(0, 0.25)
        dense = rng.uniform(0, 1) * (1 - necrotic)
        patient = _patient(rng, project, n, dense)
        for section in SECTIONS[: 1 + n % 4]:
            own = stream(seed, "TCGA", project, n, section)
            width = 4 * size * 20 // MAGNIFICATION.get(section[-3:], 20)
            pixels = tissue(own, width, size, dense, necrotic)
            _write_slide(folder / "slides", patient.name, section, pixels, 4 * size)
        if n < train:
            patients.append(patient)
    return patients


def _patient(rng: Rng, project: str, n: int, dense: float) -> Patient:
    died = n % 5 in DYING[project]
    hazard = np.log(2) * np.exp(HAZARD * (dense - 0.45))
    days = MEDIAN_DAYS[project] * (rng.exponential(1) / hazard) ** (1 / SHAPE)
    seen = days if died else days * rng.uniform(0.3, 1)
    name = f"TCGA-{SITES[project][n % 3]}-{n + 1:04d}"
    grade = 4 if project == "GBM" else int(rng.integers(2, 4))
    return Patient(name, round(seen) + 1, died, int(rng.integers(20, 85)), grade)


def _write_slide(folder: Path, patient: str, section: str, pixels: Pixels, width: int) -> None:
    digits = stream(0, "TCGA", patient, section).bytes(16).hex()
    uuid = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    uuid = uuid.upper() if int(digits[0], 16) % 2 else uuid
    place = folder / f"{digits[::-1][:8]}-{digits[4:8]}"
    place.mkdir(parents=True)
    kind = section[-3:]
    magnification = MAGNIFICATION.get(kind, 20)
    if magnification == 40:
        pixels = opencv().resize(pixels, (width, width), interpolation=opencv().INTER_CUBIC)
    if kind == "DX2":
        mark(pixels)
    scale = "" if kind == "DX2" else f"|MPP = {PIXEL * 20 / magnification:.4f}"
    write_svs(place / f"{patient}-{section}.{uuid}.svs", pixels, f"AppMag = {magnification}{scale}")
    (place / "logs").mkdir()
    (place / "logs" / "download.parcel").write_bytes(b"")
