"""A report's tables as files for other programs: CSV in long format, LaTeX for a paper, charts as PDF.

Long format has one row for each cell, layer or pair of datasets. Numbers that do not exist are empty.
"""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from typing import Any

from grid.claims.verdicts import Verdict
from grid.report.analyses import FilterSets, Modality, Similarities
from grid.report.sections import Judged, Section, Survival
from grid.report.survival import Cohort
from grid.report.tables import Table, tables
from grid.report.trial_section import Facts, Row, Trials
from grid.results.cells import Cell, Column
from grid.results.comparisons import Interval, cell_intervals
from grid.results.display import METRIC_NAMES, column_name, format_cell
from grid.results.groups import compared_groups
from grid.results.protocol_columns import field_values, varied_fields
from medpt.cli import spreadsheet_cell

FACTORS = ("architecture", "backbone", "initialization", "source", "sample_size", "target", "target_size")
COLUMNS = (  # after FACTORS and the protocol's fields that differ
    *("settings", "experiments", "metric", "mean", "std", "low", "high", "n", "planned", "failed"),
    *("blocked", "undefined", "missing"),
)


def to_csv(found: Sequence[Cell]) -> str:
    """Long format, one row for each cell; numbers in per cent with four decimals, empty where undefined."""
    limits, varied = cell_intervals(found, compared_groups(found)), varied_fields(found)
    rows = ([*_names(cell, varied), *_cell_row(cell, limits[cell.key])] for cell in found)
    return csv_text((*FACTORS, *varied, *COLUMNS), rows)


def _names(cell: Cell, varied: Sequence[str]) -> list[Any]:
    key = (getattr(cell.key, name) for name in FACTORS)
    values = [*key, *field_values(cell, varied).values()]
    return ["" if value is None else str(value) for value in values]


def _cell_row(cell: Cell, limits: Interval) -> list[Any]:
    counts = [cell.n, cell.planned, *(cell.states.get(state, 0) for state in ("failed", "blocked"))]
    numbers = map(_number, (cell.mean, cell.std, limits.low, limits.high))
    names = [cell.differences, "+".join(cell.experiments), cell.metric]
    return [*names, *numbers, *counts, cell.undefined, cell.missing]


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4f}"


def to_latex(found: Sequence[Cell], floors: dict[Column, float]) -> str:
    """A booktabs table for each metric; `floors` is the score in per cent of background everywhere."""
    head = "% Needs \\usepackage{booktabs}. Mean and sample standard deviation over seeds, in per cent."
    return "\n\n".join([head, *(_latex_table(table, floors) for table in tables(found))]) + "\n"


def _latex_table(table: Table, floors: dict[Column, float]) -> str:
    titles = ["Network", "Initialization", *(column_name(*column) for column in table.columns)]
    lines = [
        "\\begin{tabular}{ll" + "r" * len(table.columns) + "}",
        "\\toprule",
        f"\\multicolumn{{{len(titles)}}}{{l}}{{{METRIC_NAMES[table.metric]}, \\%}} \\\\",
        _latex_row(map(escape, titles)),
    ]
    for block in table.blocks:
        lines.append("\\midrule")
        for number, (label, row) in enumerate(block.rows):
            entries = [latex_cell(cell, block.best(place)) for place, cell in enumerate(row)]
            lines.append(_latex_row([escape(block.network) if number == 0 else "", escape(label), *entries]))
    if any(column in floors for column in table.columns):
        values = [f"{floors[column]:.2f}" if column in floors else "" for column in table.columns]
        lines += ["\\midrule", _latex_row(["all background", "", *values])]
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"])


def _latex_row(entries: Iterable[str]) -> str:
    return " & ".join(entries) + " \\\\"


def latex_cell(cell: Cell | None, best: float) -> str:
    """Write a cell with its mean in bold where that is `best`; nothing where the table has no cell."""
    if cell is None:
        return ""
    text, mean = format_cell(cell, "latex"), f"{cell.mean:.2f}"
    return f"\\textbf{{{mean}}}{text.removeprefix(mean)}" if cell.mean == best else text


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


TRIALS = (  # after FACTORS and the protocol's fields that differ
    *("settings", "metric", "mean", "std", "low", "high", "n", "planned", "paper_mean", "paper_std"),
    *("difference", "paper_low", "paper_high", "paper_verdict", "over_random", "over_random_low"),
    *("over_random_high", "p_better", "p_adjusted", "p_equivalent", "verdict", "decidable", "subject"),
    "note",
)
SURVIVAL = {  # of the columns beyond TRIALS: what MLflow calls them
    "harrell_low": "c_index_low",
    "harrell_high": "c_index_high",
    "paper_equation": "c_index_strict",
    "by_uno": "c_index_ipcw",
    "integrated_brier": "integrated_brier",
}
STEPS = ("steps_to_95", "dense_steps_to_95")  # the second with early steps, which older results lack
ANALYSED = ("source", "pretrain_seed", "backbone")  # what SVCCA and filters are of
CLAIMS = (
    *("id", "section", "statement", "paper", "paper_held", "paper_total", "ours", "held", "total"),
    *("p", "p_opposite", "p_adjusted"),
)


