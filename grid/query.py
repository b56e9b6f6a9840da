"""`python -m grid.query`: tables of results, and comparisons of initializations (docs/queries.md).

Every row has the number of repeats or trials that it was computed from. Missing and failed trials are listed,
never counted as values. Intervals are those of the report and of grid.results.compare; what is shown never
changes what is compared.
"""

import argparse
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import isnan
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from grid import results
from grid.options import add_filter_argument, add_result_arguments, command_parser
from grid.results import comparisons, effects, standings
from grid.results.cells import CellKey, find_cells
from grid.results.comparisons import DIVIDING, MARGIN
from grid.results.display import METRIC_NAMES, format_mean, initialization_name, target_name
from grid.results.frame import FACTORS
from grid.results.metrics import UNSCALED, require_larger_is_better
from grid.results.protocol_columns import field_text
from grid.space.filters import Filters, is_written
from grid.space.trials import RANDOM, thousands
from medpt import cli
from medpt.arguments import name_list
from medpt.errors import InputError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

BY = ("initialization", "backbone", "architecture", "target")  # first columns of a cell
FORMATS = ("text", "csv", "md", "tex", "json")


@dataclass(frozen=True)
class QueryOptions:
    """A question to the results of a space."""

    space: str
    out: str = "runs"  # a folder, or the URL of a bucket
    tracking_uri: str | None = None  # None: a SQLite file below `out`
    where: Filters = field(default_factory=dict, hash=False)
    ask: str = "cells"  # one of QUESTIONS
    by: Sequence[str] = ()  # the factors of a row; empty: those that the question has
    metric: str | None = None  # None: the headline metric of each task
    test_set: str | None = None  # None: the target's own
    format: str = "text"  # one of FORMATS


def where(frame: "pd.DataFrame", conditions: Filters) -> "pd.DataFrame":
    """Return the rows whose factors have one of the wanted values.

    Raises InputError for an unknown factor or value.
    """
    problems = []
    for key, values in conditions.items():
        if key not in FACTORS:
            raise InputError(f"--where {key}: no such factor; {did_you_mean(key, FACTORS)}")
        known = list(frame[key].unique())
        wanted = {value: [one for one in known if is_written(one, value)] for value in values}
        problems += [
            f"--where {key}={value}: {did_you_mean(value, sorted(map(str, known)))}"
            for value, found in wanted.items()
            if not found
        ]
        if any(wanted.values()):
            frame = frame[frame[key].isin([one for found in wanted.values() for one in found])]
    if problems:
        raise InputError(problems)
    return frame


Shown = Collection[CellKey]
Question = Callable[["pd.DataFrame", QueryOptions, Shown], "pd.DataFrame"]


def _cells(frame: "pd.DataFrame", options: QueryOptions, shown: Shown) -> "pd.DataFrame":
    import pandas as pd

    table = comparisons.cells(frame, options.metric, options.by or BY, shown)
    cells = [cell for cell in find_cells(frame, options.metric) if cell.key in shown]
    controls = standings.rows(cells, frame.attrs.get("controls", ()), list(table.columns))
    return pd.concat([table, controls], ignore_index=True) if len(controls) else table


def _compare(frame: "pd.DataFrame", options: QueryOptions, shown: Shown) -> "pd.DataFrame":
    return comparisons.comparison_table(find_cells(frame, options.metric), RANDOM, MARGIN, shown)


def _effect(frame: "pd.DataFrame", options: QueryOptions, shown: Shown) -> "pd.DataFrame":
    return effects.effects(find_cells(frame, options.metric), options.by or ("architecture",), shown)


def _best(frame: "pd.DataFrame", options: QueryOptions, shown: Shown) -> "pd.DataFrame":
    return effects.best(find_cells(frame, options.metric), shown)


def _size(frame: "pd.DataFrame", options: QueryOptions, shown: Shown) -> "pd.DataFrame":
    return effects.sample_size(find_cells(frame, options.metric), shown)


QUESTIONS: dict[str, Question] = {
    "cells": _cells,
    "compare": _compare,
    "effect": _effect,
    "best": _best,
    "size": _size,
}
LACKING = {  # why there may be no answer
    "compare": "every trial starts from random weights",
    "effect": "every trial starts from random weights",
    "size": "no source has finished trials of two sizes (the factor sample_size)",
}
TAKES_BY = ("cells", "effect")
ORDERING = ("compare", "effect", "best")  # questions whose answers call one initialization better

