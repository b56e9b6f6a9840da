"""Which patients train, validate and test, and the folds within the training part.

Every cut is by patient: whatever slides and patches a patient has follow it. Equal seeds give equal cuts,
in whatever order the patients come. What this file cannot see: one patient under two names.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from medpt.data.splits import stratified_order
from medpt.errors import InputError
from medpt.identity import stream_seed
from medpt.survival.concordance import comparable_pairs, concordance_index
from medpt.survival.study import TEST, TRAIN, VALIDATION

TEST_FRACTION = 0.2  # paper, section 2.1: 80/20 where the owner gives no split
VALIDATION_FRACTION = 0.1  # of the training patients; the paper names none
NAMES = {TRAIN: "training", VALIDATION: "validation", TEST: "test"}


def parts(
    patients: Sequence[str], time: NDArray[np.float64], event: NDArray[np.bool_], seed: int
) -> NDArray[np.int8]:
    """TRAIN, VALIDATION or TEST for each of P patients: a fifth tests, a tenth of the others validates.

    Stratified by event, the share of deaths in each part being right to within two, and within these by
    the tertile of time. Raises InputError for a patient named twice, for a time that is not above 0, for
    fewer than five patients and for a part that is all censored.
    """
    _refuse_bad(patients, time)
    by_name = np.argsort(np.asarray(patients, dtype=str), kind="stable")
    generator = np.random.Generator(np.random.PCG64(stream_seed(seed, "survival split")))
    order = by_name[survival_order(time[by_name], event[by_name], generator)]
    tested = max(2, round(TEST_FRACTION * len(order)))
    validated = max(2, round(VALIDATION_FRACTION * (len(order) - tested)))
    part = np.full(len(order), TRAIN, dtype=np.int8)
    part[order[:tested]] = TEST
    part[order[tested : tested + validated]] = VALIDATION
    _refuse_censored(part, event)
    return part


def folds(time: NDArray[np.float64], event: NDArray[np.bool_], count: int, seed: int) -> NDArray[np.int64]:
    """A fold 0..count-1 for each patient; folds differ by one in patients and in deaths at the most.

    Patients are dealt out in turn, the dead before the censored, and among these tertile after tertile.
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
    """The C-index of each candidate (c,) on the patients of a fold left out, mean over the folds.

    `risks(inside, outside)` fits every candidate on the rows `inside` and gives each one's risks of the rows
    `outside`. Folds without a comparable pair are left out; InputError where that is all of them.
    """
    fold, scores = folds(time, event, count, seed), []
    for number in range(count):
        outside = fold == number
        if comparable_pairs(time[outside], event[outside]):
            candidates = risks(~outside, outside)
            scores.append([concordance_index(time[outside], event[outside], risk) for risk in candidates])
    if not scores:
        raise InputError(
            f"cross-validation: {event.sum()} deaths among {len(event)} patients: no fold can tell"
        )
    return np.mean(scores, 0)


def survival_order(
    time: NDArray[np.float64], event: NDArray[np.bool_], generator: np.random.Generator
) -> NDArray[np.int64]:
    """A permutation whose prefixes hold the share of deaths, and of each tertile among dead and censored."""
    tertile = tertiles(time)
    order = np.empty(len(time), dtype=np.int64)
    kinds = np.asarray(event)[stratified_order(event, generator)]
    for kind in (True, False):
        rows = np.flatnonzero(event == kind)
        order[kinds == kind] = rows[stratified_order(tertile[rows], generator)]
    return order


def tertiles(time: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.searchsorted(np.quantile(time, (1 / 3, 2 / 3)), time)


def _refuse_bad(patients: Sequence[str], time: NDArray[np.float64]) -> None:
    names, counts = np.unique(np.asarray(patients, dtype=str), return_counts=True)
    problems = [
        f"split: patient {str(name)!r} is there twice; accepted: once each" for name in names[counts > 1]
    ]
    problems += [
        f"split: patient {str(patients[int(row)])!r}: time {time[row]}; accepted: a number of days above 0"
        for row in np.flatnonzero(~(np.asarray(time) > 0))
    ]
    if len(names) < 5:
        problems.append(f"split: {len(names)} patients; accepted: 5 or more")
    if problems:
        raise InputError(problems)


def _refuse_censored(part: NDArray[np.int8], event: NDArray[np.bool_]) -> None:
    problems = [
        f"split: the {name} part: all of its {(part == number).sum()} patients are censored; accepted: a "
        f"death in each part, from more patients or another seed ({event.sum()} of {len(event)} died)"
        for number, name in NAMES.items()
        if not event[part == number].any()
    ]
    if problems:
        raise InputError(problems)
