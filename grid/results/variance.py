"""What comparison groups contribute to the variance of linear contrasts of their cells.

A group is either tested on the same items in all runs (`FixedTest`) or has its own training and test items in
each split (`RepeatedSplits`). docs/statistics.md gives the formulas. Values are in points (per cent).
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PRIOR = 4  # weight of the group's seed variance in that of each cell, in degrees of freedom
ROUNDING = 1e-9  # spreads below this share of the values are rounding errors


class Component(NamedTuple):
    """One part of the variance of m contrasts, and its degrees of freedom: (m,) each; nan where unknown."""

    variance: Floats
    df: Floats


class ItemPart(NamedTuple):
    """What the items of one test set contribute to m contrasts: sums over each patient's items, / n.

    `values` (m, G) are nan in contrasts with a run whose items are unknown.
    """

    test_set: Hashable
    values: Floats


class Contribution(NamedTuple):
    """What one comparison group adds to m contrasts."""

    value: Floats
    repeats: Component
    twice: Floats
    items: ItemPart | None = None


class Group(Protocol):
    """The cells of one comparison group."""

    def contrast(self, weights: Floats) -> Contribution:
        """Return what the group adds to the contrasts with these weights of its cells, (m, cells)."""
        ...


@dataclass(frozen=True)
class Runs:
    """The R finished runs of one cell. `influence` is (R, n) in points; None where test items are unknown."""

    values: Floats
    seeds: NDArray[np.int64]
    pretrainings: NDArray[np.int64]
    influence: Floats | None = None


@dataclass(frozen=True)
class Layout:
    """Which cell and which pre-training the R runs of a group are of.

    `cell` (R,) and `unit` (R,) number the cells and the pre-trainings within cells, `cell_of_unit` (U,)
    gives the cell of each such pre-training.
    """

    cell: NDArray[np.int64]
    unit: NDArray[np.int64]
    cell_of_unit: NDArray[np.int64]

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Runs of each pre-training, (U,)."""
        return np.bincount(self.unit)

    @cached_property
    def pretrainings(self) -> NDArray[np.int64]:
        """Pre-trainings of each cell, (cells,)."""
        return np.bincount(self.cell_of_unit)

    @cached_property
    def weights(self) -> Floats:
        """Each run's share of its cell's mean, which is a mean over pre-trainings of means over seeds."""
        weights: Floats = 1 / (self.pretrainings[self.cell] * self.sizes[self.unit])
        return weights

    @cached_property
    def squared_weights(self) -> Floats:
        """The sum of the squared weights of each cell's runs, (cells,)."""
        sums: Floats = np.bincount(self.cell, self.weights**2).astype(np.float64)
        return sums


def layout_of(runs: Sequence["Runs"]) -> Layout:
    cell = np.repeat(np.arange(len(runs)), [len(one.values) for one in runs])
    first = np.concatenate([one.pretrainings for one in runs])
    _, rows, unit = np.unique(cell * (first.max() + 1) + first, return_index=True, return_inverse=True)
    return Layout(cell, unit, cell[rows])


@dataclass(frozen=True)
class Repeats:
    """The variance of each cell's mean (cells,) from seeds or pre-trainings, and its degrees of freedom.

    Cells whose variance is that between pre-trainings (`pretrained`) share one estimate with `pretrained_df`.
    It is the larger one of `seeds` and `between` (cells,), which is 0 in cells of one pre-training.
    """

    variance: Floats
    df: Floats
    pretrained: NDArray[np.bool_]
    pretrained_df: float
    total_df: float
    seeds: Floats
    between: Floats

    def contrast(self, weights: Floats) -> Component:
        terms = weights**2 * self.variance
        shared = terms[:, self.pretrained].sum(1)
        own = np.where(self.pretrained, 0, terms)
        with np.errstate(invalid="ignore", divide="ignore"):
            inverse = np.where(own > 0, own**2 / self.df, 0).sum(1)
            inverse += np.where(shared > 0, shared**2 / self.pretrained_df, 0)
            df = np.minimum(terms.sum(1) ** 2 / inverse, self.total_df)
        return Component(terms.sum(1), df)


