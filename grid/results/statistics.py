"""Tests, effect sizes and intervals for cells of a few seeds.

Everything is exact or closed-form, but the bootstrap of more than six seeds, which is drawn from a fixed
stream. Nothing here knows of trials. Differences are "ours minus theirs": positive means that the first is
higher. Few seeds make wide intervals; none of these functions narrows them by pooling variances that it was
not asked to pool.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEVEL = 0.95
ENUMERATED = 6  # seeds whose n^n resamples are listed rather than drawn (46,656 for six)
RESAMPLES = 20_000
LATTICE = 200_000  # steps that all differences of a permutation test make together, at most


@dataclass(frozen=True)
class Interval:
    """An estimate and its confidence limits; nan limits where the data have no spread to take them from."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Test:
    """`statistic` is t, `df` its degrees of freedom, `p` two-sided; nan where nothing can be tested."""

    statistic: float
    df: float
    p: float


@dataclass(frozen=True)
class Summary:
    """What a table prints of a cell: mean, sample standard deviation (ddof 1), number of repeats."""

    mean: float
    std: float
    n: int

    @property
    def variance_of_mean(self) -> float:
        return self.std**2 / self.n


def summary(values: ArrayLike) -> Summary:
    x = np.asarray(values, float)
    return Summary(
        float(x.mean()) if len(x) else math.nan, float(x.std(ddof=1)) if len(x) > 1 else math.nan, len(x)
    )


def welch(first: Summary, second: Summary) -> Test:
    """Welch (1947): are two means equal, from printed summary statistics, with unequal variances?"""
    if min(first.n, second.n) < 2:
        return Test(math.nan, math.nan, math.nan)
    a, b = first.variance_of_mean, second.variance_of_mean
    if a + b == 0:
        return Test(math.nan, math.nan, math.nan)
    df = (a + b) ** 2 / (a**2 / (first.n - 1) + b**2 / (second.n - 1))
    return _t_test((first.mean - second.mean) / math.sqrt(a + b), df)


def paired(differences: ArrayLike) -> Test:
    """Student's t test of differences, seed by seed: is their mean zero?"""
    d = summary(differences)
    if d.n < 2 or d.std <= 1e-12 * abs(d.mean):  # equal but for rounding: no spread to judge by
        return Test(math.nan, math.nan, math.nan)
    return _t_test(d.mean / math.sqrt(d.variance_of_mean), d.n - 1)


def sign_permutation(differences: ArrayLike, decimals: int = 3) -> float:
    """One-sided p of the hypothesis that the differences are symmetric about zero, against a mean above it.

    The share of all 2^n assignments of signs whose sum reaches the observed one, counted exactly for values
    rounded to `decimals`, or to 1/200,000 of their sum where that is coarser; the smallest p that n values
    can have is 2^-n. 1 where there are none.
    """
    x = np.asarray(differences, float)
    step = max(10.0**-decimals, float(np.abs(x).sum()) / LATTICE)
    d = np.rint(x / step).astype(np.int64)
    sizes = np.sort(np.abs(d))
    least = (int(d.sum()) + int(sizes.sum())) // 2  # signs sum to twice the plus part less the whole
    return float(min(1.0, _sums(tuple(sizes.tolist()))[least:].sum()))


@lru_cache(maxsize=4)  # both directions of a test ask for the same
def _sums(sizes: tuple[int, ...]) -> NDArray[np.float64]:
    """The probability of each sum of those that are given a plus, by a fair coin each."""
    probability = np.ones(1)
    for size in sizes:
        half = probability / 2
        probability = np.concatenate([half, np.zeros(size)])
        probability[size:] += half
    return probability


def holm(p: ArrayLike) -> NDArray[np.float64]:
    """Holm (1979): adjusted p values in the given order; nan stays nan and is not counted as a test."""
    values = np.asarray(p, float)
    adjusted = np.full(len(values), math.nan)
    order = [index for index in np.argsort(values, kind="stable") if not math.isnan(values[index])]
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * values[index]))
        adjusted[index] = highest
    return adjusted


def hedges_g(first: Summary, second: Summary, level: float = LEVEL) -> Interval:
    """Standardized mean difference with Hedges' small-sample correction, and its interval.

    g = J (m1 - m2) / pooled std. The interval is exact for normal values of equal variance (noncentral t's
    that have the observed t at their quantiles; Steiger & Fouladi 1997), and without 0 exactly where the
    two-sample t test is significant.
    """
    df = first.n + second.n - 2
    if min(first.n, second.n) < 2 or first.std == second.std == 0:
        return Interval(math.nan, math.nan, math.nan)
    pooled = math.sqrt(((first.n - 1) * first.std**2 + (second.n - 1) * second.std**2) / df)
    d, scale = (first.mean - second.mean) / pooled, math.sqrt(1 / first.n + 1 / second.n)
    low, high = (scale * _noncentrality(d / scale, df, q) for q in ((1 + level) / 2, (1 - level) / 2))
    return Interval(_correction(df) * d, low, high)