Row = Mapping[str, Any]
COLUMNS: dict[str, Callable[[Row], str]] = {  # texts that join columns of a table
    "mean ± std": lambda row: format_mean(row["mean"], row["std"], row["n"], row["planned"]),
    "95 % interval": lambda row: limits(row["low"], row["high"], "").strip(),
    "over random": lambda row: interval(row["difference"], row["low"], row["high"]),
    "gain over random": lambda row: interval(row["gain"], row["low"], row["high"]),
    "new target": lambda row: limits(row["new_low"], row["new_high"]).strip(),
    "p (Holm)": lambda row: probability(row["p_holm"]),
    "P(better)": lambda row: probability(row["p_better"]),
    "P(equivalent)": lambda row: probability(row["p_equivalent"]),
    "groups compared": lambda row: f"{row['compared']} of {row['groups']}",
    "margin": lambda row: interval(row["margin"], row["low"], row["high"]),
    "a doubling adds": lambda row: interval(row["per_doubling"], row["low"], row["high"]),
    "sizes": lambda row: f"{row['sizes']}, {thousands(row['smallest'])} to {thousands(row['largest'])}",
    "seeds": lambda row: "" if row["repeated"] else f"{row['n']} of {row['planned']}",
    "repeats": lambda row: row["repeated"],
    "trials": lambda row: f"{row['n']} of {row['planned']}",
}
NAMES = (*FACTORS, "settings", "best", "verdict", "note")  # columns that are shown as they are
HIDDEN = {"compare": ("source", "sample_size")}  # they are in the initialization's name
SHOWN = {
    "cells": ("mean ± std", "95 % interval", "seeds", "repeats"),
    "compare": ("over random", "P(better)", "P(equivalent)"),
    "effect": ("gain over random", "p (Holm)", "new target", "groups compared", "trials"),
    "best": ("margin", "trials"),
    "size": ("a doubling adds", "sizes", "trials"),
}


def interval(estimate: float, low: float, high: float) -> str:
    """Return a text such as `+5.90 [+4.10, +7.70]`, without limits where they are not a number."""
    return "–" if isnan(estimate) else f"{estimate:+.2f}{limits(low, high)}"


def limits(low: float, high: float, sign: str = "+") -> str:
    return "" if isnan(low) else f" [{low:{sign}.2f}, {high:{sign}.2f}]"


