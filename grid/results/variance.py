"""What comparison groups contribute to the variance of linear contrasts of their cells.

A group is either tested on the same items in all runs (`FixedTest`) or has its own training and test items in
each split (`RepeatedSplits`). docs/statistics.md gives the formulas. Values are in points (per cent).
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
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

    @property
    def weights(self) -> Floats:
        """Each run's share of the cell's mean, which is a mean over pre-trainings of means over seeds."""
        _, place, counts = np.unique(self.pretrainings, return_inverse=True, return_counts=True)
        weights: Floats = 1 / (len(counts) * counts[place])
        return weights

    def means(self, values: Floats) -> Floats:
        """Return the mean of each pre-training, (P,)."""
        _, place = np.unique(self.pretrainings, return_inverse=True)
        sums: Floats = np.bincount(place, values) / np.bincount(place)
        return sums


@dataclass(frozen=True)
class Repeats:
    """The variance of each cell's mean (cells,) from seeds or pre-trainings, and its degrees of freedom.

    Cells whose variance is that between pre-trainings (`pretrained`) share one estimate with `pretrained_df`.
    """

    variance: Floats
    df: Floats
    pretrained: NDArray[np.bool_]
    pretrained_df: float
    total_df: float

    def contrast(self, weights: Floats) -> Component:
        terms = weights**2 * self.variance
        shared = terms[:, self.pretrained].sum(1)
        own = np.where(self.pretrained, 0, terms)
        with np.errstate(invalid="ignore", divide="ignore"):
            inverse = np.where(own > 0, own**2 / self.df, 0).sum(1)
            inverse += np.where(shared > 0, shared**2 / self.pretrained_df, 0)
            df = np.minimum(terms.sum(1) ** 2 / inverse, self.total_df)
        return Component(terms.sum(1), df)


def repeats(runs: Sequence[Runs], values: Sequence[Floats], removed: float = 0.0) -> Repeats:
    """Return the variance of each cell's mean from its repeats.

    The seed variance of a cell is moderated by that of its group (weight PRIOR). `values` (R,) are those of
    each cell, perhaps without the seeds' means, which took a share `removed` of the degrees of freedom.
    """
    squares = np.array([_squares_within(cell, y) for cell, y in zip(runs, values, strict=True)])
    df = np.array([len(cell.values) - len(set(cell.pretrainings.tolist())) for cell in runs]) * (1 - removed)
    total = float(df.sum())
    common = squares.sum() / total if total else 0.0
    variance = (PRIOR * common + squares) / (PRIOR + df)
    factor = np.array([(cell.weights**2).sum() for cell in runs])
    between, between_df = _between_pretrainings(runs, factor)
    pretrained = np.array([len(set(cell.pretrainings.tolist())) > 1 for cell in runs]) & (between > variance)
    return Repeats(
        variance=np.where(pretrained, between, variance) * factor,
        df=np.minimum(PRIOR + df, total),
        pretrained=pretrained,
        pretrained_df=between_df,
        total_df=total + (between_df if pretrained.any() else 0.0),
    )


def _squares_within(cell: Runs, values: Floats) -> float:
    """Return the sum of squares over seeds within each pre-training; 0 where it is rounding."""
    _, place = np.unique(cell.pretrainings, return_inverse=True)
    rest = values - cell.means(values)[place]
    return float((rest**2).sum()) if np.ptp(rest) > ROUNDING * np.abs(cell.values).max() else 0.0


def _between_pretrainings(runs: Sequence[Runs], factor: Floats) -> tuple[float, float]:
    """Return the variance between pre-trainings per run, pooled over cells with several, and its df."""
    squares, df = 0.0, 0
    for cell, share in zip(runs, factor, strict=True):
        means = cell.means(cell.values)
        if len(means) > 1:
            squares += ((means - means.mean()) ** 2).sum() / (len(means) * share)
            df += len(means) - 1
    return (squares / df, float(df)) if df else (0.0, 0.0)


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
        spread = Component(
            *(
                np.where(centred, a, b)
                for a, b in zip(self.paired.contrast(weights), self.repeats.contrast(weights), strict=True)
            )
        )
        items = ItemPart(self.test_set, values)
        return Contribution(weights @ self.means, spread, weights**2 @ self.twice, items)


def fixed_test(
    runs: Sequence[Runs], patients: NDArray[np.int64] | None, test_set: Hashable, *, seeds_draw: bool = False
) -> FixedTest:
    """Build a group of cells from their runs, each with at least one.

    `patients` (n,) gives the patient of each test item; None where the items are unknown. With `seeds_draw`,
    equal seeds draw equal training images: what they share is removed if every cell has the same seeds.
    """
    raw = [cell.values for cell in runs]
    plain = repeats(runs, raw)
    centred = _without_seed_means(runs) if seeds_draw else None
    paired = plain if centred is None else repeats(runs, centred, removed=1 / len(runs))
    parts = [_item_part(cell, patients) for cell in runs]
    return FixedTest(
        means=np.array([cell.weights @ cell.values for cell in runs]),
        repeats=plain,
        paired=paired,
        items=np.array([items for items, _ in parts]),
        twice=np.array([twice for _, twice in parts]),
        test_set=test_set,
    )


def _without_seed_means(runs: Sequence[Runs]) -> list[Floats] | None:
    """Subtract each seed's mean over cells; None for a single cell, or where a cell lacks a seed."""
    names = sorted(set(runs[0].seeds.tolist()))
    if len(runs) < 2 or any(sorted(set(cell.seeds.tolist())) != names for cell in runs):
        return None
    table = np.array([[cell.values[cell.seeds == seed].mean() for seed in names] for cell in runs])
    means = dict(zip(names, table.mean(0), strict=True))
    return [cell.values - np.array([means[seed] for seed in cell.seeds.tolist()]) for cell in runs]


