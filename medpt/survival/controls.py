"""What a survival model has to exceed: numbers that are known without the slides, and untrained networks.

Scores are C-indices of test patients, means over the splits that the models of a cohort are tested on. A
median risk for everybody has 0.5.
"""

import re
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import nn

from medpt.normalisation import IMAGENET
from medpt.survival.cohort import Cohort
from medpt.survival.concordance import concordance_index
from medpt.survival.cox import FOLDS, fit_ridge, fit_ridge_cv
from medpt.survival.features import embed, pooled, settle_batch_norm
from medpt.survival.split import cross_validated, split_patients
from medpt.survival.study import TEST

Floats = NDArray[np.float64]
Events = NDArray[np.bool_]

PENALTY = 0.01  # of the Cox regression on one number: bounds its slope where the number orders all deaths
CHANCE = 0.5


def numbers(cohort: Cohort) -> Iterator[tuple[str, Floats]]:
    """Yield names and values (P,) of what is known of each patient without a slide; nan where unknown.

    Numbers that are the same for all patients, or unknown of most, are excluded.
    """
    names = cohort.patients
    slides = [slide.patient for slide in cohort.manifest.slides]
    order = np.empty(len(names))
    order[sorted(range(len(names)), key=lambda row: names[row])] = np.linspace(0, 1, len(names))
    found = {
        "order of files": order,
        "number in the id": np.array([last_number(name) for name in names]),
        "number of slides": np.array([slides.count(name) for name in names], np.float64),
        "number of patches": np.bincount(cohort.patient, minlength=len(names)).astype(np.float64),
    }
    for name, values in (found | cohort.clinical).items():
        known = values[~np.isnan(values)]
        if 2 * len(known) > len(values) and len(np.unique(known)) > 1:
            yield name, values


def last_number(name: str) -> float:
    """Return the last number in a name; nan if there is none."""
    digits = re.findall(r"\d+", name)
    return float(digits[-1][-15:]) if digits else float("nan")


def image_free_scores(cohort: Cohort, splits: Sequence[int]) -> dict[str, dict[str, float]]:
    """Return by number its C-index in cross-validations (`validation`) and on test patients (`test`).

    `splits` are the seeds that split the patients. Each number is the only column of a Cox regression, which
    finds its direction on the training and validation patients; unknown values are their median.
    """
    time, event = cohort.time, cohort.event
    found: dict[str, dict[str, float]] = {}
    for name, values in numbers(cohort):
        scores = [
            _score_of_number(values, time, event, split_patients(cohort.patients, time, event, seed) == TEST)
            for seed in splits
        ]
        found[name] = dict(zip(("validation", "test"), np.mean(scores, 0).tolist(), strict=True))
    return found


def _score_of_number(values: Floats, time: Floats, event: Events, tested: Events) -> tuple[float, float]:
    rest = ~tested
    known = np.where(np.isnan(values), np.nanmedian(values[rest]), values)[:, None]
    x, t, e = known[rest], time[rest], event[rest]

    def risks(inside: Events, outside: Events) -> Iterator[Floats]:
        yield fit_ridge(x[inside], t[inside], e[inside], PENALTY)(x[outside])

    (validation,) = cross_validated(t, e, FOLDS, 0, risks)
    risk = fit_ridge(x, t, e, PENALTY)(known[tested])
    return float(validation), concordance_index(time[tested], event[tested], risk)


def untrained_score(
    encoder: nn.Module, cohort: Cohort, splits: Sequence[int], images: int, device: str
) -> float:
    """Return the C-index of a ridge Cox regression on the features of an untrained encoder.

    A patient is the mean of at most `images` / P patches, which also set batch norm's statistics. Patients
    without a patch have the median risk.
    """
    rows = _sample(cohort, max(1, images // len(cohort.patients)))
    encoder.to(device)
    settle_batch_norm(encoder, cohort.images, rows, device)
    encoder.eval()
    features = embed(lambda batch: pooled(encoder, batch), cohort.images, rows, device, IMAGENET)
    sums = np.zeros((len(cohort.patients), features.shape[1]))
    np.add.at(sums, cohort.patient[rows], features)
    counts = np.bincount(cohort.patient[rows], minlength=len(sums))
    means = sums / np.maximum(counts, 1)[:, None]
    return float(np.mean([_score_of_features(means, counts > 0, cohort, seed) for seed in splits]))


def _sample(cohort: Cohort, each: int) -> NDArray[np.intp]:
    """Draw at most `each` patches of every patient, in random order."""
    mixed = np.random.default_rng(0).permutation(len(cohort.patient))
    by_patient = np.argsort(cohort.patient[mixed], kind="stable")
    patients = cohort.patient[mixed][by_patient]
    place = np.arange(len(patients)) - np.searchsorted(patients, patients)
    kept = np.zeros(len(mixed), dtype=bool)
    kept[by_patient[place < each]] = True
    return mixed[kept]


def _score_of_features(means: Floats, seen: Events, cohort: Cohort, seed: int) -> float:
    time, event = cohort.time, cohort.event
    tested = split_patients(cohort.patients, time, event, seed) == TEST
    fitted = seen & ~tested
    model = fit_ridge_cv(means[fitted], time[fitted], event[fitted], seed)
    risk = np.where(seen, model(means), np.median(model(means[fitted])))
    return concordance_index(time[tested], event[tested], risk[tested])
