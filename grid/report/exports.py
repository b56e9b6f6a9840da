"""The tables of a report as files for other programs: CSV in long format, LaTeX for a paper."""

import csv
import io
import math
from collections.abc import Iterable, Sequence

from grid.query import METRIC_NAMES
from grid.report.tables import CELL, Cell, Column, Table, heading, tables

COLUMNS = (
    *CELL,
    "experiments",
    "metric",
    "mean",
    "std",
    "n",
    "planned",
    "failed",
    "blocked",
    "undefined",
    "missing",
)


def to_csv(found: Iterable[Cell]) -> str:
    """Long format, one row a cell; mean and std in per cent with four decimals, empty where undefined."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for cell in found:
        factors = [getattr(cell, name) for name in CELL]
        counts = [
            cell.n,
            cell.planned,
            *(cell.states.get(state, 0) for state in ("failed", "blocked")),
            cell.undefined,
            cell.missing,
        ]
        numbers = [_number(cell.mean), _number(cell.std)]
        writer.writerow([*factors, "+".join(cell.experiments), cell.metric, *numbers, *counts])
    return text.getvalue()


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4f}"


def to_latex(found: Sequence[Cell], floors: dict[Column, float]) -> str:
    """A booktabs table for each metric; `floors` is the score in per cent of background everywhere."""
    head = "% Needs \\usepackage{booktabs}. Mean and sample standard deviation over seeds, in per cent."
    return "\n\n".join([head, *(_latex_table(table, floors) for table in tables(found))]) + "\n"


def _latex_table(table: Table, floors: dict[Column, float]) -> str:
    titles = ["Network", "Initialization", *map(heading, table.columns)]
    lines = [
        "\\begin{tabular}{ll" + "r" * len(table.columns) + "}",
        "\\toprule",
        f"\\multicolumn{{{len(titles)}}}{{l}}{{{METRIC_NAMES[table.metric]}, \\%}} \\\\",
        _latex_row(map(escape, titles)),
    ]
    for block in table.blocks:
        lines.append("\\midrule")
        for number, (start, row) in enumerate(block.rows):
            entries = [latex_cell(cell, block.best(place)) for place, cell in enumerate(row)]
            lines.append(_latex_row([escape(block.network) if number == 0 else "", escape(start), *entries]))
    if any(column in floors for column in table.columns):
        values = [f"{floors[column]:.2f}" if column in floors else "" for column in table.columns]
        lines += ["\\midrule", _latex_row(["all background", "", *values])]
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"])


def _latex_row(entries: Iterable[str]) -> str:
    return " & ".join(entries) + " \\\\"


def latex_cell(cell: Cell | None, best: float) -> str:
    if cell is None:
        return ""
    if not cell.n:
        return f"{cell.word or '--'} (0 of {cell.planned})"
    value = f"\\textbf{{{cell.mean:.2f}}}" if cell.mean == best else f"{cell.mean:.2f}"
    spread = f" $\\pm$ {cell.std:.2f}" if cell.n > 1 else ""
    return value + spread + (f" ({cell.n} of {cell.planned})" if cell.n < cell.planned else "")


SPECIAL = {c: f"\\{c}" for c in "&%$#_{}"} | {
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "<": "\\textless{}",
    ">": "\\textgreater{}",
}


def escape(text: str) -> str:
    """LaTeX that prints `text`."""
    return "".join(SPECIAL.get(character, character) for character in text)