def paper_tables(
    of_paper: Sequence[Section], judged: Sequence[Judged], facts: Facts, floors: dict[Column, float]
) -> dict[str, bytes]:
    """Return the content of the tables of the paper's sections and claims, by name."""
    found = {"claims.csv": claims_csv(judged).encode()} if judged else {}
    for section in of_paper:
        found |= _tables_of(section, facts, floors)
    return found


def _tables_of(section: Section, facts: Facts, floors: dict[Column, float]) -> dict[str, bytes]:
    content = section.content
    found = {f"{section.key}.csv": _csv(content, facts).encode()}
    trials = content.trials if isinstance(content, Survival) else content
    if isinstance(trials, Trials):
        found[f"{section.key}.tex"] = to_latex(trials.cells, floors).encode()
    return found


def _csv(content: Any, facts: Facts) -> str:
    if isinstance(content, Trials | Survival):
        return trials_csv(content, facts)
    if isinstance(content, Modality):
        return csv_text(("a", "b", "average_cmd"), _pairs(content))
    if isinstance(content, Similarities):
        columns = (*ANALYSED, "layer", "similarity", "similarity_std", "floor", "rows", "channels")
        return csv_text(columns, _layers(content))
    if isinstance(content, FilterSets):
        names = list(dict.fromkeys(name for entry in content.sets for name in sorted(entry.metrics)))
        rows = (
            [e.source, e.seed, e.backbone, *(e.metrics.get(name) for name in names)] for e in content.sets
        )
        return csv_text((*ANALYSED, *names), rows)
    return csv_text(("cohort", "row", "ours", "paper"), _counts(content))


def trials_csv(content: Trials | Survival, facts: Facts) -> str:
    trials = content.trials if isinstance(content, Survival) else content
    extra = SURVIVAL if isinstance(content, Survival) else dict(zip(STEPS, STEPS, strict=True))
    scale, varied = 100 if isinstance(content, Survival) else 1, varied_fields(trials.cells)
    rows = (
        [
            *(getattr(row.cell.key, name) for name in FACTORS),
            *field_values(row.cell, varied).values(),
            *_trial_row(row, trials),
            *(facts.mean(row.cell, name, scale) for name in extra.values()),
        ]
        for row in trials.rows
    )
    return csv_text((*FACTORS, *varied, *TRIALS, *extra), rows)


def _trial_row(row: Row, trials: Trials) -> list[Any]:
    cell, paper, agreement, gain = row.cell, row.paper, row.agreement, trials.gain(row.cell)
    printed = (paper.mean, paper.std, paper.difference) if paper else (None, None, None)
    judged = (agreement.low, agreement.high, agreement.verdict) if agreement else (None, None, None)
    names = ("value", "low", "high", "p_better", "p_adjusted", "p_equivalent", "verdict", "decidable")
    return [
        cell.differences,
        cell.metric,
        cell.mean,
        cell.std,
        row.limits.low,
        row.limits.high,
        cell.n,
        cell.planned,
        *printed,
        *judged,
        *(getattr(gain, name) if gain else None for name in (*names, "subject", "note")),
    ]


def _pairs(modality: Modality) -> Iterable[list[Any]]:
    names = modality.found.names if modality.found else ()
    return ([a, b, modality.between(a, b)] for n, a in enumerate(names) for b in names[n:])


def _layers(found: Similarities) -> Iterable[list[Any]]:
    for entry in found.layers:
        columns = (entry.names, entry.similarity, entry.spread, entry.floor, entry.rows, entry.channels)
        for values in zip(*columns, strict=True):
            yield [entry.source, entry.seed, entry.backbone, *values]


def _counts(cohorts: Sequence[Cohort]) -> Iterable[list[Any]]:
    for cohort in cohorts:
        for name, ours, paper in cohort.counts:
            yield [cohort.dataset, name, ours, paper.replace(",", "")]


def claims_csv(judged: Sequence[Judged]) -> str:
    rows = ([*_stated(pair.paper), *_outcome(pair.ours)] for pair in judged)
    return csv_text(CLAIMS, rows)


def _stated(verdict: Verdict) -> list[Any]:
    head = [verdict.id, verdict.section, verdict.statement]
    return [*head, verdict.verdict, verdict.held, verdict.total]


def _outcome(verdict: Verdict | None) -> list[Any]:
    if verdict is None:
        return ["", *[None] * 5]
    known = (verdict.p, verdict.opposite, verdict.p_adjusted)
    return [verdict.verdict, verdict.held, verdict.total, *known]


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell_text(value) for value in row] for row in rows)
    return text.getvalue()


def _cell_text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(spreadsheet_cell(value))
