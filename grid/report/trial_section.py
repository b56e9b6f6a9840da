"""What a report says of one table or figure that trains: our cells, the paper's, the tests between them.

All numbers are of the section's own experiments; p values are corrected (Holm) over the section's tests of
one kind. Differences are in points.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING, Any

from grid.report import paper_charts, provenance
from grid.report.charts import Chart
from grid.report.paper_items import PaperItem
from grid.report.provenance import Compared
from grid.results import statistics
from grid.results.cells import Cell, Repeat
from grid.results.display import column_name
from grid.results.statistics import Interval, Summary, Test
from grid.space.trials import RANDOM

if TYPE_CHECKING:
    import pandas as pd

STEPS = "steps_to_95"
REPEATS = 3  # of every number that the paper printed


@dataclass(frozen=True)
class Facts:
    """What MLflow knows of each fine-tuning, by digest; `tracker` is its address if that can be opened."""

    rows: Mapping[str, Mapping[str, Any]]
    tracker: str = ""

    def values(self, cell: Cell, name: str) -> dict[Repeat, float]:
        """Return a recorded metric of each finished repeat that has it."""
        found = {repeat: self.rows[digest].get(name) for repeat, digest in cell.digests.items()}
        return {repeat: float(v) for repeat, v in found.items() if v is not None and v == v}

    def mean(self, cell: Cell, name: str, scale: float = 1.0) -> float:
        known = self.values(cell, name)
        return scale * mean(known.values()) if known else math.nan

    def run(self, digest: str) -> str:
        return str(self.rows[digest].get("run_id") or "")

    def link(self, digest: str) -> str:
        """Of the run in MLflow's own page; empty where the tracker has none."""
        return f"{self.tracker}/#/runs/{self.run(digest)}" if self.tracker and self.run(digest) else ""

    def describe(self, cell: Cell) -> str:
        """Every finished seed with its value and run, for a tooltip."""
        pairs = sorted(cell.values.items())
        return "\n".join(f"seed {r.seed}: {v:.2f}, run {self.run(cell.digests[r])}" for r, v in pairs)


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
    """The cells of a section and what is said of them; `charts` redraw the paper's figure."""

    cells: list[Cell]
    rows: list[Row]
    gains: list[Gain]
    colours: Mapping[str, int]
    charts: list[Chart]
    gain_charts: list[Chart]
    curves: list[Chart]
    notes: list[str]

    @property
    def in_groups(self) -> list[Cell]:
        """Cells with a finished seed, by target and network, each in the order of the cells."""
        return [cell for group in paper_charts.by_target(self.cells) for cell in group]

    @property
    def groups(self) -> int:
        """Networks and targets, of which charts show the first."""
        return len(paper_charts.by_target(self.cells))

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
                column = column_name(*cell.column) + (f", {cell.network}" if several else "")
                speed = Speed(mean(known.values()), len(known), cell.planned)
                found.setdefault(cell.label, {})[column] = speed
        columns = list(dict.fromkeys(column for row in found.values() for column in row))
        return Speeds(columns, found) if found else None


def trials(
    item: PaperItem, cells: list[Cell], notes: Mapping[str, str], history: paper_charts.History
) -> Trials:
    """Gather a section; `notes` says of each target in what its data differ from the published data.

    Learning curves are drawn once a network and target, in the sections whose speeds are compared.
    """
    by_size = item.drawing == "sizes"
    numbers = paper_charts.source_colours(cells) if by_size else paper_charts.colours(c.label for c in cells)
    targets = dict.fromkeys(cell.key.target for cell in cells)
    return Trials(
        cells,
        rows(cells, notes),
        gains(cells),
        numbers,
        paper_charts.DRAWINGS[item.drawing](cells, numbers) if item.drawing else [],
        [] if item.drawing else paper_charts.gains(cells, numbers),
        paper_charts.learning_curves(cells, history, numbers) if item.speeds else [],
        [f"{name}: {notes[name]}" for name in targets if notes.get(name)],
    )


def rows(cells: Sequence[Cell], notes: Mapping[str, str]) -> list[Row]:
    printed = {id(found.cell): found for found in provenance.comparisons(cells, notes)}
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
    random = {(cell.network, cell.column): cell for cell in cells if cell.key.initialization == RANDOM}
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
