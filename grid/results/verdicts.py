"""What estimates mean: verdicts against a margin, the set of the best, what would decide, and new targets.

All values are in points (per cent); every function takes what `grid.results.intervals` estimates.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from grid.results.intervals import Estimates, estimate
from grid.results.variance import Component, Floats, Group

Verdict = Literal["better", "worse", "equivalent", "undecided"]

LEVEL = 0.05
POWER = 0.8  # of `smallest_decidable` and of what `needed` proposes
MOST_NEEDED = 1_000  # times as many seeds or items as there are; more are not proposed
BISECTIONS = 16  # of a factor up to MOST_NEEDED: to one in ten thousand
FEWEST_TARGETS = 3  # of a prediction interval


def two_sided(found: Estimates) -> Floats:
    """Return the two-sided p of each contrast against zero; nan where it has no interval."""
    above = found.below(0)
    p: Floats = 2 * np.minimum(above, 1 - above)
    return p


def probability_better(found: Estimates) -> Floats:
    """Return the probability of a value above zero, from the t distribution of each contrast."""
    return 1 - found.below(0)


def probability_equivalent(found: Estimates, margin: float) -> Floats:
    """Return the probability of a value within ± `margin`, from the same distribution."""
    return found.below(margin) - found.below(-margin)


def holm(p: ArrayLike) -> Floats:
    """Return the p values adjusted by Holm (1979); nan stays nan and is not counted as a test.

    statsmodels' `multipletests` collects garbage in each call, a second over a frame of 5,000 runs.
    """
    values = np.asarray(p, float)
    order = np.argsort(values)[: np.count_nonzero(~np.isnan(values))]  # nan are sorted to the end
    adjusted = np.full(len(values), np.nan)
    steps = np.arange(len(order), 0, -1) * values[order]
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted


def verdicts(found: Estimates, adjusted: Floats, margin: float) -> list[Verdict]:
    """Judge each contrast: "equivalent" if its 90 % interval is within ± `margin`, else by its adjusted p."""
    low, high = found.limits(1 - 2 * LEVEL)
    rows = zip(found.value, low, high, adjusted, strict=True)
    return [_verdict(value, -margin < a and b < margin, p) for value, a, b, p in rows]


def _verdict(value: float, is_within: bool, p: float) -> Verdict:
    if is_within:
        return "equivalent"
    if not p < LEVEL:
        return "undecided"
    return "better" if value > 0 else "worse"


def smallest_decidable(found: Estimates) -> Floats:
    """Return the smallest true difference that is found with probability 0.8; nan without an interval."""
    decidable: Floats = (found.quantile(1 - LEVEL / 2) + found.quantile(POWER)) * found.error
    return decidable


def needed(
    found: Estimates, of: Literal["seeds", "items"], size: float | None = None, overlap: float = 0.0
) -> Floats:
    """Return by what factor seeds or test items must grow until each difference, or `size`, would be found.

    1 where it would be found as it is; nan where no factor up to MOST_NEEDED is enough, or without an
    interval. The degrees of freedom grow with the factor. `overlap` is test items / training items of
    repeated splits: this part of their variance remains, however many splits there are.
    """
    wanted = np.abs(found.value) if size is None else np.full(len(found.value), size)
    low, high = np.ones(len(wanted)), np.full(len(wanted), float(MOST_NEEDED))

    def is_enough(factor: Floats) -> NDArray[np.bool_]:
        scaled = _scaled_splits(found, factor, of, overlap) if overlap else _scaled(found, factor, of)
        enough: NDArray[np.bool_] = wanted >= smallest_decidable(scaled)
        return enough

    possible, already = is_enough(high), is_enough(low)
    for _ in range(BISECTIONS):
        middle = np.sqrt(low * high)
        enough = is_enough(middle)
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return np.where(already, 1.0, np.where(possible, high, np.nan))


def _scaled(found: Estimates, factor: Floats, of: Literal["seeds", "items"]) -> Estimates:
    """Return the estimates as they would be with `factor` times as many seeds or items."""
    if of == "items":
        items = Component(found.items.variance / factor, found.items.df * factor)
        return Estimates(found.value, items, found.repeats, found.twice)
    spread = np.maximum(found.repeats.variance - found.twice, 0) / factor
    repeats = Component(spread, found.repeats.df * factor)
    return Estimates(found.value, found.items, repeats, np.zeros_like(found.twice))


def _scaled_splits(
    found: Estimates, factor: Floats, of: Literal["seeds", "items"], overlap: float
) -> Estimates:
    """Return the estimates as they would be with `factor` times as many splits, or items in each split."""
    variance, df = found.repeats
    if of == "items":
        return Estimates(found.value, found.items, Component(variance / factor, df), found.twice)
    splits = df + 1
    share = (1 / (splits * factor) + overlap) / (1 / splits + overlap)
    return Estimates(found.value, found.items, Component(variance * share, splits * factor - 1), found.twice)


def set_of_the_best(group: Group, count: int) -> list[int]:
    """Return the cells of a group that cannot be distinguished from its best one.

    A cell is excluded if another one is above it with one-sided p below 0.05 / (count - 1); the set contains
    the best cell with a probability of at least 95 %.
    """
    pairs = [(i, j) for i in range(count) for j in range(count) if i != j]
    if not pairs:
        return list(range(count))
    weights = np.zeros((len(pairs), count))
    weights[np.arange(len(pairs)), [i for i, _ in pairs]] = 1
    weights[np.arange(len(pairs)), [j for _, j in pairs]] = -1
    p = estimate([(group, weights)]).below(0)
    beaten = {j for (_, j), value in zip(pairs, p, strict=True) if (count - 1) * value < LEVEL}
    return [cell for cell in range(count) if cell not in beaten]


@dataclass(frozen=True)
class OverTargets:
    """The mean of one comparison over targets, and where it will be on a new one; nan where unknown.

    `tau` is the standard deviation of the true difference between targets; `targets` counts those with an
    interval.
    """

    mean: float
    low: float = math.nan
    high: float = math.nan
    tau: float = math.nan
    new_low: float = math.nan
    new_high: float = math.nan
    targets: int = 0


def over_targets(values: Sequence[float], variances: Sequence[float]) -> OverTargets:
    """Combine one comparison over targets in a random-effects model, and predict a new target.

    The standard error se is the larger of the model's and that of Hartung and Knapp. A new target is expected
    at mean ± t(T - 2) · sqrt(tau² + se²), for T targets from FEWEST_TARGETS on. Targets without a variance
    are excluded.
    """
    known = [(d, v) for d, v in zip(values, variances, strict=True) if v > 0]
    if len(known) < 2:
        return OverTargets(known[0][0] if known else math.nan, targets=len(known))
    from scipy import special
    from statsmodels.stats.meta_analysis import combine_effects

    found = combine_effects(*map(np.array, zip(*known, strict=True)), method_re="iterated", use_t=True)
    mean = float(found.mean_effect_re)
    error = max(float(found.sd_eff_w_re), float(found.sd_eff_w_re_hksj))
    reach = special.stdtrit(len(known) - 1, 1 - LEVEL / 2) * error
    tau2 = max(0.0, float(found.tau2))
    new = math.nan
    if len(known) >= FEWEST_TARGETS:
        new = special.stdtrit(len(known) - 2, 1 - LEVEL / 2) * math.sqrt(tau2 + error**2)
    return OverTargets(mean, mean - reach, mean + reach, math.sqrt(tau2), mean - new, mean + new, len(known))
