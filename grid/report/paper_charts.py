"""The charts of cells: scores by initialization, size or share, and gains over random weights.

Scores are in per cent, gains in points; bars are 95 % intervals. At most MOST_GROUPS networks and targets of
a section are drawn; its tables have all.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count

from grid.report.charts import COLOURS, Chart, Line, LineChart, Row, RowChart
from grid.report.tables import signed
from grid.results.cells import Cell, CellKey
from grid.results.comparisons import MARGIN, Difference, Interval
from grid.results.display import METRIC_NAMES, bracketed, column_name, format_cell
from grid.space.trials import IMAGENET, RANDOM
from medpt.grouping import grouped

MOST_GROUPS = 30
PAPERS_SIZE = "-20k"
PINNED = {  # the paper's sources always have the same colour
    RANDOM: 0,
    IMAGENET: 1,
    "CheXpert": 2,
    "ADE20K": 3,
    "EyePACS": 4,
    "CHAOS-CT": 5,
    "CHAOS-MRI": 6,
    "REFUGE-OD": 7,
    "SS-Jigsaw": 8,
    "SS-Context": 9,
    "M6-CLS": 8,  # the paper shows no collection beside a method without labels
    "M6-SEG": 9,
    "ImageNet": 1 + COLOURS,
    "ADE20K-Seg": 3 + COLOURS,
    "M3-CLS": 8 + COLOURS,
    "M3-SEG": 9 + COLOURS,
}

Colours = Mapping[str, int]
Limits = Mapping[CellKey, Interval]  # of each cell's mean


def colours(names: Iterable[str]) -> dict[str, int]:
    """Return a number for each initialization: the paper's sources as PINNED, others from 1 on."""
    wanted = list(dict.fromkeys([RANDOM, *names]))
    found = {name: PINNED[plain] for name in wanted if (plain := name.removesuffix(PAPERS_SIZE)) in PINNED}
    free = (number for number in count(1) if number not in found.values())
    return {name: found[name] if name in found else next(free) for name in wanted}


def source_colours(cells: Sequence[Cell]) -> dict[str, int]:
    """Return a plain colour for each initialization, the same for all sizes of its source."""
    sources = colours(cell.key.source for cell in cells)
    free = (n for n in range(1, len(sources) + COLOURS) if n not in sources.values())
    plain = {name: n if n <= COLOURS else next(free) for name, n in sources.items()}
    return {cell.label: plain[cell.key.source] for cell in cells}


def by_target(cells: Iterable[Cell]) -> list[list[Cell]]:
    """Return the cells with a finished repeat, those of one target and network together."""
    return list(grouped(_finished(cells), lambda cell: (cell.key.target, cell.network)).values())


def networks(cells: Iterable[Cell]) -> list[list[Cell]]:
    """Return the cells with a finished repeat, those of one column of the tables and network together."""
    return list(grouped(_finished(cells), lambda cell: (cell.column, cell.network)).values())


def _finished(cells: Iterable[Cell]) -> Iterator[Cell]:
    return (cell for cell in cells if cell.n)


def _drawn(cells: Iterable[Cell]) -> list[list[Cell]]:
    return by_target(cells)[:MOST_GROUPS]


def _bar(cell: Cell, limits: Limits) -> tuple[float, float]:
    """Return the ends of an error bar; nan where the cell has no interval."""
    one = limits[cell.key]
    return one.low, one.high


def _short(cell: Cell) -> bool:
    return cell.n < cell.planned


def _named(cell: Cell) -> str:
    return cell.label + (f" ({cell.n} of {cell.planned})" if _short(cell) else "")


def _metric(cell: Cell) -> str:
    return f"{METRIC_NAMES[cell.metric]}, %"


def scores_by_initialization(cells: Sequence[Cell], numbers: Colours, limits: Limits) -> list[Chart]:
    """Draw a chart for each target: the repeats, mean and interval of each initialization."""
    return [_scores(group, numbers, limits) for group in _drawn(cells)]


