"""The answer, its tables and where they came from as Markdown, for a repository, an issue or a wiki.

The page has more; a Markdown file can be read beside the code, and two of them can be compared by git.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan
from typing import TYPE_CHECKING, Any

from grid.report.findings import duration
from grid.report.tables import Contrast, signed
from grid.results.comparisons import Interval, cell_intervals
from grid.results.groups import compared_groups

if TYPE_CHECKING:
    from grid.results.cells import Cell, CellKey

FILE = "report.md"
TEMPLATE = "report.md.j2"
ESCAPED = str.maketrans({letter: f"\\{letter}" for letter in "\\|<>*_"})

Row = tuple[str, ...]


def literal(value: object) -> str:
    """Write a value so that Markdown shows it as it is, in a table too; what is in backticks is code."""
    parts = str(value).replace("\n", " ").split("`")
    return "`".join(part if place % 2 else part.translate(ESCAPED) for place, part in enumerate(parts))


def rows(contrast: Contrast, limits: Mapping[CellKey, Interval]) -> list[Row]:
    """Return a table's rows: initialization, runs, mean and its interval, gain over random and verdict."""
    found = [_row(contrast.random, limits, "", "")] if contrast.random else []
    for each in sorted(contrast.differences, key=lambda one: -one.value):
        gain = signed(each.value) + _limits(each.low, each.high, signed)
        found.append(_row(each.cell, limits, gain, each.verdict))
    return found


def _row(cell: Cell, limits: Mapping[CellKey, Interval], gain: str, verdict: str) -> Row:
    mean = limits[cell.key]
    text = f"{mean.mean:.2f}{_limits(mean.low, mean.high, '{:.2f}'.format)}"
    return cell.label, f"{cell.n} of {cell.planned}", text, gain, verdict


def _limits(low: float, high: float, write: Any) -> str:
    return "" if isnan(low) else f" [{write(low)}, {write(high)}]"


def context(cells: list[Cell]) -> dict[str, Any]:
    """Return what the template calls, beside what the page shows."""
    limits = cell_intervals(cells, compared_groups(cells))
    return {"rows": lambda contrast: rows(contrast, limits), "duration": duration}