def probability(value: float) -> str:
    if isnan(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def main(arguments: list[str] | None = None) -> int:
    options = QueryOptions(**vars(parser().parse_args(arguments)))
    return cli.run_command(partial(query, options))


def query(options: QueryOptions) -> None:
    """Print the answer to a question."""
    frame = results.load(options.space, options.out, options.tracking_uri)
    frame = results.on_test_set(frame, options.test_set) if options.test_set else frame
    doubts = standings.warnings(find_cells(frame, options.metric), frame.attrs["controls"])
    for warning in (*frame.attrs["warnings"], *doubts):
        print(f"warning: {warning}", file=sys.stderr)
    for note in frame.attrs.get("selections", ()):
        print(note, file=sys.stderr)
    table = answer(frame, options)
    if options.format == "csv":
        table.map(cli.spreadsheet_cell).to_csv(sys.stdout, index=False)
    elif options.format == "json":
        print(table.to_json(orient="records", indent=1))
    else:
        for metric, part in table.groupby("metric", sort=False):
            _print_part(str(metric), part, options)


def _print_part(metric: str, part: "pd.DataFrame", options: QueryOptions) -> None:
    title = METRIC_NAMES.get(metric, metric) if options.metric is None else metric
    title += "" if metric in UNSCALED else ", %"
    names, rows = texts(part, options.ask)
    if options.format == "text":
        cli.console().print(_terminal_table(title, names, rows))
    else:
        print({"md": _markdown, "tex": _latex}[options.format](title, names, rows))


def answer(frame: "pd.DataFrame", options: QueryOptions) -> "pd.DataFrame":
    """Return the table of an answer; conditions on a cell's factors choose rows after all is compared."""
    if options.by and options.ask not in TAKES_BY:
        raise InputError(f"--by {','.join(options.by)}: --ask {options.ask} has its own rows; leave it out")
    if options.ask in ORDERING:
        require_larger_is_better(options.metric)
    shown = {cell.key for cell in find_cells(where(frame, options.where), options.metric)}
    kept = where(frame, {key: values for key, values in options.where.items() if key in DIVIDING})
    table = QUESTIONS[options.ask](kept, options, shown)
    if table.empty:
        raise InputError(f"--ask {options.ask}: {LACKING.get(options.ask, 'there is no trial')}")
    return _with_remarks(table, frame)


def _with_remarks(table: "pd.DataFrame", frame: "pd.DataFrame") -> "pd.DataFrame":
    """Add the notes on datasets and published weights to their names."""
    notes: dict[str, str] = frame.attrs.get("notes", {})
    if not notes:
        return table
    names = {cell.key.initialization: initialization_name(cell.key, notes) for cell in find_cells(frame)}
    targets = {name: target_name(name, notes) for name in notes}
    known = {"initialization": names, "target": targets}
    return table.replace({column: new for column, new in known.items() if column in table})


def texts(table: "pd.DataFrame", question: str) -> tuple[list[str], list[list[str]]]:
    """Return the titles of the columns that are shown, and the rows; columns that are empty are excluded."""
    names = [name for name in table.columns if name in NAMES and name not in HIDDEN.get(question, ())]
    rows: list[dict[str, Any]] = table.to_dict("records")  # type: ignore[assignment]
    before = [name for name in names if name not in ("verdict", "note")]
    titles = [*before, *SHOWN[question], *names[len(before) :]]
    shown = [[COLUMNS[t](row) if t in COLUMNS else field_text(row[t]) for t in titles] for row in rows]
    filled = [place for place, _ in enumerate(titles) if any(row[place] for row in shown)]
    return [titles[place] for place in filled], [[row[place] for place in filled] for row in shown]


def _terminal_table(title: str, names: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    shown = Table(box=None, padding=(0, 2), title=title, title_justify="left")
    for name in names:
        shown.add_column(name)
    for row in rows:
        shown.add_row(*map(Text, row))
    return shown


def _markdown(title: str, names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [names, ["---"] * len(names), *rows]
    escaped = [[text.replace("|", "\\|") for text in line] for line in lines]
    return "\n".join([f"**{title}**", "", *(f"| {' | '.join(line)} |" for line in escaped), ""])


def _latex(title: str, names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    from grid.report.export import escape

    def line(row: Sequence[str]) -> str:
        return " & ".join(escape(text).replace("±", "$\\pm$").replace("–", "--") for text in row) + " \\\\"

    head = f"% {title}. Needs \\usepackage{{booktabs}}."
    body = [line(names), "\\midrule", *map(line, rows)]
    begin = "\\begin{tabular}{" + "l" * len(names) + "}"
    return "\n".join([head, begin, "\\toprule", *body, "\\bottomrule", "\\end{tabular}", ""])


def parser() -> argparse.ArgumentParser:
    result = command_parser("grid.query", "Print tables of results and comparisons.")
    add_result_arguments(result)
    add_filter_argument(result, "--where", dest="where")
    result.add_argument(
        "--ask",
        choices=QUESTIONS,
        default=QueryOptions.ask,
        help="cells: a table of means (default); compare: each initialization against random weights; "
        "effect: what each gains over several targets; best: those that cannot be distinguished from the "
        "best; size: what more images of a source add",
    )
    result.add_argument(
        "--by",
        type=name_list,
        default=(),
        metavar="K,…",
        help="factors that name the rows of cells and effect",
    )
    result.add_argument(
        "--metric", help="a metric of the test set (default: the headline metric of each task)"
    )
    result.add_argument(
        "--test-set", metavar="NAME", help="another test set of the targets, such as HRF, blur-2, sex=F"
    )
    written = result.add_mutually_exclusive_group()
    written.add_argument(
        "--format", choices=FORMATS, default=QueryOptions.format, help="how it is printed (default: text)"
    )
    written.add_argument(
        "--csv", dest="format", action="store_const", const="csv", help="short for --format csv"
    )
    return result


if __name__ == "__main__":
    sys.exit(main())