def repeats(layout: Layout, raw: Floats, values: Floats, removed: float = 0.0) -> Repeats:
    """Return the variance of each cell's mean from its repeats.

    The seed variance of a cell is moderated by that of its group (weight PRIOR). `values` (R,) are the raw
    ones, perhaps without the seeds' means, which took a share `removed` of the degrees of freedom.
    """
    squares = _squares_within(layout, raw, values)
    df = (np.bincount(layout.cell) - layout.pretrainings) * (1 - removed)
    total = float(df.sum())
    common = squares.sum() / total if total else 0.0
    variance = (PRIOR * common + squares) / (PRIOR + df)
    between, between_df = _between_pretrainings(layout, raw)
    repeated = np.where(layout.pretrainings > 1, between, 0)
    pretrained = repeated > variance
    return Repeats(
        variance=np.maximum(repeated, variance) * layout.squared_weights,
        df=np.minimum(PRIOR + df, total),
        pretrained=pretrained,
        pretrained_df=between_df,
        total_df=total + (between_df if pretrained.any() else 0.0),
        seeds=variance * layout.squared_weights,
        between=repeated * layout.squared_weights,
    )


def _squares_within(layout: Layout, raw: Floats, values: Floats) -> Floats:
    """Return each cell's sum of squares over seeds within a pre-training; 0 where it is rounding."""
    rest = values - (np.bincount(layout.unit, values) / layout.sizes)[layout.unit]
    first = np.searchsorted(layout.cell, np.arange(len(layout.pretrainings)))
    furthest, largest = (np.maximum.reduceat(np.abs(x), first) for x in (rest, raw))
    return np.where(furthest > ROUNDING * largest, np.bincount(layout.cell, rest**2), 0)


def _between_pretrainings(layout: Layout, raw: Floats) -> tuple[float, float]:
    """Return the variance between pre-trainings per run, pooled over cells with several, and its df."""
    count, df = layout.pretrainings, float((layout.pretrainings - 1).sum())
    if not df:
        return 0.0, 0.0
    means = np.bincount(layout.unit, raw) / layout.sizes
    rest = means - (np.bincount(layout.cell_of_unit, means) / count)[layout.cell_of_unit]
    squares = np.bincount(layout.cell_of_unit, rest**2) / (count * layout.squared_weights)
    return float(squares.sum()) / df, df


@dataclass(frozen=True)
class FixedTest:
    """A group whose runs are all tested on the same items.

    `items` (cells, G) and `twice` (cells,) are of each cell's mean; a row of `items` is nan where the test
    items of a run are unknown. `paired` replaces `repeats` in contrasts whose weights sum to zero; it differs
    where seeds draw the training images.
    """

    means: Floats
    repeats: Repeats
    paired: Repeats
    items: Floats
    twice: Floats
    test_set: Hashable

    def contrast(self, weights: Floats) -> Contribution:
        unknown = np.isnan(self.items).any(1)
        values = weights @ np.nan_to_num(self.items)
        values[(weights != 0) @ unknown] = np.nan
        centred = np.abs(weights.sum(1)) < ROUNDING
        both = zip(self.paired.contrast(weights), self.repeats.contrast(weights), strict=True)
        spread = Component(*(np.where(centred, a, b) for a, b in both))
        items = ItemPart(self.test_set, values)
        return Contribution(weights @ self.means, spread, weights**2 @ self.twice, items)


def fixed_test(
    runs: Sequence[Runs], patients: NDArray[np.int64] | None, test_set: Hashable, *, seeds_draw: bool = False
) -> FixedTest:
    """Build a group of cells from their runs, each with at least one.

    `patients` (n,) gives the patient of each test item; None where the items are unknown. With `seeds_draw`,
    equal seeds draw equal training images: what they share is removed if every cell has the same seeds.
    """
    layout, raw = layout_of(runs), np.concatenate([cell.values for cell in runs])
    plain = repeats(layout, raw, raw)
    centred = _without_seed_means(runs) if seeds_draw else None
    paired = plain if centred is None else repeats(layout, raw, centred, removed=1 / len(runs))
    parts = [
        _item_part(cell, layout.weights[layout.cell == number], patients) for number, cell in enumerate(runs)
    ]
    return FixedTest(
        means=np.bincount(layout.cell, layout.weights * raw).astype(np.float64),
        repeats=plain,
        paired=paired,
        items=np.array([items for items, _ in parts]),
        twice=np.array([twice for _, twice in parts]),
        test_set=test_set,
    )


