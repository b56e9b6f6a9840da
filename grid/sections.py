"""What a report says of one table or figure that trains: our cells, the paper's, the tests between them.

All numbers are of the section's own experiments; p values are corrected (Holm) over the section's tests of
one kind. Differences are in points.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING, Any

from grid import charts, figures, provenance, statistics, tables
from grid.charts import Chart, Level, Line, Series
from grid.findings import value
from grid.places import Place
from grid.provenance import Compared
from grid.space import IMAGENET, RANDOM
from grid.statistics import Interval, Summary, Test
from grid.tables import Cell, heading

if TYPE_CHECKING:
    import pandas as pd

STEPS = "steps_to_95"
REPEATS = 3  # of every number that the paper printed


@dataclass(frozen=True)
class Facts:
    """What MLflow knows of each fine-tuning, by digest; `tracker` is its address if that can be opened."""

    rows: Mapping[str, Mapping[str, Any]]
    tracker: str = ""

    def values(self, cell: Cell, name: str) -> dict[int, float]:
        """A recorded metric of each finished seed that has it."""
        found = {seed: self.rows[digest].get(name) for seed, digest in cell.digests.items()}
        return {seed: float(v) for seed, v in found.items() if v is not None and v == v}

    def mean(self, cell: Cell, name: str, scale: float = 1.0) -> float:
        known = self.values(cell, name)
        return scale * mean(known.values()) if known else math.nan

    def run(self, digest: str) -> str:
        return str(self.rows[digest].get("run_id") or "")

    def link(self, digest: str) -> str:
        """Of the run in MLflow's own page; empty where the tracker has none."""
        return f"{self.tracker}/#/runs/{self.run(digest)}" if self.tracker and self.run(digest) else ""

    def told(self, cell: Cell) -> str:
        """Every finished seed with its value and run, for a tooltip."""
        seeds = sorted(cell.values.items())
        return "\n".join(f"seed {s}: {v:.2f}, run {self.run(cell.digests[s])}" for s, v in seeds)


def facts(frame: "pd.DataFrame", tracker: str | None) -> Facts:
    """`frame` is what grid.results.load gives."""
    unique = frame.drop_duplicates("digest").set_index("digest")
    address = (tracker or "").rstrip("/")
    return Facts(
        unique.to_dict("index"),  # type: ignore[arg-type]
        address if address.startswith(("http://", "https://")) else "",
    )


@dataclass(frozen=True)
class Row:
    """A cell beside the paper's; `test` is Welch's, `p` corrected; None where nothing is compared."""

    cell: Cell
    paper: Compared | None
    test: Test | None
    p: float


@dataclass(frozen=True)
class Gain:
    """A cell against random weights of the same network, target and seeds.

    `difference` is of the common seeds, `effect` Hedges' g, `test` paired by seed, `p` corrected.
    """

    cell: Cell
    seeds: int
    planned: int
    difference: Interval
    effect: Interval
    test: Test
    p: float


@dataclass(frozen=True)
class Speed:
    """Steps to 95 % of the best validation score, over the seeds that recorded them."""

    steps: float
    n: int
    planned: int


@dataclass(frozen=True)
class Speeds:
    """By initialization and column (target and network)."""

    columns: list[str]
    rows: dict[str, dict[str, Speed]]

    def least(self, column: str) -> float:
        return min(row[column].steps for row in self.rows.values() if column in row)


@dataclass(frozen=True)
class Trials:
    """`charts` redraw the paper's figure, `dots` show gains over random weights, `panels` learning curves."""

    cells: list[Cell]
    rows: list[Row]
    gains: list[Gain]
    charts: list[Chart]
    dots: list[figures.DotPlot]
    panels: list[figures.Panel]
    colours: dict[str, int]

    remarks: list[str]

    @property
    def in_groups(self) -> list[Cell]:
        """Cells with a finished seed, by target and network, each in the order of the cells."""
        return [cell for group in _by_target(self.cells).values() for cell in group]

    def row(self, cell: Cell | None) -> Row | None:
        return next((row for row in self.rows if row.cell is cell), None)

    def gain(self, cell: Cell) -> Gain | None:
        return next((gain for gain in self.gains if gain.cell is cell), None)

    def speeds(self, facts: Facts) -> Speeds | None:
        """None where no finished trial recorded them."""
        found: dict[str, dict[str, Speed]] = {}
        several = len({cell.network for cell in self.cells}) > 1
        for cell in self.cells:
            if known := facts.values(cell, STEPS):
                column = heading(cell.column) + (f", {cell.network}" if several else "")
                speed = Speed(mean(known.values()), len(known), cell.planned)
                found.setdefault(cell.initialization, {})[column] = speed
        columns = list(dict.fromkeys(column for row in found.values() for column in row))
        return Speeds(columns, found) if found else None


def trials(place: Place, cells: list[Cell], remarks: Mapping[str, str], history: figures.History) -> Trials:
    """`remarks` says of each target in what its data are not the owner's, as provenance.remarks."""
    numbers = figures.colours(cell.initialization for cell in cells)
    if place.drawing == "sizes":
        numbers = by_source(cells)
    drawn = DRAWINGS[place.drawing](cells, numbers) if place.drawing else []
    panels = [] if place.drawing == "sizes" else figures.panels(cells, history, len(cells))
    told = [
        f"{name}: {remarks[name]}" for name in dict.fromkeys(c.target for c in cells) if remarks.get(name)
    ]
    return Trials(
        cells, rows(cells, remarks), gains(cells), drawn, figures.dot_plots(cells), panels, numbers, told
    )