def _item_part(cell: Runs, patients: NDArray[np.int64] | None) -> tuple[Floats, float]:
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
        twice = float(clusters / (clusters - 1) * rest * (cell.weights**2).sum())
    return cell.weights @ sums, twice


@dataclass(frozen=True)
class RepeatedSplits:
    """A group in which every split has its own training and test items: folds, or seeds that draw the split.

    `values` gives each cell's mean over the seeds of each split; `ratio` is test items / training items.
    Splits overlap, hence the corrected variance of Nadeau and Bengio (2003, Mach. Learn. 52:239).
    """

    values: Sequence[Mapping[Hashable, float]]
    ratio: float

    def contrast(self, weights: Floats) -> Contribution:
        rows = [self._one(row) for row in weights]
        value, variance, df = (np.array(column) for column in zip(*rows, strict=True))
        return Contribution(value, Component(variance, df), np.zeros(len(weights)))

    def _one(self, weights: Floats) -> tuple[float, float, float]:
        used = [(cell, weight) for cell, weight in zip(self.values, weights, strict=True) if weight]
        if not used:
            return 0.0, 0.0, 0.0
        common = set.intersection(*(set(cell) for cell, _ in used))
        sums = np.array(
            [sum(weight * cell[split] for cell, weight in used) for split in sorted(common, key=str)]
        )
        if len(sums) < 2:
            return sum(w * float(np.mean(list(cell.values()))) for cell, w in used), 0.0, 0.0
        largest = max(abs(value) for cell, _ in used for value in cell.values())
        spread = sums.var(ddof=1) if np.ptp(sums) > ROUNDING * largest else 0.0
        return float(sums.mean()), float(spread * (1 / len(sums) + self.ratio)), len(sums) - 1.0


def printed_group(means: Floats, stds: Floats, runs: int, ratio: float = 0.0) -> FixedTest:
    """Build a group of published cells (cells,): means and sample standard deviations over `runs` runs.

    `ratio` is test items / training items where each run has its own split. Test items are unknown.
    """
    df = np.full(len(means), runs - 1.0)
    total = float(df.sum())
    squares = df * stds**2
    variance = (PRIOR * squares.sum() / total + squares) / (PRIOR + df) * (1 / runs + ratio)
    none = np.zeros(len(means), bool)
    spread = Repeats(variance, np.minimum(PRIOR + df, total), none, 0.0, total)
    items = np.full((len(means), 1), np.nan)
    return FixedTest(means, spread, spread, items, np.zeros(len(means)), None)
