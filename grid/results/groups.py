"""The cells of a comparison group as `grid.results.intervals` takes them: runs, seeds and test items."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from grid.results import items
from grid.results.cells import Cell, CellKey, ComparisonGroup
from grid.results.intervals import FEWEST_CLUSTERS, Estimates, estimate
from grid.results.items import TestItems
from grid.results.variance import Group, RepeatedSplits, Runs, fixed_test
from grid.space.trials import task_of
from medpt.grouping import grouped
from medpt.survival.split import TEST_FRACTION

SEEDS_ALONE = "seeds alone: no test items are stored"
OTHER_ITEMS = "seeds alone: the runs were tested on different items"
ITEMS_ALONE = "one seed: test items alone"
EQUAL_SEEDS = "equal values of all seeds: test items alone"
SPLITS = "each seed has its own split"
FOLDS = "repeated splits of the data"
FEW_ITEMS = f"no interval: fewer than {FEWEST_CLUSTERS} test images or patients"
SINGLE_ITEM = "no interval: one class (of survival, death) is that of a single test image or patient"
RARE_CLASS = (
    f"one class (of survival, death) is that of fewer than {items.RARE} test images or patients: "
    "the interval may be too narrow"
)
NO_SPREAD = "no interval: nothing was repeated and no test items are stored, or no value differs"


@dataclass(frozen=True)
class ComparedGroup:
    """The cells of one comparison group that have a finished repeat, and what their intervals are made of.

    `images` counts the test items, `patients` those whom they are of; None where unknown. Of repeated splits
    both are means over the splits, and `overlap` is test items / training items. `note` says what the
    intervals lack.
    """

    cells: tuple[Cell, ...]
    group: Group
    images: int | None = None
    patients: int | None = None
    note: str = ""
    overlap: float = 0.0

    @cached_property
    def places(self) -> dict[CellKey, int]:
        return {cell.key: place for place, cell in enumerate(self.cells)}

    def weights(self, *terms: tuple[CellKey, float]) -> list[float]:
        """Return the weights (cells,) of a contrast."""
        row = [0.0] * len(self.cells)
        for key, weight in terms:
            row[self.places[key]] += weight
        return row

    def estimate(self, weights: Any) -> Estimates:
        return estimate([(self.group, weights)])

    def describe(self, found: Estimates, row: int = 0) -> str:
        """Say what an estimate of this group lacks; empty where it has test items and repeats."""
        if np.isnan(found.variance[row]):
            return self.note if self.note in (FEW_ITEMS, SINGLE_ITEM) else NO_SPREAD
        alone = EQUAL_SEEDS if any(cell.n > 1 for cell in self.cells) else ITEMS_ALONE
        without_repeats = "" if found.repeats.variance[row] > 0 else alone
        return "; ".join(filter(None, (self.note, without_repeats)))


ComparedGroups = Mapping[ComparisonGroup, ComparedGroup]


def compared_groups(cells: Iterable[Cell]) -> ComparedGroups:
    """Return the comparison groups of cells, without cells that have no finished repeat."""
    finished = grouped((cell for cell in cells if cell.n), lambda cell: cell.key.group)
    return {key: _compared(members) for key, members in finished.items()}


def _compared(cells: Sequence[Cell]) -> ComparedGroup:
    first = cells[0].key
    read = [[_read(cell, repeat) for repeat in cell.values] for cell in cells]
    known = [item for row in read for item in row if item]
    truths = {item.truth for item in known}
    folds = {repeat.fold for cell in cells for repeat in cell.values}
    one_set = len(truths) == 1 and len(known) == sum(map(len, read))
    if len(folds) > 1 and not one_set:  # an external test set is one for all splits of its target
        return _splits(cells, known, "fold", FOLDS)
    if task_of(first.architecture) == "survival" and len({r.seed for cell in cells for r in cell.values}) > 1:
        return _splits(cells, known, "seed", SPLITS)
    one = next(iter(known), None)
    if one is None or len(truths) > 1:
        return _fixed(cells, None, SEEDS_ALONE if one is None else OTHER_ITEMS)
    if one.clusters < FEWEST_CLUSTERS or one.rarest == 1:
        return _without_interval(cells, one)
    return _fixed(cells, (one, read), "")


def _without_interval(cells: Sequence[Cell], one: TestItems) -> ComparedGroup:
    """Group cells whose test items are too few for a variance, which seeds alone would understate."""
    group = RepeatedSplits([{0: cell.mean} for cell in cells], 0.0)
    people = None if one.patients is None else one.clusters
    note = SINGLE_ITEM if one.rarest == 1 else FEW_ITEMS
    return ComparedGroup(tuple(cells), group, len(one.influence), people, note)


def _read(cell: Cell, repeat: Any) -> TestItems | None:
    path = cell.items.get(repeat)
    found = items.read(path, cell.metric) if path else None
    return found if found is not None and np.isfinite(found.influence).all() else None


def _splits(cells: Sequence[Cell], known: Sequence[TestItems], split: str, note: str) -> ComparedGroup:
    """Group the runs by the factor `split` that draws the split; their items are those of one split."""
    ratios = [len(item.influence) / item.trained for item in known if item.trained]
    ratio = float(np.mean(ratios)) if ratios else TEST_FRACTION / (1 - TEST_FRACTION)
    group = RepeatedSplits([_split_means(cell, split) for cell in cells], ratio)
    tested = round(float(np.mean([len(item.influence) for item in known]))) if known else None
    people = [int(item.patients.max()) + 1 for item in known if item.patients is not None]
    patients = round(float(np.mean(people))) if people else None if split == "fold" else tested
    return ComparedGroup(tuple(cells), group, tested, patients, note, ratio)


def _split_means(cell: Cell, split: str) -> dict[Hashable, float]:
    """Return the cell's mean over all runs of each split."""
    runs = grouped(cell.values.items(), lambda run: getattr(run[0], split))
    return {name: float(np.mean([value for _, value in own])) for name, own in runs.items()}


Known = tuple[TestItems, list[list[TestItems | None]]]


def _fixed(cells: Sequence[Cell], known: Known | None, note: str) -> ComparedGroup:
    runs = [_runs(cell, known[1][place] if known else None) for place, cell in enumerate(cells)]
    draws = cells[0].key.target_size < 1
    if known is None:
        group = fixed_test(runs, None, None, seeds_draw=draws)
        return ComparedGroup(tuple(cells), group, note=note)
    one = known[0]
    count = len(one.influence)
    patients = np.arange(count) if one.patients is None else one.patients
    group = fixed_test(runs, patients, (cells[0].key.target, one.truth), seeds_draw=draws)
    people = None if one.patients is None else int(patients.max()) + 1
    if one.rarest is not None and one.rarest < items.RARE:
        note = RARE_CLASS
    if any(cell.influence is None for cell in runs):
        note = "seeds alone where a run has no test items stored"
    return ComparedGroup(tuple(cells), group, count, people, note)


def _runs(cell: Cell, found: Sequence[TestItems | None] | None) -> Runs:
    rows = [item.influence for item in found or () if item]
    return Runs(
        values=np.array(list(cell.values.values()), float),
        seeds=np.array([(repeat.fold << 32) + repeat.seed for repeat in cell.values]),
        pretrainings=np.array([repeat.pretrain_seed for repeat in cell.values]),
        influence=np.array(rows) if len(rows) == cell.n else None,
    )