def _without_seed_means(runs: Sequence[Runs]) -> Floats | None:
    """Subtract each seed's mean over cells; None for a single cell, or where a cell lacks a seed."""
    names = sorted(set(runs[0].seeds.tolist()))
    if len(runs) < 2 or any(sorted(set(cell.seeds.tolist())) != names for cell in runs):
        return None
    table = np.array([[cell.values[cell.seeds == seed].mean() for seed in names] for cell in runs])
    return np.concatenate([cell.values - table.mean(0)[np.searchsorted(names, cell.seeds)] for cell in runs])


def _item_part(cell: Runs, weights: Floats, patients: NDArray[np.int64] | None) -> tuple[Floats, float]:
    """Return the influence of each patient on the cell's mean, (G,), and the variance that is counted twice.

    The spread of R runs over seeds contains the part of their item variance in which the runs differ.
    """
    if patients is None:
        return np.full(1, np.nan), 0.0
    clusters = int(patients.max()) + 1
    if cell.influence is None:
        return np.full(clusters, np.nan), 0.0
    sums = np.array([np.bincount(patients, row, clusters) for row in cell.influence]) / len(patients)
    twice = 0.0
    if len(sums) > 1 and clusters > 1:
        rest = ((sums - sums.mean(0)) ** 2).sum() / (len(sums) - 1)
        twice = float(clusters / (clusters - 1) * rest * (weights @ weights))
    return weights @ sums, twice


@dataclass(frozen=True)
class RepeatedSplits:
    """A group in which every split has its own training and test items: folds, or seeds that draw the split.

    `values` gives each cell's mean over the seeds of each split; `ratio` is test items / training items.
    Splits overlap, hence the corrected variance of Nadeau and Bengio (2003, Mach. Learn. 52:239).
    """

    values: Sequence[Mapping[Hashable, float]]
    ratio: float

    def contrast(self, weights: Floats) -> Contribution:
        names = list(dict.fromkeys(split for cell in self.values for split in cell))
        table = np.array([[cell.get(split, np.nan) for split in names] for cell in self.values])
        used = weights != 0
        known = ~(used @ np.isnan(table))  # (m, splits): all cells of the contrast have the split
        count = known.sum(1)
        sums = np.where(known, weights @ np.nan_to_num(table), 0)
        repeated = count > 1
        means = np.where(repeated, sums.sum(1) / np.maximum(count, 1), weights @ np.nanmean(table, 1))
        rest = np.where(known, sums - means[:, None], 0)
        largest = (used * np.nanmax(np.abs(table), 1)).max(1)
        real = repeated & (np.abs(rest).max(1) > ROUNDING * largest)
        spread = np.where(real, (rest**2).sum(1) / np.maximum(count - 1, 1), 0)
        variance = spread * (1 / np.maximum(count, 1) + self.ratio)
        return Contribution(means, Component(variance, np.where(repeated, count - 1.0, 0)), 0 * means)


def printed_group(means: Floats, stds: Floats, runs: int, ratio: float = 0.0) -> FixedTest:
    """Build a group of published cells (cells,): means and sample standard deviations over `runs` runs.

    `ratio` is test items / training items where each run has its own split. Test items are unknown.
    """
    df = np.full(len(means), runs - 1.0)
    total = float(df.sum())
    squares = df * stds**2
    variance = (PRIOR * squares.sum() / total + squares) / (PRIOR + df) * (1 / runs + ratio)
    none = np.zeros(len(means), bool)
    spread = Repeats(variance, np.minimum(PRIOR + df, total), none, 0.0, total, variance, 0 * variance)
    items = np.full((len(means), 1), np.nan)
    return FixedTest(means, spread, spread, items, np.zeros(len(means)), None)
