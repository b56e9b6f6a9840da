"""Estimates of linear contrasts of cells, with intervals from every source of variance that was repeated.

A contrast is a weighted sum of cells: one cell, a difference of two, or what a claim states. Its variance has
a part from the test items, measured by influence values (medpt.influence), and one from the seeds or, where
those were repeated, the pre-trainings. What both contain is subtracted once. Degrees of freedom are those of
Satterthwaite. docs/statistics.md gives the formulas and the coverage. Values are in points (per cent).
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from grid.results.variance import Component, Contribution, Floats, Group, ItemPart

FEWEST_CLUSTERS = 3  # test items or patients; fewer give no variance


@dataclass(frozen=True)
class Estimates:
    """m contrasts. Arrays (m,); `items` and `repeats` are the two parts of the variance, `twice` is in both.

    `items` is nan where test items are unknown or too few, `repeats` is zero where nothing was repeated.
    `variance` is nan where there is nothing to take it from.
    """

    value: Floats
    items: Component
    repeats: Component
    twice: Floats

    @property
    def variance(self) -> Floats:
        items, spread = self.items.variance, self.repeats.variance
        items = np.where(np.isnan(items), 0.0, items)
        total = np.maximum.reduce([items + spread - self.twice, items, spread])
        found: Floats = np.where(total > 0, total, np.nan)
        return found

    @property
    def df(self) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            parts = (self.items, self.repeats)
            inverse = [np.where(part.variance > 0, part.variance**2 / part.df, 0) for part in parts]
            found: Floats = self.variance**2 / (inverse[0] + inverse[1])
        return found

    @property
    def error(self) -> Floats:
        found: Floats = np.sqrt(self.variance)
        return found

    def limits(self, level: float = 0.95) -> tuple[Floats, Floats]:
        """Return the confidence limits at `level`."""
        reach = self.quantile((1 + level) / 2) * self.error
        return self.value - reach, self.value + reach

    def row(self, number: int) -> "Estimates":
        """Return one contrast by itself."""
        items, repeats = (Component(*(c[[number]] for c in part)) for part in (self.items, self.repeats))
        return Estimates(self.value[[number]], items, repeats, self.twice[[number]])

    def quantile(self, probability: float) -> Floats:
        """Return the quantile of Student's t with the estimates' degrees of freedom."""
        from scipy import special  # its module of distributions takes a second to load

        found: Floats = special.stdtrit(self.df, probability)
        return found

    def below(self, bound: float | Floats) -> Floats:
        """Return the probability that each contrast is below `bound`, from its t distribution.

        It is also the one-sided p of the hypothesis that the contrast is not above `bound`.
        """
        from scipy import special

        found: Floats = special.stdtr(self.df, (bound - self.value) / self.error)
        return found


def estimate(parts: Sequence[tuple[Group, Any]]) -> Estimates:
    """Estimate m contrasts over one or several groups, each given with the weights of its cells, (m, cells).

    Groups are independent, but runs that are tested on the same items share their influence. A contrast
    has no variance where that of one of its groups is unknown.
    """
    found = [_contribution(group, np.atleast_2d(np.asarray(weights, float))) for group, weights in parts]
    return Estimates(
        value=np.sum([part.value for part in found], axis=0),
        items=_items([part.items for part in found if part.items], len(found[0].value)),
        repeats=add([part.repeats for part in found]),
        twice=np.sum([part.twice for part in found], axis=0),
    )


def _contribution(group: Group, weights: Floats) -> Contribution:
    """Return what a group adds, with a variance of nan where neither repeats nor test items give one."""
    found = group.contrast(weights)
    variance, df = found.repeats
    unknown = (weights != 0).any(1) & (variance == 0)
    if found.items and unknown.any():
        unknown &= np.isnan(_item_variance(found.items.values).variance)
    return found._replace(repeats=Component(np.where(unknown, np.nan, variance), df))


def add(parts: Sequence[Component]) -> Component:
    """Add independent variances; the degrees of freedom are Satterthwaite's, 0 without a variance."""
    variance = np.sum([part.variance for part in parts], axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        terms = [np.where(part.variance > 0, part.variance**2 / part.df, 0) for part in parts]
        return Component(variance, np.where(variance > 0, variance**2 / np.sum(terms, axis=0), 0))


def _items(parts: Sequence[ItemPart], count: int) -> Component:
    """Add the influence of equal test sets, and the variances of different ones."""
    by_set: dict[Hashable, list[Floats]] = {}
    for part in parts:
        by_set.setdefault(part.test_set, []).append(part.values)
    found = [_item_variance(np.sum(values, axis=0)) for values in by_set.values()]
    if not found:
        return Component(np.full(count, np.nan), np.full(count, np.nan))
    known = add(found)
    unknown = np.isnan(known.variance)
    return Component(known.variance, np.where(unknown, np.nan, known.df))


def _item_variance(values: Floats) -> Component:
    """Return the variance of sums over G patients, (m, G); heavy tails lower the degrees of freedom."""
    clusters = values.shape[1]
    if clusters < FEWEST_CLUSTERS:
        return Component(*np.full((2, len(values)), np.nan))
    squares = (values**2).sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        kurtosis = clusters * (values**4).sum(1) / squares**2
        df = np.clip(2 * clusters / (kurtosis - 1), 1, clusters - 1)
    return Component(clusters / (clusters - 1) * squares, df)
