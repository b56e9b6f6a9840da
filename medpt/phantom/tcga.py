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
from medpt.phantom.tcga_slides import mark, tissue, write_svs

SITES = {"GBM": ("02", "06", "OX"), "LGG": ("CS", "DU", "HT")}
MEDIAN_DAYS = {"GBM": 400.0, "LGG": 2000.0}
DYING = {"GBM": (1, 2, 4), "LGG": (1, 3)}  # of five patients in turn: shares do not hang on luck
SHAPE = 3.0  # of the Weibull distribution of times: they span decades, not millennia
HAZARD = 9.0
SECTIONS = ("01Z-00-DX1", "01Z-00-DX2", "01Z-00-DXA", "01A-01-BS1")
PIXEL = 0.502  # microns, at 20x


@dataclass(frozen=True)
class Patient:
    name: str
    days: int
    died: bool
    age: int
    grade: int


def write_project(folder: Path, project: str, seed: int, train: int, test: int, size: int) -> None:
    patients = []
    for n in range(train + test):
        rng = stream(seed, "TCGA", project, n)
        necrotic = rng.uniform(0, 0.25)
        dense = rng.uniform(0, 1) * (1 - necrotic)
        patient = _patient(rng, project, n, dense)
        for section in SECTIONS[: 1 + n % 4]:
            own = stream(seed, "TCGA", project, n, section)
            _slide(folder / "slides", own, patient.name, section, dense, necrotic, size)
        if n < train:
            patients.append(patient)
    _gbm_tables(folder, patients) if project == "GBM" else _lgg_table(folder, patients)


def _patient(rng: Rng, project: str, n: int, dense: float) -> Patient:
    died = n % 5 in DYING[project]
    hazard = np.log(2) * np.exp(HAZARD * (dense - 0.45))
    days = MEDIAN_DAYS[project] * (rng.exponential(1) / hazard) ** (1 / SHAPE)
    seen = days if died else days * rng.uniform(0.3, 1)
    name = f"TCGA-{SITES[project][n % 3]}-{n + 1:04d}"
    grade = 4 if project == "GBM" else int(rng.integers(2, 4))
    return Patient(name, round(seen) + 1, died, int(rng.integers(20, 85)), grade)


def _gbm_tables(folder: Path, patients: list[Patient]) -> None:
    lines = ["TCGA ID,indexes,censored,Survival months,codeletion,idh mutation"]
    rows = [(patient.name, patient.days, patient.died) for patient in patients]
    rows += [("TCGA-CS-4938", 3574, False), ("TCGA-02-9998", 0, True)]
    lines += [f"{name},{n},{int(not died)},{days},0,0" for n, (name, days, died) in enumerate(rows)]
    (folder / "all_dataset.csv").write_text("\n".join(lines) + "\n")
    lines = ["TCGA ID,Histology,Grade,Molecular subtype,age,gender"]
    lines += [f"{p.name},glioblastoma,{p.grade}.0,IDHwt,{p.age}.0,female" for p in patients]
    (folder / "grade_data.csv").write_text("\n".join(lines) + "\n")


def _lgg_table(folder: Path, patients: list[Patient]) -> None:
    columns = "case_submitter_id project_id vital_status days_to_death days_to_last_follow_up"
    lines = ["\t".join([*columns.split(), "age_at_index", "tumor_grade"])]
    for n, patient in enumerate(patients):
        for earlier in (0, 30)[: 1 + n % 2]:
            seen = max(1, patient.days - 30 + earlier)
            days = f"{patient.days}\t'--" if patient.died else f"'--\t{seen}"
            status = "Dead" if patient.died else "Alive"
            facts = f"{patient.age}\tG{patient.grade}"
            lines.append(f"{patient.name}\tTCGA-LGG\t{status}\t{days}\t{facts}")
    lines += ["TCGA-CS-9998\tTCGA-LGG\tNot Reported\t'--\t'--\t'--\t'--"]
    lines += [
        "TCGA-CS-9999\tTCGA-LGG\tDead\t'--\t100\t50\tG3",
        "TCGA-02-0001\tTCGA-GBM\tDead\t358\t'--\t'--\t'--",
    ]
    (folder / "clinical.tsv").write_text("\n".join(lines) + "\n")


def _slide(
    folder: Path, rng: Rng, patient: str, section: str, dense: float, necrotic: float, size: int
) -> None:
    digits = stream(0, "TCGA", patient, section).bytes(16).hex()
    uuid = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    uuid = uuid.upper() if int(digits[0], 16) % 2 else uuid
    place = folder / f"{digits[::-1][:8]}-{digits[4:8]}"
    place.mkdir(parents=True)
    kind = section[-3:]
    magnification = 40 if kind == "DXA" else 20
    pixels = tissue(rng, 4 * size * 20 // magnification, size, dense, necrotic)
    if magnification == 40:
        pixels = opencv().resize(pixels, (4 * size, 4 * size), interpolation=opencv().INTER_CUBIC)
    if kind == "DX2":
        mark(pixels)
    scale = "" if kind == "DX2" else f"|MPP = {PIXEL * 20 / magnification:.4f}"
    write_svs(place / f"{patient}-{section}.{uuid}.svs", pixels, f"AppMag = {magnification}{scale}")
    (place / "logs").mkdir()
    (place / "logs" / "download.parcel").write_bytes(b"")
