"""Training, validation and test patients, and folds of the training patients.

All slides and patches of a patient are in one set. Equal seeds give equal splits for any order of the
patients. One patient under two names is not detected.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from medpt.data.splits import stratified_order
from medpt.errors import InputError
from medpt.identity import stream_seed
from medpt.survival.concordance import comparable_pairs, concordance_index
from medpt.survival.study import TEST, TRAIN, VALIDATION

TEST_FRACTION = 0.2  # paper, section 2.1: 80/20 where the publisher gives no split
VALIDATION_FRACTION = 0.1  # of the training patients; the paper names none
NAMES = {TRAIN: "training", VALIDATION: "validation", TEST: "test"}


def split_patients(
    patients: Sequence[str], time: NDArray[np.float64], event: NDArray[np.bool_], seed: int
) -> NDArray[np.int8]:
    """Return TRAIN, VALIDATION or TEST for each of P patients, int8 (P,).

    A fifth of the patients is the test set, a tenth of the others the validation set. The split is stratified
    by event, to within two deaths in each set, and within these by the tertile of time. Raises InputError for
    a patient named twice, a time that is not above 0, fewer than five patients, and a set without a death.
    """
    _refuse_bad(patients, time)
    by_name = np.argsort(np.asarray(patients, dtype=str), kind="stable")
    generator = np.random.Generator(np.random.PCG64(stream_seed(seed, "survival split")))
    order = by_name[survival_order(time[by_name], event[by_name], generator)]
    tested = max(2, round(TEST_FRACTION * len(order)))
    validated = max(2, round(VALIDATION_FRACTION * (len(order) - tested)))
    split = np.full(len(order), TRAIN, dtype=np.int8)
    split[order[:tested]] = TEST
    split[order[tested : tested + validated]] = VALIDATION
    _refuse_censored(split, event)
    return split


def folds(time: NDArray[np.float64], event: NDArray[np.bool_], count: int, seed: int) -> NDArray[np.int64]:
    """Return a fold 0..count-1 for each patient; folds differ by at most one patient and one death.

    Patients are assigned in turn, deaths before censored patients, and within these by tertile of time.
    """
    generator = np.random.Generator(np.random.PCG64(stream_seed(seed, "survival folds")))
    fold = np.empty(len(time), dtype=np.int64)
    fold[np.lexsort((generator.permutation(len(time)), tertiles(time), ~event))] = (
        np.arange(len(time)) % count
    )
    return fold


def cross_validated(
    time: NDArray[np.float64],
    event: NDArray[np.bool_],
    count: int,
    seed: int,
    risks: Callable[[NDArray[np.bool_], NDArray[np.bool_]], Iterable[NDArray[np.float64]]],
) -> NDArray[np.float64]:
    """Return the C-index of each candidate, (c,): the mean over folds of that of the patients left out.

    `risks(inside, outside)` fits every candidate on the rows `inside` and yields its risks of the rows
    `outside`. Folds without a comparable pair are excluded. Raises InputError if no fold has one.
    """
    fold, scores = folds(time, event, count, seed), []
    for number in range(count):
        outside = fold == number
        if comparable_pairs(time[outside], event[outside]):
            candidates = risks(~outside, outside)
            scores.append([concordance_index(time[outside], event[outside], risk) for risk in candidates])
    if not scores:
        raise InputError(
            f"cross-validation, {event.sum()} deaths of {len(event)} patients: no fold has a comparable pair"
        )
    return np.mean(scores, 0)


def survival_order(
    time: NDArray[np.float64], event: NDArray[np.bool_], generator: np.random.Generator
) -> NDArray[np.int64]:
    """Return a permutation whose prefixes keep the share of deaths and, within these, of each tertile."""
    tertile = tertiles(time)
    order = np.empty(len(time), dtype=np.int64)
    kinds = np.asarray(event)[stratified_order(event, generator)]
    for kind in (True, False):
        rows = np.flatnonzero(event == kind)
        order[kinds == kind] = rows[stratified_order(tertile[rows], generator)]
    return order


def tertiles(time: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the tertile 0, 1 or 2 of each time."""
    return np.searchsorted(np.quantile(time, (1 / 3, 2 / 3)), time)


def _refuse_bad(patients: Sequence[str], time: NDArray[np.float64]) -> None:
    names, counts = np.unique(np.asarray(patients, dtype=str), return_counts=True)
    problems = [
        f"split: patient {str(name)!r} is named twice; name each patient once" for name in names[counts > 1]
    ]
    problems += [
        f"split: patient {str(patients[int(row)])!r}: time {time[row]}; accepted: a number of days above 0"
        for row in np.flatnonzero(~(np.asarray(time) > 0))
    ]
    if len(names) < 5:
        problems.append(f"split: {len(names)} patients; accepted: 5 or more")
    if problems:
        raise InputError(problems)


def _refuse_censored(split: NDArray[np.int8], event: NDArray[np.bool_]) -> None:
    problems = [
        f"split: {name} set: all of its {(split == number).sum()} patients are censored; each set needs a "
        f"death: use more patients or another seed ({event.sum()} of {len(event)} died)"
        for number, name in NAMES.items()
        if not event[split == number].any()
    ]
    if problems:
        raise InputError(problems)
