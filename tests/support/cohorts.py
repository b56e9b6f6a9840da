"""Cohorts with a known answer: a risk planted in the features, or times that know nothing of them."""

import csv
from pathlib import Path

import numpy as np

from medpt.survival.concordance import concordance_index
from medpt.survival.split import split_patients
from medpt.survival.study import TEST, Prediction, Study

Cohort = tuple[np.ndarray, np.ndarray, np.ndarray]


def planted(seed: int, patients: int = 120, columns: int = 6, shuffled: bool = False) -> Cohort:
    """Features (P, columns), of which the first two carry the log hazard, days and deaths (P,)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(patients, columns))
    life = 900 * rng.exponential(size=patients) * np.exp(-1.6 * (x[:, 0] - x[:, 1]))
    end = 1800 * rng.exponential(size=patients)
    time, event = np.minimum(life, end) + 1, life <= end
    order = rng.permutation(patients) if shuffled else np.arange(patients)
    return x, time[order], event[order]


def real_labels(real: Path) -> tuple[np.ndarray, np.ndarray]:
    """Days and deaths (P,) of the patients of TCGA-LGG."""
    with (real / "derived" / "TCGA" / "tcga_lgg_path_full.csv").open() as file:
        rows = {row["patient_id"]: (float(row["t"]), row["e"] == "1") for row in csv.DictReader(file)}
    kept = [label for label in rows.values() if label[0] > 0]
    return np.array([time for time, _ in kept]), np.array([event for _, event in kept])


def study(cohort: Cohort, seed: int, patches: int = 3) -> Study:
    """Each patient's features, as clinical columns and as the mean of his patches' handcrafted vectors."""
    x, time, event = cohort
    rng = np.random.default_rng([seed, 1])
    vectors = rng.normal(size=(len(x) * patches, 40))
    vectors[:, : x.shape[1]] = 0.1 * vectors[:, : x.shape[1]] + np.repeat(x, patches, 0)
    names = tuple(f"patient-{row:04}" for row in range(len(x)))
    return Study(
        patients=names,
        time=time,
        event=event,
        split=split_patients(names, time, event, seed),
        patient=np.repeat(np.arange(len(x), dtype=np.int32), patches),
        handcrafted=vectors.astype(np.float32),
        clinical={f"column-{number}": x[:, number] for number in range(x.shape[1])},
        seed=seed,
    )


def index_of_test_part(cohort: Study, prediction: Prediction) -> float:
    rows = cohort.rows(TEST)
    return concordance_index(cohort.time[rows], cohort.event[rows], prediction.risk[rows])
