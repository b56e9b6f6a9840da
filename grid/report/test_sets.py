"""Scores on other test sets beside those on the target's own: a table for each network and target."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table as TerminalTable
from rich.text import Text

from grid.report.export import FACTORS, csv_text
from grid.results import items
from grid.results.cells import Cell, find_cells
from grid.results.comparisons import Interval, cell_intervals
from grid.results.display import METRIC_NAMES, column_name, format_cell
from grid.results.groups import compared_groups
from grid.results.test_sets import on_test_set, other_test_sets
from medpt.grouping import grouped

if TYPE_CHECKING:
    import pandas as pd

OWN = "own test set"
FILE = "test_sets.csv"
COLUMNS = ("test_set", *FACTORS, "settings", "metric", "mean", "std", "low", "high", "n", "planned", "images")


@dataclass(frozen=True)
class Score:
    """A cell on one test set, with its 95 % interval; `images` counts the items, None where unknown."""

    test_set: str
    cell: Cell
    limits: Interval
    images: int | None


@dataclass(frozen=True)
class TestSetTable:
    """The scores of one network on one target: rows are test sets, columns initializations."""

    title: str
    initializations: tuple[str, ...]
    rows: Mapping[str, Mapping[str, Score]]  # by test set and initialization

    def images(self, test_set: str) -> int | None:
        """Return how many images a test set has."""
        return next((score.images for score in self.rows[test_set].values() if score.images), None)


def scores(frame: "pd.DataFrame") -> list[Score]:
    """Return the cells on every other test set, and on its own those of targets that have one."""
    others = {name: on_test_set(frame, name) for name in other_test_sets(frame)}
    targets = {target for view in others.values() for target in view["target"]}
    own = frame[frame["target"].isin(targets)]
    return [score for name, part in ({OWN: own} | others).items() for score in _scores(name, part)]


def _scores(name: str, frame: "pd.DataFrame") -> Iterator[Score]:
    cells = find_cells(frame)
    groups = compared_groups(cells)
    limits = cell_intervals(cells, groups)
    stored = frame.dropna(subset=["items"]).drop_duplicates("target").set_index("target")["items"]
    for cell in cells:
        group, target = groups.get(cell.key.group), cell.key.target
        images = group.images if group else None
        if images is None and target in stored:  # where the metric is undefined
            images = items.count(stored[target])
        yield Score(name, cell, limits[cell.key], images)


def tables(found: Sequence[Score]) -> list[TestSetTable]:
    """Arrange scores as tables."""
    return [_table(title, part) for title, part in grouped(found, _title).items()]


def _title(score: Score) -> str:
    key, metric = score.cell.key, METRIC_NAMES.get(score.cell.metric, score.cell.metric)
    return ", ".join((column_name(key.target, key.target_size), score.cell.network, metric))


def _table(title: str, found: Sequence[Score]) -> TestSetTable:
    rows: dict[str, dict[str, Score]] = {}
    for score in found:
        rows.setdefault(score.test_set, {})[score.cell.label] = score
    return TestSetTable(title, tuple(dict.fromkeys(score.cell.label for score in found)), rows)


def print_test_sets(frame: "pd.DataFrame", console: Console) -> None:
    """Print the tables of other test sets; nothing where the space has none."""
    for table in tables(scores(frame)):
        shown = TerminalTable(title=f"{table.title}, %", title_justify="left", box=None, padding=(0, 2, 0, 0))
        for name in ("test set", "images", *table.initializations):
            shown.add_column(Text(name), overflow="fold")
        for name, row in table.rows.items():
            images = table.images(name)
            known = [row.get(label) for label in table.initializations]
            texts = [format_cell(score.cell) if score else "" for score in known]
            shown.add_row(*map(Text, (name, f"{images:,}" if images else "–", *texts)))
        console.print(shown)


def files(found: Sequence[Score]) -> dict[str, bytes]:
    """Return the table of all scores as a file, one row for each cell and test set; numbers in per cent."""
    return {FILE: csv_text(COLUMNS, map(_row, found)).encode()} if found else {}


def _row(score: Score) -> list[Any]:
    cell, limits = score.cell, score.limits
    names = [score.test_set, *(getattr(cell.key, name) for name in FACTORS), cell.differences, cell.metric]
    return [*names, cell.mean, cell.std, limits.low, limits.high, cell.n, cell.planned, score.images]