def _scores(group: list[Cell], numbers: Colours, limits: Limits) -> Chart:
    random = next((cell for cell in group if cell.key.initialization == RANDOM and cell.n), None)
    rows = tuple(
        Row(
            _named(cell),
            numbers[cell.label],
            cell.mean,
            _bar(cell, limits),
            tuple(cell.values.values()),
            not _short(cell),
            text=format_cell(cell).partition(" (")[0],
        )
        for cell in group
    )
    first, level = group[0], random.mean if random else math.nan
    return RowChart(column_name(*first.column), first.network, _metric(first), rows, level)


@dataclass(frozen=True)
class _Axis:
    """What scores are drawn over: `value` of a cell (0: a level), `name` of its line, `text` of a tick."""

    label: str
    value: Callable[[Cell], float]
    name: Callable[[Cell], str]
    text: str
    logarithmic: bool = False


SIZES = _Axis(
    "training images of the source",
    lambda cell: float(cell.key.sample_size or 0),
    lambda cell: bracketed(cell.key.source, cell.source_settings),
    "{:,.0f}",
    logarithmic=True,
)
SHARES = _Axis(
    "share of the target's training set, %",
    lambda cell: 100 * cell.key.target_size,
    lambda cell: cell.label,
    "{:g}",
)


def scores_over(axis: _Axis, cells: Sequence[Cell], numbers: Colours, limits: Limits) -> list[Chart]:
    """Draw a chart for each target: mean scores with their intervals over an axis."""
    return [_over(axis, group, numbers, limits) for group in _drawn(cells)]


def _over(axis: _Axis, group: list[Cell], numbers: Colours, limits: Limits) -> Chart:
    lines = grouped(filter(axis.value, group), axis.name)
    series = [_series(name, numbers[m[0].label], m, axis.value, limits) for name, m in lines.items()]
    series += [
        Line(_named(cell), numbers[cell.label], (), (cell.mean,), "level")
        for cell in group
        if not axis.value(cell)
    ]
    places = sorted({x for line in series for x in line.x})
    ticks, first = tuple((x, axis.text.format(x)) for x in places), group[0]
    labels = (first.key.target, first.network, axis.label, _metric(first))
    return LineChart(*labels, tuple(series), ticks, axis.logarithmic)


def _series(name: str, number: int, members: list[Cell], x: Callable[[Cell], float], limits: Limits) -> Line:
    points = sorted(members, key=x)
    return Line(
        name,
        number,
        tuple(map(x, points)),
        tuple(cell.mean for cell in points),
        bars=tuple(_bar(cell, limits) for cell in points),
        incomplete=tuple(place for place, cell in enumerate(points) if _short(cell)),
    )


DRAWINGS: Mapping[str, Callable[[Sequence[Cell], Colours, Limits], list[Chart]]] = {
    "rows": scores_by_initialization,
    "sizes": partial(scores_over, SIZES),
    "shares": partial(scores_over, SHARES),
}


Differences = Mapping[CellKey, Difference]  # of each cell from random weights


def gains(cells: Sequence[Cell], numbers: Colours, known: Differences) -> list[Chart]:
    """Draw a forest plot for each target: differences from random weights with their intervals and verdicts.

    Networks without such a difference are excluded.
    """
    shown = [each for each in networks(cells)[:MOST_GROUPS] if any(cell.key in known for cell in each)]
    columns = grouped(shown, lambda network: network[0].column)
    return [_gains(column, groups, numbers, known) for column, groups in columns.items()]


def _gains(
    column: tuple[str, float], networks: list[list[Cell]], numbers: Colours, known: Differences
) -> Chart:
    rows = [
        _gain(cell, known[cell.key], numbers) for network in networks for cell in network if cell.key in known
    ]
    label = f"gain in {METRIC_NAMES[networks[0][0].metric]} over random weights, points"
    note = f"bars: 95 % intervals; circles: repeats; shaded: within {MARGIN:g} point"
    return RowChart(column_name(*column), note, label, tuple(rows), 0.0, MARGIN)


def _gain(cell: Cell, found: Difference, numbers: Colours) -> Row:
    return Row(
        _named(cell),
        numbers[cell.label],
        found.value,
        (found.low, found.high),
        tuple(value - found.baseline.mean for value in cell.values.values()),
        not _short(cell),
        cell.network,
        f"{signed(found.value)} {found.verdict}",
    )