def rows(cells: Sequence[Cell], remarks: Mapping[str, str]) -> list[Row]:
    printed = {id(found.cell): found for found in provenance.comparisons(cells, remarks)}
    pairs = [(cell, printed.get(id(cell))) for cell in cells]
    tests = [_welch(cell, paper) for cell, paper in pairs]
    corrected = statistics.holm([test.p if test else math.nan for test in tests])
    found = zip(pairs, tests, corrected.tolist(), strict=True)
    return [Row(cell, paper, test, p) for (cell, paper), test, p in found]


def _welch(cell: Cell, paper: Compared | None) -> Test | None:
    if paper is None or cell.n < 2:
        return None
    return statistics.welch(_summary(cell), Summary(paper.mean, paper.std, REPEATS))


def _summary(cell: Cell) -> Summary:
    return statistics.summary(list(cell.values.values()))


def gains(cells: Sequence[Cell]) -> list[Gain]:
    """Of every cell that shares a finished seed with random weights."""
    random = {(cell.network, cell.column): cell for cell in cells if cell.initialization == RANDOM}
    pairs = [(cell, random.get((cell.network, cell.column))) for cell in cells]
    known = [(c, r) for c, r in pairs if r is not None and r is not c and c.values.keys() & r.values.keys()]
    differences = [
        [c.values[s] - r.values[s] for s in sorted(c.values.keys() & r.values.keys())] for c, r in known
    ]
    tests = [statistics.paired(seeds) for seeds in differences]
    corrected = statistics.holm([test.p for test in tests])
    return [
        Gain(
            cell,
            len(seeds),
            max(cell.planned, other.planned),
            statistics.mean_interval(seeds),
            statistics.hedges_g(_summary(cell), _summary(other)),
            test,
            p,
        )
        for (cell, other), seeds, test, p in zip(known, differences, tests, corrected.tolist(), strict=True)
    ]


def _by_target(cells: Iterable[Cell]) -> dict[tuple[str, str], list[Cell]]:
    """Finished cells by (target, network)."""
    found: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        if cell.n:
            found.setdefault((cell.target, cell.network), []).append(cell)
    return found


def _short(cell: Cell) -> bool:
    return cell.n < cell.planned


def _named(cell: Cell) -> str:
    return cell.initialization + (f" ({cell.n} of {cell.planned})" if _short(cell) else "")


def by_source(cells: Sequence[Cell]) -> dict[str, int]:
    """A plain colour a source, whatever its size: dashes are for levels here."""
    sources = figures.colours(cell.source for cell in cells)
    free = (n for n in range(1, len(sources) + figures.COLOURS) if n not in sources.values())
    plain = {name: n if n <= figures.COLOURS else next(free) for name, n in sources.items()}
    return {cell.initialization: plain[cell.source] for cell in cells}


def _as_rows(cells: Sequence[Cell], numbers: dict[str, int]) -> list[Chart]:
    """A chart a target: each initialization's seeds and mean, random weights marked through all."""
    return [_rows_of(group, numbers) for group in _by_target(cells).values()]


def _rows_of(group: list[Cell], numbers: dict[str, int]) -> Chart:
    random = next((cell.mean for cell in group if cell.initialization == RANDOM), None)
    entries = [
        Line(
            _named(cell),
            numbers[cell.initialization],
            cell.mean,
            cell.std,
            tuple(cell.values.values()),
            f"{cell.initialization}: {value(cell)}",
            _short(cell),
        )
        for cell in group
    ]
    return charts.rows(heading(group[0].column), _metric(group[0]), entries, random, "")


def _metric(cell: Cell) -> str:
    return f"{cell.network} · {tables.METRIC_NAMES[cell.metric]}, %"


def _over_sizes(cells: Sequence[Cell], numbers: dict[str, int]) -> list[Chart]:
    """A chart a target: means over the number of the source's images, what has none as a level."""
    return [
        _lines_of(
            group,
            {cell.source: numbers[cell.initialization] for cell in cells},
            lambda cell: cell.sample_size,
            "images of the source",
        )
        for group in _by_target(cells).values()
    ]


def _over_shares(cells: Sequence[Cell], numbers: dict[str, int]) -> list[Chart]:
    """A chart a target: means over the share of its training part that is fine-tuned on."""
    return [
        _lines_of(
            group,
            numbers,
            lambda cell: 100 * cell.target_size,
            "% of the target's training part",
        )
        for group in _by_target(cells).values()
    ]


def _lines_of(group: list[Cell], names: dict[str, int], x: Any, x_name: str) -> Chart:
    by_size = x_name.startswith("images")
    grouped: dict[str, list[Cell]] = {}
    for cell in group:
        grouped.setdefault(cell.source if by_size else cell.initialization, []).append(cell)
    levels = [
        Level(cell.initialization, names[cell.source], cell.mean)
        for cell in group
        if by_size and (cell.source in (RANDOM, IMAGENET) or not cell.sample_size)
    ]
    series = [
        Series(
            name,
            names[name],
            tuple(
                (x(cell), cell.mean, cell.std, f"{cell.initialization}: {value(cell)}", _short(cell))
                for cell in sorted(members, key=x)
            ),
        )
        for name, members in grouped.items()
        if not by_size or all(cell.sample_size for cell in members)
    ]
    lacking = [_named(cell) for cell in group if _short(cell) and (cell.source in (RANDOM, IMAGENET))]
    note = "; ".join([_metric(group[0]), *(lacking if by_size else [])])
    places = sorted({point[0] for line in series for point in line.points})
    at = [(place, figures.label(place) if by_size else f"{place:g}") for place in places]
    return charts.lines(group[0].target, note, series, levels, x_name, at, by_size)


DRAWINGS = {"rows": _as_rows, "sizes": _over_sizes, "shares": _over_shares}
