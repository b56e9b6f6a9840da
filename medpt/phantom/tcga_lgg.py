"""TCGA-LGG: the slides of medpt/phantom/tcga.py, with the clinical table of the GDC."""

from pathlib import Path

from medpt.phantom import tcga


def write(folder: Path, seed: int, train: int = 8, test: int = 1, size: int = 96) -> None:
    """Draw `train` patients with survival and `test` without; slides of 4 size x 4 size pixels."""
    _write_table(folder, tcga.write_slides(folder, "LGG", seed, train, test, size))


def _write_table(folder: Path, patients: list[tcga.Patient]) -> None:
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
