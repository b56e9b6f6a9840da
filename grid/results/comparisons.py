"""Cells and their differences from a baseline, with the intervals that every table and sentence shows."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil, isnan, nan
from typing import TYPE_CHECKING, Any

import numpy as np

from grid.results import verdicts
from grid.results.cells import KEY, Cell, CellKey, Row, find_cells
from grid.results.frame import FACTORS
from grid.results.groups import ComparedGroup, ComparedGroups, compared_groups
from grid.results.intervals import add
from grid.results.metrics import bounds, require_larger_is_better
from grid.results.protocol_columns import factors, varied_fields
from grid.results.variance import Component
from grid.results.verdicts import Verdict
from grid.space.protocols import PROTOCOL_FIELDS
from grid.space.trials import RANDOM
from medpt.errors import InputError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

PUBLISHED_RUNS = 3  # of every number that Wen et al. 2021 printed
MARGIN = 1.0  # points within which two initializations count as equivalent
THESE_WEIGHTS, THIS_SOURCE = "these weights", "this source"
SUMMARY = ("metric", "mean", "std", "low", "high", "n", "planned", "repeated")
UNCOMPARED = "no finished run with a value on one side"
DIVIDING = ("experiment", "seed", "pretrain_seed", "fold")  # factors that no cell has


@dataclass(frozen=True)
class Difference:
    """A cell against the baseline of its comparison group, in points; nan where there is no interval.

    `p_adjusted` is corrected (Holm) over all initializations of the group. `decidable` is the smallest true
    difference that would be found with probability 0.8; `seeds_needed` and `images_needed` say how many of
    them would decide this one, None where no number would. `among_best`: it cannot be distinguished
    from the group's best. `note` says which sources of variance the interval lacks.
    """

    cell: Cell
    baseline: Cell
    value: float
    low: float = nan
    high: float = nan
    p: float = nan
    p_adjusted: float = nan
    p_better: float = nan
    p_equivalent: float = nan
    verdict: Verdict = "undecided"
    decidable: float = nan
    seeds_needed: int | None = None
    images_needed: int | None = None
    among_best: bool = True
    note: str = ""

    @property
    def subject(self) -> str:
        """What the difference is of: one pre-training is these weights, several are a source.

        Over repeated splits pre-trainings are averaged, and their variance is not in the interval.
        """
        repeats = [*self.cell.values]
        several = len({repeat.pretrain_seed for repeat in repeats}) > 1
        return THIS_SOURCE if several and len({each.fold for each in repeats}) == 1 else THESE_WEIGHTS


@dataclass(frozen=True)
class Interval:
    """The mean of a cell with its 95 % confidence limits, nan where there is nothing to take them from."""

    mean: float
    low: float
    high: float


def intervals(compared: ComparedGroup) -> dict[CellKey, Interval]:
    """Return the interval of each cell of a group, cut at the least and the largest value of its metric."""
    found = compared.estimate(np.eye(len(compared.cells)))
    least, most = bounds(compared.cells[0].metric, found.value)
    rows = zip(compared.cells, found.value, *np.clip(found.limits(), least, most), strict=True)
    return {cell.key: Interval(*map(float, limits)) for cell, *limits in rows}


def cell_intervals(cells: Sequence[Cell], groups: ComparedGroups) -> dict[CellKey, Interval]:
    """Return the interval of each cell, with limits of nan where its group has none."""
    known = {key: one for group in groups.values() for key, one in intervals(group).items()}
    return {cell.key: known.get(cell.key, Interval(cell.mean, nan, nan)) for cell in cells}


def differences(compared: ComparedGroup, baseline: str = RANDOM, margin: float = MARGIN) -> list[Difference]:
    """Compare each cell of a group with its baseline; empty where the baseline has no finished repeat."""
    base = next((cell for cell in compared.cells if cell.key.initialization == baseline), None)
    others = [cell for cell in compared.cells if base and cell.key.initialization != baseline]
    if base is None or not others:
        return []
    weights = [compared.weights((cell.key, 1), (base.key, -1)) for cell in others]
    found = compared.estimate(weights)
    p = verdicts.two_sided(found)
    adjusted = verdicts.holm(p)
    judged = verdicts.verdicts(found, adjusted, margin)
    best = verdicts.set_of_the_best(compared.group, len(compared.cells))
    columns = {
        "value": found.value,
        **dict(zip(("low", "high"), found.limits(), strict=True)),
        "p": p,
        "p_adjusted": adjusted,
        "p_better": verdicts.probability_better(found),
        "p_equivalent": verdicts.probability_equivalent(found, margin),
        "decidable": verdicts.smallest_decidable(found),
    }
    seeds, images = (verdicts.needed(found, of, overlap=compared.overlap) for of in ("seeds", "items"))
    return [
        Difference(
            cell,
            base,
            **{name: float(values[row]) for name, values in columns.items()},
            verdict=judged[row],
            seeds_needed=_times(seeds[row], cell.n),
            images_needed=_times(images[row], compared.images),
            among_best=compared.places[cell.key] in best,
            note=_note(compared.describe(found, row), p[row], judged[row], len(others)),
        )
        for row, cell in enumerate(others)
    ]


def _times(factor: float, count: int | None) -> int | None:
    return None if isnan(factor) or not count else ceil(round(factor * count, 6))


def _note(lacking: str, p: float, verdict: Verdict, count: int) -> str:
    corrected = f"after {count} comparisons" if verdict == "undecided" and p < verdicts.LEVEL else ""
    return "; ".join(filter(None, (corrected, lacking)))


@dataclass(frozen=True)
class Agreement:
    """Our cell less a published mean, in points: agrees (within the margin), differs, or cannot tell."""

    value: float
    low: float
    high: float
    verdict: str


def agreement_with(compared: ComparedGroup, key: CellKey, mean: float, std: float) -> Agreement:
    """Compare a cell with a published mean ± `std` of PUBLISHED_RUNS runs, which has its own variance."""
    ours = compared.estimate(compared.weights((key, 1)))
    theirs = Component(np.array([std**2 / PUBLISHED_RUNS]), np.array([PUBLISHED_RUNS - 1.0]))
    if np.isnan(ours.variance[0]):
        return Agreement(float(ours.value[0]) - mean, nan, nan, "cannot tell")
    found = replace(ours, value=ours.value - mean, repeats=add([ours.repeats, theirs]))
    (low, high), value = found.limits(), found.value
    (judged,) = verdicts.verdicts(found, verdicts.two_sided(found), MARGIN)
    verdict = {"equivalent": "agrees", "undecided": "cannot tell"}.get(judged, "differs")
    return Agreement(float(value[0]), float(low[0]), float(high[0]), verdict)


def compare(
    frame: "pd.DataFrame", baseline: str = RANDOM, metric: str | None = None, margin: float = MARGIN
) -> "pd.DataFrame":
    """Compare every initialization with `baseline`, within each network, target, target size and protocol.

    One row per comparison group and initialization, on `metric` or the headline metric of its task: the
    factors; difference, low, high (95 %) and decidable in points; p_better, p_adjusted (Holm over the
    group) and p_equivalent (within ± `margin` points); verdict (better, worse, equivalent, undecided);
    among_best; seeds_needed and images_needed for a verdict; subject (these weights, this source); n_items,
    n_patients and runs; note, what the interval lacks. Rows without a finished repeat on either side are
    nan and undecided. Raises InputError for an unknown baseline or metric, and for a metric whose smaller
    values are better.
    """
    require_larger_is_better(metric)
    known = list(dict.fromkeys(frame["initialization"]))
    if baseline not in known:
        raise InputError(f"baseline {baseline}: no trial starts from it; {did_you_mean(baseline, known)}")
    if not margin >= 0:
        raise InputError(f"margin {margin}: use a number of points from 0")
    return comparison_table(find_cells(frame, metric), baseline, margin)


def comparison_table(
    cells: Sequence[Cell], baseline: str, margin: float, shown: Collection[CellKey] | None = None
) -> "pd.DataFrame":
    """Return the frame of `compare` of all cells; `shown` limits the rows, never what is compared."""
    import pandas as pd

    groups, varied = compared_groups(cells), varied_fields(cells)
    found = {d.cell.key: d for group in groups.values() for d in differences(group, baseline, margin)}
    rows = [
        _difference_row(cell, varied, found.get(cell.key), groups.get(cell.key.group))
        for cell in cells
        if cell.key.initialization != baseline and (shown is None or cell.key in shown)
    ]
    return pd.DataFrame(rows)


def _difference_row(
    cell: Cell, varied: Sequence[str], found: Difference | None, group: ComparedGroup | None
) -> Row:
    base = cell if found is None else found.baseline
    one = found or Difference(cell, base, nan, among_best=False, note=UNCOMPARED)
    known = {name: getattr(one, name) for name in ("low", "high", "p_better", "p_adjusted", "p_equivalent")}
    counts = {"n_items": group and group.images, "n_patients": group and group.patients}
    return (
        factors(cell, varied)
        | {"difference": one.value}
        | known
        | {name: getattr(one, name) for name in ("verdict", "decidable", "seeds_needed", "images_needed")}
        | {"among_best": one.among_best, "subject": one.subject}
        | counts
        | {"runs": cell.n, "planned": cell.planned, "note": one.note}
    )


def cells(
    frame: "pd.DataFrame",
    metric: str | None = None,
    by: Sequence[str] | None = None,
    shown: Collection[CellKey] | None = None,
) -> "pd.DataFrame":
    """Return one row for each cell: its factors, metric, mean, std, low, high, n, planned and repeated.

    `mean`, `std` (ddof 1) and [low, high], the 95 % interval of the mean (docs/statistics.md), are in per
    cent. `repeated` says what the n of planned trials differ in, empty where it is the seed alone. `by` names
    the factors to show, by default all. What else distinguishes cells is shown as well, so that a mean is
    never over anything but repeats; fields of the protocol that differ are columns, and `settings` says in
    what else protocols differ. `seed` and `experiment` divide the cells. `shown` limits the rows to these
    cells, never what their intervals are taken from. `metric` and errors as in `find_cells`; InputError also
    for an unknown factor.
    """
    import pandas as pd

    if unknown := [name for name in by or () if name not in FACTORS]:
        raise InputError(f"--by {name}: no such factor; {did_you_mean(name, FACTORS)}" for name in unknown)
    parts = divide(frame, [name for name in by or () if name in DIVIDING])
    rows = [values | row for values, part in parts for row in _cell_rows(find_cells(part, metric), shown)]
    columns = _columns(rows, by)
    columns += [name for name in frame.attrs.get("select", ()) if name not in columns]
    return pd.DataFrame(rows, columns=[*columns, *SUMMARY])


def _cell_rows(found: Sequence[Cell], shown: Collection[CellKey] | None) -> Iterable[Row]:
    varied = varied_fields(found)
    limits = cell_intervals(found, compared_groups(found))
    for cell in found:
        if shown is None or cell.key in shown:
            one = limits[cell.key]
            numbers: dict[str, Any] = {"mean": cell.mean, "std": cell.std, "low": one.low, "high": one.high}
            yield (
                factors(cell, varied)
                | numbers
                | {"n": cell.n, "planned": cell.planned, "repeated": cell.repeated}
            )


def _columns(rows: list[Row], by: Sequence[str] | None) -> list[str]:
    """`by`, then each factor that differs between rows that are equal in the columns before it."""
    varied = [name for name in PROTOCOL_FIELDS if any(name in row for row in rows)]
    columns = [*KEY, *varied, "settings"] if by is None else list(by)
    for name in (*KEY[:-2], *varied, "settings"):
        known = [tuple(row[column] for column in columns) for row in rows]
        if len({(*names, row[name]) for names, row in zip(known, rows, strict=True)}) > len(set(known)):
            columns.append(name)
    return columns


def divide(frame: "pd.DataFrame", names: Sequence[str]) -> "Iterator[tuple[Row, pd.DataFrame]]":
    """Yield the parts of a frame with equal values in the columns `names`, and these values."""
    if not names:
        yield {}, frame
        return
    for values, part in frame.groupby(list(names), sort=False, dropna=False):
        yield dict(zip(names, values, strict=True)), part
