"""Rank initializations by several kinds of evidence, and measure how far such a ranking has been right.

Within a kind of evidence, ranks run from 0 (best) to 1 (worst), with mean ranks for ties. An initialization's
mean rank is the mean over the kinds that it has, with equal weights. Nothing is fitted, because a dozen
targets at most are too few to fit weights on.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from grid.results.comparisons import Interval

HIGHER = {"cmd": False, "logme": True, "gain": True}  # is better
LISTED, RESAMPLES = 6, 20_000  # all resamples of up to six values are listed, of more they are drawn
LEAST = 3  # fewer measured targets or initializations give no recommendation

Values = Mapping[str, float]  # by initialization
Evidences = Mapping[str, Values]  # by kind, a key of HIGHER


def mean_ranks(evidences: Evidences) -> dict[str, float]:
    """Return the mean rank of each initialization, in [0, 1], the best first.

    A kind of evidence that only one initialization has is not used.
    """
    from scipy.stats import rankdata

    ranks: dict[str, list[float]] = {}
    for kind, values in evidences.items():
        if len(values) < 2:
            continue
        signed = np.array(list(values.values())) * (-1 if HIGHER[kind] else 1)
        for name, rank in zip(values, (rankdata(signed) - 1) / (len(values) - 1), strict=True):
            ranks.setdefault(name, []).append(float(rank))
    means = {name: float(np.mean(found)) for name, found in ranks.items()}
    return dict(sorted(means.items(), key=lambda item: item[1]))


def positions(ranks: Values) -> dict[str, int]:
    """Return the position of each initialization, 1 for the best; equal mean ranks share a position."""
    return {name: 1 + sum(other < rank - 1e-12 for other in ranks.values()) for name, rank in ranks.items()}


def agreement(ranks: Values, measured: Values) -> float | None:
    """Return Kendall's tau-b of mean ranks with the measured order, in [-1, 1]; 0 if either is constant.

    Uses the initializations that have both; None for fewer than LEAST. Kendall 1945 (ties).
    """
    from scipy.stats import kendalltau

    names = [name for name in ranks if name in measured]
    if len(names) < LEAST:
        return None
    tau = kendalltau([-round(ranks[name], 12) for name in names], [measured[name] for name in names])
    return float(np.nan_to_num(tau.statistic))


@dataclass(frozen=True)
class Trust:
    """How far rankings agree with measurements.

    `taus` is by measured target, each ranked without its own results. `initializations` counts the ranked
    ones.
    """

    taus: Mapping[str, float]
    initializations: int

    @property
    def tau(self) -> Interval:
        """Return the mean over targets with its 95 % bootstrap interval over targets."""
        return bootstrap_interval(list(self.taus.values()))

    @property
    def lacking(self) -> str:
        """Return why there is no recommendation; "" if there is one."""
        if self.initializations < LEAST:
            return f"{self.initializations} initializations could be ranked, {LEAST} are needed"
        if len(self.taus) < LEAST:
            return (
                f"{len(self.taus)} targets of this kind are measured with {LEAST} of these initializations or"
                f" more, {LEAST} targets are needed"
            )
        return "" if self.tau.low > 0 else f"on the targets already measured {self.words}, not above 0"

    @property
    def words(self) -> str:
        low, high = (round(value, 2) + 0.0 for value in (self.tau.low, self.tau.high))
        return (
            f"Kendall's tau of such a ranking with the measured order is {self.tau.mean:.2f}"
            f" [{low:.2f}, {high:.2f}] ({len(self.taus)} targets)"
        )


def bootstrap_interval(values: Sequence[float]) -> Interval:
    """Return a mean with its 95 % percentile bootstrap interval (Efron 1979); nan limits below two values."""
    x = np.array(values)
    if len(x) < 2:
        return Interval(float(x[0]) if len(x) else math.nan, math.nan, math.nan)
    if len(x) <= LISTED:
        rows = np.array(list(product(range(len(x)), repeat=len(x))))
    else:
        rows = np.random.default_rng(0).integers(0, len(x), (RESAMPLES, len(x)))
    low, high = np.quantile(x[rows].mean(axis=1), [0.025, 0.975])
    return Interval(float(x.mean()), float(low), float(high))
