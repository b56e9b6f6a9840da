"""What is reported of a model's risks: on the test patients alone, with controls beside every number.

Numbers are fractions; nothing here is fitted but the threshold of the risk groups, on training patients.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medpt.errors import DivergedError
from medpt.identity import stream_seed
from medpt.survival.concordance import comparable_pairs, concordance_index, strict_concordance_index
from medpt.survival.study import TEST, TRAIN, Study

Floats = NDArray[np.float64]

RESAMPLES = 1_000  # of the bootstrap; its ends then move by less than 0.01 from seed to seed


def evaluate(study: Study, risk: Floats) -> Iterator[tuple[str, float]]:
    """(name, value) for the risks (P,), higher = shorter survival.

    c_index (Harrell's) with c_index_low and c_index_high, the 95 % percentile interval over resampled test
    patients; c_index_strict (the paper's equation 4); as controls c_index_flipped, of the risks' negative,
    and c_index_random, of risks that are drawn; pairs and censoring of the test part; logrank_p of
    `risk_groups`. Raises DivergedError for risks that are not finite, InputError where no pair of test
    patients is comparable.
    """
    _refuse_diverged(risk)
    rows = study.rows(TEST)
    time, event, tested = study.time[rows], study.event[rows], risk[rows]
    c_index = concordance_index(time, event, tested)
    low, high = bootstrap_interval(time, event, tested, study.seed)
    drawn = _generator(study.seed, "random risk").normal(size=len(rows))
    yield "c_index", c_index
    yield "c_index_low", low
    yield "c_index_high", high
    yield "c_index_strict", strict_concordance_index(time, event, tested)
    yield "c_index_flipped", concordance_index(time, event, -tested)
    yield "c_index_random", concordance_index(time, event, drawn)
    yield "pairs", float(comparable_pairs(time, event))
    yield "censoring", float(1 - event.mean())
    yield "logrank_p", risk_groups(study, risk).logrank_p


def bootstrap_interval(
    time: Floats, event: NDArray[np.bool_], risk: Floats, seed: int
) -> tuple[float, float]:
    """2.5th and 97.5th percentile of `concordance_index` over patients drawn with replacement.

    Resamples without a comparable pair are left out. O(n²) memory. The interval is of these patients and
    this model: it tells nothing of another split or seed.
    """
    comparable, credit = _pair_matrices(time, event, risk)
    draws = _generator(seed, "bootstrap").multinomial(len(time), np.full(len(time), 1 / len(time)), RESAMPLES)
    pairs, score = (((draws @ matrix) * draws).sum(1) for matrix in (comparable, credit))
    low, high = np.percentile(score[pairs > 0] / pairs[pairs > 0], [2.5, 97.5])
    return float(low), float(high)


def concordance_influence(time: Floats, event: NDArray[np.bool_], risk: Floats) -> Floats:
    """Influence of each patient on `concordance_index`, (n,), summing to zero: its first projection.

    The index is a ratio of two means over pairs; a patient counts in all comparable pairs that contain it.
    nan where no pair is comparable. O(n²) memory. It is of one test set: another split has other patients.
    """
    comparable, credit = (matrix + matrix.T for matrix in _pair_matrices(time, event, risk))
    pairs, score = comparable.sum(1), credit.sum(1)
    if not pairs.any():
        return np.full(len(time), np.nan)
    influence: Floats = 2 * len(time) * (score - score.sum() / pairs.sum() * pairs) / pairs.sum()
    return influence


def _pair_matrices(time: Floats, event: NDArray[np.bool_], risk: Floats) -> tuple[Floats, Floats]:
    """(n, n): whether i is a death that j outlived, and what C gives for the pair."""
    later = (time > time[:, None]) | ((time == time[:, None]) & ~event)
    comparable = (later & event[:, None]).astype(float)
    return comparable, comparable * ((risk[:, None] > risk) + (risk[:, None] == risk) / 2)


@dataclass(frozen=True)
class Curve:
    """Kaplan-Meier estimate: the share alive from each time on, from 1 at day 0; plain numbers."""

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
    """The two curves and the log-rank test between them; p ignores that the risks come in degrees."""
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
    """Times (m,), ascending and distinct, and the share that lives beyond each, (m,).

    Kaplan & Meier 1958: the product of 1 - deaths / at risk; who is censored at a time is at risk at it.
    """
    times, where = np.unique(time, return_inverse=True)
    ended = np.bincount(where, minlength=len(times))
    died = np.bincount(where, weights=event, minlength=len(times))
    at_risk = len(time) - np.cumsum(ended) + ended
    return times, np.cumprod(1 - died / at_risk)


def _refuse_diverged(risk: Floats) -> None:
    bad = int((~np.isfinite(risk)).sum())
    if bad:
        raise DivergedError(f"survival: {bad} of {len(risk)} risks are not finite")


def _generator(seed: int, use: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(stream_seed(seed, "survival evaluation", use)))