def _noncentrality(t: float, df: int, quantile: float) -> float:
    """Of the noncentral t that has `t` at that quantile.

    Its distribution function is the mean of Phi(t s - nc) over s = chi / sqrt(df), here over 4,000
    quantiles of s (to 1e-5): scipy's is nan in the tails that three seeds reach.
    """
    from scipy import optimize, special

    s = np.sqrt(2 * special.gammaincinv(df / 2, (np.arange(4_000) + 0.5) / 4_000) / df)
    reach = 10 + 5 * abs(t)
    return float(
        optimize.brentq(lambda nc: float(special.ndtr(t * s - nc).mean()) - quantile, t - reach, t + reach)
    )


def _correction(df: int) -> float:
    """J(df) of Hedges (1981), exact."""
    return math.exp(math.lgamma(df / 2) - math.lgamma((df - 1) / 2)) * math.sqrt(2 / df)


def mean_interval(values: ArrayLike, level: float = LEVEL) -> Interval:
    """Student's interval of a mean."""
    return mean_of_means([values], level)


def mean_of_means(groups: Sequence[ArrayLike], level: float = LEVEL) -> Interval:
    """The mean of the groups' means, each group weighing the same, with Satterthwaite's interval.

    The groups (targets) are taken as given: the interval covers what other repeats (seeds) of the same groups
    would give, not other groups. Limits are nan where a group has a single value.
    """
    rows = [summary(group) for group in groups]
    estimate = float(np.mean([row.mean for row in rows])) if rows else math.nan
    error, df = _error_of_mean(rows)
    if math.isnan(error):
        return Interval(estimate, math.nan, math.nan)
    reach = _quantile(df, level) * error if error else 0.0
    return Interval(estimate, estimate - reach, estimate + reach)


def mean_of_means_test(groups: Sequence[ArrayLike]) -> Test:
    """Is the mean of the groups' means zero? Belongs to `mean_of_means`."""
    rows = [summary(group) for group in groups]
    error, df = _error_of_mean(rows)
    if not error > 0:
        return Test(math.nan, math.nan, math.nan)
    return _t_test(float(np.mean([row.mean for row in rows])) / error, df)


def _error_of_mean(rows: list[Summary]) -> tuple[float, float]:
    """Standard error of the mean of means, and its degrees of freedom."""
    if not rows or min(row.n for row in rows) < 2:
        return math.nan, math.nan
    parts = [row.variance_of_mean / len(rows) ** 2 for row in rows]
    total = sum(parts)
    if total == 0:
        return 0.0, math.inf
    return math.sqrt(total), total**2 / sum(v**2 / (row.n - 1) for v, row in zip(parts, rows, strict=True))


def slope(x: ArrayLike, y: ArrayLike, level: float = LEVEL) -> Interval:
    """Least squares of y on x: the slope and Student's interval; nan limits below three points."""
    a, b = np.asarray(x, float), np.asarray(y, float)
    spread = float(((a - a.mean()) ** 2).sum()) if len(a) else 0.0
    if spread == 0:
        return Interval(math.nan, math.nan, math.nan)
    rise = float(((a - a.mean()) * (b - b.mean())).sum()) / spread
    if len(a) < 3:
        return Interval(rise, math.nan, math.nan)
    rest = b - b.mean() - rise * (a - a.mean())
    error = math.sqrt(float((rest**2).sum()) / (len(a) - 2) / spread)
    reach = _quantile(len(a) - 2, level) * error
    return Interval(rise, rise - reach, rise + reach)


def resamples(n: int, seed: int = 0) -> NDArray[np.int64]:
    """Rows of indices 0 … n-1 drawn with replacement, (r, n): all n^n of them, or RESAMPLES of many."""
    if n <= ENUMERATED:
        return np.array(list(product(range(n), repeat=n)), dtype=np.int64).reshape(-1, n)
    return np.random.default_rng(seed).integers(0, n, (RESAMPLES, n))


def bootstrap_interval(values: ArrayLike, level: float = LEVEL) -> Interval:
    """Percentile bootstrap of a mean (Efron 1979). Too narrow at three values: prefer `mean_interval`."""
    x = np.asarray(values, float)
    if len(x) < 2:
        return Interval(float(x.mean()) if len(x) else math.nan, math.nan, math.nan)
    means = x[resamples(len(x))].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(x.mean()), float(low), float(high))


def probability_of_best(scores: ArrayLike) -> NDArray[np.float64]:
    """For each row of (candidates, seeds): the share of paired bootstrap resamples that it wins.

    All candidates are resampled by the same seeds; candidates that tie share. Sums to 1. With three seeds,
    1 says no more than that the candidate is ahead for every one of them.
    """
    x = np.asarray(scores, float)
    means = x[:, resamples(x.shape[1])].mean(axis=2)  # (candidates, resamples)
    best = np.isclose(means, means.max(axis=0), rtol=0, atol=1e-12)
    return (best / best.sum(axis=0)).mean(axis=1)


def _t_test(t: float, df: float) -> Test:
    from scipy import special  # its module of distributions takes a second to load

    return Test(t, df, 2 * float(special.stdtr(df, -abs(t))))


def _quantile(df: float, level: float) -> float:
    """Of Student's t: what it stays below, either side of zero, with probability `level`."""
    from scipy import special

    return float(special.stdtrit(df, (1 + level) / 2))
