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
from grid.results.display import METRIC_NAMES, column_name, format_cell
from grid.space.trials import RANDOM
from medpt.specs import NO_NETWORK


def signed(value: float) -> str:
    """Write a difference: `+1.30`, `−0.42` with a true minus sign, and `0.00` without any."""
    text = f"{value:+.2f}".replace("-", "−")
    return "0.00" if text[1:] == "0.00" else text


VERDICTS = {
    "better": "more than one standard deviation",
    "worse": "more than one standard deviation",
    "noise": "within noise",  # within one standard deviation
    "unknown": "single seeds, noise unknown",
    "none": "nothing to compare",
}


@dataclass(frozen=True)
class Block:
    """The rows of one network under one protocol: (initialization, a cell or None for each column)."""

    network: str
    rows: list[tuple[str, list[Cell | None]]]

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
    for name in ("network", "initialization", *(column_name(*column) for column in table.columns)):
        shown.add_column(Text(name), overflow="fold")
    for block in table.blocks:
        for label, row in block.rows:
            network = next(cell.network_id for cell in row if cell)
            texts = [format_cell(cell) if cell else "" for cell in row]
            shown.add_row(*map(Text, (network, label, *texts)))  # not markup: settings stand in brackets
    return shown


@dataclass(frozen=True)
class Contrast:
    """One network on one target: the best pre-trained cell against random weights.

    `gain` is the difference of the means in points, `noise` the larger of the two standard deviations; nan
    where there is nothing to take them from.
    """

    network: str
    column: Column
    random: Cell | None
    best: Cell | None

    @property
    def gain(self) -> float:
        return self.best.mean - self.random.mean if self.best and self.random else math.nan

    @property
    def noise(self) -> float:
        stds = [cell.std for cell in (self.best, self.random) if cell and cell.n > 1]
        return max(stds, default=math.nan)

    @property
    def complete(self) -> bool:
        return all(cell is not None and cell.n == cell.planned for cell in (self.best, self.random))

    @property
    def verdict(self) -> str:
        """One of VERDICTS."""
        if math.isnan(self.gain):
            return "none"
        if math.isnan(self.noise):
            return "unknown"
        if abs(self.gain) <= self.noise:
            return "noise"
        return "better" if self.gain > 0 else "worse"


def contrasts(found: Sequence[Cell]) -> list[Contrast]:
    """Compare the best pre-training with random weights, for every target and network that has weights."""
    pairs: dict[tuple[Column, str], list[Cell]] = {}
    for cell in found:
        if cell.key.initialization != NO_NETWORK:
            pairs.setdefault((cell.column, cell.network), []).append(cell)
    result = []
    for (column, net), group in pairs.items():
        finished = [cell for cell in group if cell.n]
        random = next((cell for cell in finished if cell.key.initialization == RANDOM), None)
        trained = [cell for cell in finished if cell.key.initialization != RANDOM]
        result.append(Contrast(net, column, random, max(trained, key=lambda cell: cell.mean, default=None)))
    return result
