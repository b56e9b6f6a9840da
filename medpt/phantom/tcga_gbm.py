"""TCGA-GBM: the slides of medpt/phantom/tcga.py, with the tables of Mobadersany et al. 2018."""

from pathlib import Path

from medpt.phantom import tcga


def write(folder: Path, seed: int, train: int = 8, test: int = 1, size: int = 96) -> None:
    """Draw `train` patients with survival and `test` without; slides of 4 size x 4 size pixels."""
    _write_tables(folder, tcga.write_slides(folder, "GBM", seed, train, test, size))


def _write_tables(folder: Path, patients: list[tcga.Patient]) -> None:
    lines = ["TCGA ID,indexes,censored,Survival months,codeletion,idh mutation"]
    rows = [(patient.name, patient.days, patient.died) for patient in patients]
    rows += [("TCGA-CS-4938", 3574, False), ("TCGA-02-9998", 0, True)]
    lines += [f"{name},{n},{int(not died)},{days},0,0" for n, (name, days, died) in enumerate(rows)]
    (folder / "all_dataset.csv").write_text("\n".join(lines) + "\n")
    lines = ["TCGA ID,Histology,Grade,Molecular subtype,age,gender"]
    lines += [f"{p.name},glioblastoma,{p.grade}.0,IDHwt,{p.age}.0,female" for p in patients]
    (folder / "grade_data.csv").write_text("\n".join(lines) + "\n")
