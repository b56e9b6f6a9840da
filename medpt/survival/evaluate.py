"""Metrics of a survival model's risks on the test patients, with controls.

Metrics are fractions. Only the threshold of the risk groups is fitted, on the training patients.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from medpt.errors import DivergedError
from medpt.identity import stream_seed
from medpt.survival.censoring import Weighted
from medpt.survival.concordance import comparable_pairs, concordance_index, strict_concordance_index
from medpt.survival.study import TEST, TRAIN, Study

Floats = NDArray[np.float64]
Real = TypeVar("Real", bound=np.floating)

RESAMPLES = 1_000  # of the bootstrap; its ends then move by less than 0.01 from seed to seed


def evaluate(study: Study, risk: Floats, weighted: Weighted) -> Iterator[tuple[str, float]]:
    """Yield names and values of the metrics of the risks (P,), higher = shorter survival.

    `weighted` is what medpt.survival.censoring.weigh makes of the risks.

    c_index (Harrell's) with c_index_low and c_index_high, the 95 % percentile interval over resampled test
    patients; c_index_strict (the paper's equation 4); c_index_ipcw (Uno's) and integrated_brier, which do not
    depend on censoring and are nan where undefined, and integrated_brier_trivial, of the Kaplan-Meier curve;
    as controls c_index_flipped, of the risks' negative, and c_index_random, of random risks; pairs, the
    number of comparable test pairs; censoring, the share of censored test patients; logrank_p of
    `risk_groups`. Raises DivergedError for risks that are not finite,
    InputError if no pair of test patients is comparable.
    """
    require_finite(risk)
    rows = study.rows(TEST)
    time, event, tested = study.time[rows], study.event[rows], risk[rows]
    low, high = bootstrap_interval(time, event, tested, study.seed)
    drawn = _generator(study.seed, "random risk").normal(size=len(rows))
    yield from risk_metrics(time, event, tested)
    yield from weighted_metrics(time, event, tested, weighted.weight, weighted.error)
    yield "c_index_low", low
    yield "c_index_high", high
    yield "integrated_brier_trivial", float(weighted.trivial_error.mean())
    yield "c_index_random", concordance_index(time, event, drawn)
    yield "logrank_p", risk_groups(study, risk).logrank_p


def risk_metrics(time: Floats, event: NDArray[np.bool_], risk: Floats) -> Iterator[tuple[str, float]]:
    """Yield those metrics of `evaluate` that the risks of the test patients determine."""
    yield "c_index", concordance_index(time, event, risk)
    yield "c_index_strict", strict_concordance_index(time, event, risk)
    yield "c_index_flipped", concordance_index(time, event, -risk)
    yield "pairs", float(comparable_pairs(time, event))
    yield "censoring", float(1 - event.mean())


def weighted_metrics(
    time: Floats, event: NDArray[np.bool_], risk: Floats, weight: Floats, error: Floats
) -> Iterator[tuple[str, float]]:
    """Yield those metrics of `evaluate` that are weighted for censoring."""
    yield "c_index_ipcw", weighted_concordance(time, event, risk, weight)
    yield "integrated_brier", float(error.mean())


def bootstrap_interval(
    time: Floats, event: NDArray[np.bool_], risk: Floats, seed: int
) -> tuple[float, float]:
    """Return the 2.5th and 97.5th percentile of `concordance_index` over patients drawn with replacement.

    Resamples without a comparable pair are excluded. Takes O(n²) memory. The interval holds for these
    patients and this model; it does not cover other splits and seeds.
    """
    comparable, credit = _pair_matrices(time, event, risk)
    draws = _generator(seed, "bootstrap").multinomial(len(time), np.full(len(time), 1 / len(time)), RESAMPLES)
    pairs, score = (((draws @ matrix) * draws).sum(1) for matrix in (comparable, credit))
    low, high = np.percentile(score[pairs > 0] / pairs[pairs > 0], [2.5, 97.5])
    return float(low), float(high)


def weighted_concordance(time: Floats, event: NDArray[np.bool_], risk: Floats, weight: Floats) -> float:
    """Return the concordance index in [0, 1] in which a pair counts with the `weight` of who died first.

    With the squared inverse probabilities of censoring it is that of Uno et al. 2011 (Stat. Med. 30:1105).
    nan where no comparable pair has a weight.
    """
    pairs, score = (weight @ matrix.sum(1) for matrix in _pair_matrices(time, event, risk))
    return float(score / pairs) if pairs > 0 else float("nan")


def concordance_influence(
    time: Floats, event: NDArray[np.bool_], risk: Floats, weight: Floats | None = None
) -> Floats:
    """Influence of each patient on `concordance_index`, (n,), summing to zero: its first projection.

    The index is a ratio of two means over pairs; a patient counts in all comparable pairs that contain it.
    With a `weight` (n,) it is that of `weighted_concordance`, which takes the weights as known. nan where no
    pair is comparable. O(n²) memory. It is of one test set: another split has other patients.
    """
    rows = np.ones(len(time)) if weight is None else weight
    each = (rows[:, None] * matrix for matrix in _pair_matrices(time, event, risk))
    comparable, credit = (matrix + matrix.T for matrix in each)
    pairs, score = comparable.sum(1), credit.sum(1)
    if not pairs.any():
        return np.full(len(time), np.nan)
    influence: Floats = 2 * len(time) * (score - score.sum() / pairs.sum() * pairs) / pairs.sum()
    return influence


def _pair_matrices(time: Floats, event: NDArray[np.bool_], risk: Floats) -> tuple[Floats, Floats]:
    """Return, (n, n) each: whether i is a death before j's end, and the pair's contribution to C."""
    later = (time > time[:, None]) | ((time == time[:, None]) & ~event)
    comparable = (later & event[:, None]).astype(float)
    return comparable, comparable * ((risk[:, None] > risk) + (risk[:, None] == risk) / 2)


@dataclass(frozen=True)
class Curve:
    """A Kaplan-Meier estimate: the share alive from each time (days) on, from 1 at day 0."""

    time: tuple[float, ...]
    survival: tuple[float, ...]
    patients: int
    deaths: int


@dataclass(frozen=True)
class RiskGroups:
    """Test patients at or below the median risk of the training patients, and those above it."""

    threshold: float
    low: Curve
    high: Curve
    logrank_p: float  # two-sided; nan where a group is empty or nobody died


def risk_groups(study: Study, risk: Floats) -> RiskGroups:
    """Return the survival curves of both groups and the log-rank test between them."""
    threshold = float(np.median(risk[study.rows(TRAIN)]))
    rows = study.rows(TEST)
    low, high = rows[risk[rows] <= threshold], rows[risk[rows] > threshold]
    return RiskGroups(threshold, _curve(study, low), _curve(study, high), _logrank_p(study, low, high))


def _curve(study: Study, rows: NDArray[np.intp]) -> Curve:
    time, survival = kaplan_meier(study.time[rows], study.event[rows])
    deaths = int(study.event[rows].sum())
    return Curve((0.0, *time.tolist()), (1.0, *survival.tolist()), len(rows), deaths)


def _logrank_p(study: Study, low: NDArray[np.intp], high: NDArray[np.intp]) -> float:
    from lifelines.statistics import logrank_test

    if not len(low) or not len(high) or not study.event[np.concatenate([low, high])].any():
        return float("nan")
    return float(logrank_test(study.time[low], study.time[high], study.event[low], study.event[high]).p_value)


def kaplan_meier(time: Floats, event: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return distinct ascending times (m,) and the share alive after each, (m,).

    Kaplan & Meier 1958: the product of 1 - deaths / at risk; patients censored at a time are at risk at it.
    """
    times, where = np.unique(time, return_inverse=True)
    ended = np.bincount(where, minlength=len(times))
    died = np.bincount(where, weights=event, minlength=len(times))
    at_risk = len(time) - np.cumsum(ended) + ended
    return times, np.cumprod(1 - died / at_risk)


def require_finite(risk: NDArray[Real]) -> NDArray[Real]:
    """Return `risk`; raise DivergedError unless all of it is finite."""
    if not np.isfinite(risk).all():
        raise DivergedError(f"{(~np.isfinite(risk)).sum()} of {len(risk)} predicted risks are not finite")
    return risk


def _generator(seed: int, use: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(stream_seed(seed, "survival evaluation", use)))
