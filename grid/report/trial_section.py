"""What a report says of one table or figure that trains: our cells, the paper's, the tests between them.

Means are of the section's own experiments; intervals and differences are those of the complete space. All are
in points.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING, Any

from grid.report import learning_curves, paper_charts, provenance
from grid.report.charts import Chart
from grid.report.paper_items import PaperItem
from grid.report.provenance import Compared
from grid.report.speeds import Speeds, speeds
from grid.results.cells import Cell, CellKey, Repeat
from grid.results.comparisons import (
    Agreement,
    Difference,
    Interval,
    agreement_with,
    cell_intervals,
    differences,
)
from grid.results.groups import ComparedGroups

if TYPE_CHECKING:
    import pandas as pd


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
        return "\n".join(f"{r.label}: {v:.2f}, run {self.run(cell.digests[r])}" for r, v in pairs)


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
    """A cell with its interval, beside the paper's where it printed one."""

    cell: Cell
    limits: Interval
    paper: Compared | None
    agreement: Agreement | None


@dataclass(frozen=True)
class Trials:
    """The cells of a section and what is said of them; `charts` redraw the paper's figure.

    `evaluations` returns the evaluated steps of a fine-tuning.
    """

    cells: list[Cell]
    rows: list[Row]
    gains: list[Difference]
    colours: Mapping[str, int]
    charts: list[Chart]
    gain_charts: list[Chart]
    curves: list[Chart]
    notes: list[str]
    evaluations: learning_curves.History

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

    def gain(self, cell: Cell) -> Difference | None:
        return next((gain for gain in self.gains if gain.cell.key == cell.key), None)

    def speeds(self, facts: Facts) -> Speeds | None:
        return speeds(self.cells, facts.values, self.evaluations)


def trials(
    item: PaperItem,
    cells: list[Cell],
    notes: Mapping[str, str],
    evaluations: learning_curves.History,
    groups: ComparedGroups,
) -> Trials:
    """Gather a section; `notes` says of each target in what its data differ from the published data.

    `groups` are those of all cells of the space. Learning curves are drawn once a network and target, in the
    sections whose speeds are compared.
    """
    known = {d.cell.key: d for group in groups.values() for d in differences(group)}
    limits = cell_intervals(cells, groups)
    by_size = item.drawing == "sizes"
    numbers = paper_charts.source_colours(cells) if by_size else paper_charts.colours(c.label for c in cells)
    targets = dict.fromkeys(cell.key.target for cell in cells)
    return Trials(
        cells,
        rows(cells, notes, groups, limits),
        gains(cells, known),
        numbers,
        paper_charts.DRAWINGS[item.drawing](cells, numbers, limits) if item.drawing else [],
        [] if item.drawing else paper_charts.gains(cells, numbers, known),
        learning_curves.of_fine_tunings(cells, evaluations, numbers) if item.speeds else [],
        [f"{name}: {notes[name]}" for name in targets if notes.get(name)],
        evaluations,
    )


def rows(
    cells: Sequence[Cell],
    notes: Mapping[str, str],
    groups: ComparedGroups,
    limits: Mapping[CellKey, Interval],
) -> list[Row]:
    printed = {id(found.cell): found for found in provenance.comparisons(cells, notes)}
    found = []
    for cell in cells:
        paper = printed.get(id(cell))
        agreement = None
        if paper and cell.key.group in groups:
            agreement = agreement_with(groups[cell.key.group], cell.key, paper.mean, paper.std)
        found.append(Row(cell, limits[cell.key], paper, agreement))
    return found


def gains(cells: Sequence[Cell], known: Mapping[CellKey, Difference]) -> list[Difference]:
    """Return the differences of these cells from random weights, in their order."""
    return [known[cell.key] for cell in cells if cell.key in known]
