"""The tables of a report: cells in rows and columns, and their differences from random weights.

All numbers are in per cent.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table as TerminalTable
from rich.text import Text

from grid.results.cells import Cell, Column
from grid.results.comparisons import MARGIN, Difference, differences
from grid.results.display import METRIC_NAMES, bracketed, column_name, format_cell
from grid.results.groups import ComparedGroups, compared_groups
from grid.results.protocol_columns import field_text, field_values, group_fields
from grid.space.trials import RANDOM, network_id
from medpt.grouping import grouped
from medpt.specs import NO_NETWORK


def signed(value: float) -> str:
    """Write a difference: `+1.30`, `−0.42` with a true minus sign, and `0.00` without any."""
    text = f"{value:+.2f}".replace("-", "−")
    return "0.00" if text[1:] == "0.00" else text


VERDICTS = {
    "better": "better",
    "worse": "worse",
    "equivalent": f"equivalent within {MARGIN:g} point",
    "undecided": "undecided",
    "none": "nothing to compare",
}


@dataclass(frozen=True)
class Block:
    """The rows of one network under one protocol: (initialization, a cell or None for each column)."""

    network: str
    rows: list[tuple[str, list[Cell | None]]]

    @property
    def cells(self) -> list[Cell]:
        return [cell for _, row in self.rows for cell in row if cell]

    def best(self, position: int) -> float:
        """The highest mean of a column; nan where no cell has one."""
        means = [cell.mean for _, row in self.rows if (cell := row[position]) and cell.n]
        return max(means, default=math.nan)


@dataclass(frozen=True)
class Table:
    """All cells of one metric: blocks of rows over columns of targets."""

    metric: str
    columns: list[Column]
    blocks: list[Block]


def tables(found: Sequence[Cell]) -> list[Table]:
    """One table a metric, rows and columns in the order of the cells."""
    metrics = dict.fromkeys(cell.metric for cell in found)
    return [_table(metric, [cell for cell in found if cell.metric == metric]) for metric in metrics]


def _table(metric: str, found: list[Cell]) -> Table:
    columns = list(dict.fromkeys(cell.column for cell in found))
    placed = {(cell.network, cell.label, cell.column): cell for cell in found}
    names = dict.fromkeys((cell.network, cell.label) for cell in found)
    blocks = {network: Block(network, []) for network, _ in names}
    for network, label in names:
        blocks[network].rows.append((label, [placed.get((network, label, column)) for column in columns]))
    return Table(metric, columns, list(blocks.values()))


def print_tables(found: Sequence[Cell], console: Console) -> None:
    """Print a table for each metric that a finished trial has."""
    for table in tables(found):
        if any(cell.n for cell in found if cell.metric == table.metric):
            console.print(_terminal_table(table))


def _terminal_table(table: Table) -> TerminalTable:
    title = f"{METRIC_NAMES[table.metric]}, %"
    shown = TerminalTable(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    varied = group_fields(cell for block in table.blocks for cell in block.cells)
    columns = (column_name(*column) for column in table.columns)
    for name in ("network", *varied, "initialization", *columns):
        shown.add_column(Text(name), overflow="fold")
    for block in table.blocks:
        for label, row in block.rows:
            first = next(cell for cell in row if cell)
            network = bracketed(network_id(first.key.architecture, first.key.backbone), first.other_settings)
            fields = map(field_text, field_values(first, varied).values())
            texts = [format_cell(cell) if cell else "" for cell in row]
            # Text and no markup: settings stand in brackets
            shown.add_row(*map(Text, (network, *fields, label, *texts)))
    return shown


@dataclass(frozen=True)
class Contrast:
    """One network on one target: the pre-trained cell with the highest mean against random weights.

    `differences` are of all pre-trained cells from random weights; there are none without a finished run on
    both sides.
    """

    network: str
    column: Column
    random: Cell | None
    best: Cell | None
    differences: tuple[Difference, ...] = ()

    @property
    def difference(self) -> Difference | None:
        """The difference of `best` from random weights."""
        return next((d for d in self.differences if d.cell is self.best), None)

    @property
    def gain(self) -> float:
        return self.difference.value if self.difference else math.nan

    @property
    def among_best(self) -> tuple[str, ...]:
        """The pre-trainings that cannot be distinguished from the best one, highest mean first."""
        kept = [d.cell for d in self.differences if d.among_best]
        return tuple(cell.label for cell in sorted(kept, key=lambda cell: -cell.mean))

    @property
    def verdict(self) -> str:
        """One of VERDICTS."""
        return self.difference.verdict if self.difference else "none"


def contrasts(found: Sequence[Cell]) -> list[Contrast]:
    """Compare the best pre-training with random weights, for every target and network that has weights."""
    with_weights = (cell for cell in found if cell.key.initialization != NO_NETWORK)
    pairs = grouped(with_weights, lambda cell: (cell.column, cell.network))
    groups = compared_groups(found)
    return [_contrast(column, network, cells, groups) for (column, network), cells in pairs.items()]


def _contrast(column: Column, network: str, cells: list[Cell], groups: ComparedGroups) -> Contrast:
    finished = [cell for cell in cells if cell.n]
    random = next((cell for cell in finished if cell.key.initialization == RANDOM), None)
    trained = [cell for cell in finished if cell.key.initialization != RANDOM]
    best = max(trained, key=lambda cell: cell.mean, default=None)
    known = tuple(differences(groups[random.key.group])) if random else ()
    return Contrast(network, column, random, best, known)
