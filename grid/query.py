"""`python -m grid.query`: tables of results, and comparisons of initializations (docs/queries.md).

Every row has the number of seeds that it was computed from. Missing and failed trials are listed, never
counted as values.
"""

import argparse
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from grid import results
from grid.options import add_filter_argument, add_result_arguments, command_parser
from grid.results import effects
from grid.results.cells import UNSCALED
from grid.results.display import format_mean
from grid.results.frame import FACTORS
from grid.space.filters import Filters
from grid.space.trials import thousands
from medpt import cli
from medpt.errors import InputError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

BY = ("initialization", "backbone", "architecture", "target")  # first columns of a cell


@dataclass(frozen=True)
class QueryOptions:
    """A question to the results of a space."""

    space: str
    out: str = "runs"  # a folder, or the URL of a bucket
    tracking_uri: str | None = None  # None: a SQLite file below `out`
    where: Filters = field(default_factory=dict, hash=False)
    ask: str = "cells"  # one of QUESTIONS
    by: Sequence[str] = ()  # the factors of a row; empty: those that the question has
    metric: str = "auc"
    csv: bool = False


def where(frame: "pd.DataFrame", conditions: Filters) -> "pd.DataFrame":
    """Return the rows whose factors have one of the wanted values.

    Raises InputError for an unknown factor or value.
    """
    for key, values in conditions.items():
        if key not in FACTORS:
            raise InputError(f"--where {key}: no such factor; {did_you_mean(key, FACTORS)}")
        known = frame[key].astype(str)
        for value in values:
            if value not in set(known):
                raise InputError(f"--where {key}={value}: {did_you_mean(value, sorted(set(known)))}")
        frame = frame[known.isin(values)]
    return frame


def _cells(frame: "pd.DataFrame", options: QueryOptions) -> "pd.DataFrame":
    return results.cells(frame, options.metric, options.by or BY)


def _effect(frame: "pd.DataFrame", options: QueryOptions) -> "pd.DataFrame":
    return effects.effects(frame, options.metric, options.by or ("architecture",))


def _best(frame: "pd.DataFrame", options: QueryOptions) -> "pd.DataFrame":
    return effects.best(frame, options.metric)


def _size(frame: "pd.DataFrame", options: QueryOptions) -> "pd.DataFrame":
    return effects.sample_size(frame, options.metric)


QUESTIONS = {"cells": _cells, "effect": _effect, "best": _best, "size": _size}
LACKING = {  # why a table may be empty
    "effect": "every trial starts from random weights",
    "size": "no source has finished trials of two sizes (the factor sample_size)",
}
TAKES_BY = ("cells", "effect")

Row = Mapping[str, Any]
COLUMNS: dict[str, Callable[[Row], str]] = {  # texts that join columns of a table
    "mean ± std": lambda row: format_mean(row["mean"], row["std"], row["n"], row["planned"]),
    "gain over random": lambda row: interval(row["gain"], row["low"], row["high"]),
    "p (Holm)": lambda row: probability(row["p_holm"]),
    "groups compared": lambda row: f"{row['compared']} of {row['groups']}",
    "P(best)": lambda row: probability(row["probability"]),
    "margin": lambda row: interval(row["margin"], row["low"], row["high"]),
    "a doubling adds": lambda row: interval(row["per_doubling"], row["low"], row["high"]),
    "sizes": lambda row: f"{row['sizes']}, {thousands(row['smallest'])} to {thousands(row['largest'])}",
    "seeds": lambda row: f"{row['n']} of {row['planned']}",
}
NAMES = (*FACTORS, "settings", "best", "second")  # columns without a change
SHOWN = {
    "cells": ("mean ± std", "seeds"),
    "effect": ("gain over random", "p (Holm)", "groups compared", "seeds"),
    "best": ("P(best)", "margin", "seeds"),
    "size": ("a doubling adds", "sizes", "seeds"),
}


def interval(estimate: float, low: float, high: float) -> str:
    """Return a text such as `+5.90 [+4.10, +7.70]`, without limits where they are not a number."""
    if math.isnan(estimate):
        return "–"
    limits = "" if math.isnan(low) else f" [{low:+.2f}, {high:+.2f}]"
    return f"{estimate:+.2f}{limits}"


def probability(value: float) -> str:
    if math.isnan(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def main(arguments: list[str] | None = None) -> int:
    options = QueryOptions(**vars(parser().parse_args(arguments)))
    return cli.run_command(partial(query, options))


def query(options: QueryOptions) -> None:
    """Print the answer to a question."""
    frame = results.load(options.space, options.out, options.tracking_uri)
    for warning in frame.attrs["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    table = answer(where(frame, options.where), options)
    if options.csv:
        table.map(cli.spreadsheet_cell).to_csv(sys.stdout, index=False)
    else:
        cli.console().print(format_table(table, options))


def answer(frame: "pd.DataFrame", options: QueryOptions) -> "pd.DataFrame":
    if options.by and options.ask not in TAKES_BY:
        raise InputError(f"--by {','.join(options.by)}: --ask {options.ask} has its own rows; leave it out")
    table = QUESTIONS[options.ask](frame, options)
    if table.empty:
        raise InputError(f"--ask {options.ask}: {LACKING.get(options.ask, 'there is no trial')}")
    return table


def format_table(table: "pd.DataFrame", options: QueryOptions) -> Table:
    title = options.metric + ("" if options.metric in UNSCALED else ", %")
    shown = Table(box=None, padding=(0, 2), title=title, title_justify="left")
    names = [name for name in table.columns if name in NAMES]
    for title in (*names, *SHOWN[options.ask]):
        shown.add_column(title)
    rows: list[dict[str, Any]] = table.to_dict("records")  # type: ignore[assignment]
    for row in rows:
        values = (COLUMNS[title](row) for title in SHOWN[options.ask])
        shown.add_row(*(Text(str(row[name])) for name in names), *map(Text, values))
    return shown


def parser() -> argparse.ArgumentParser:
    result = command_parser("grid.query", "Print tables of results and comparisons.")
    add_result_arguments(result)
    add_filter_argument(result, "--where", dest="where")
    result.add_argument(
        "--ask",
        choices=QUESTIONS,
        default=QueryOptions.ask,
        help="cells: a table of means (default); effect: what each initialization gains over random weights; "
        "best: the best initialization of each network and target; size: what more images of a source add",
    )
    result.add_argument(
        "--by",
        type=lambda text: text.split(","),
        default=(),
        metavar="K,…",
        help="factors that name the rows of cells and effect",
    )
    result.add_argument(
        "--metric", default=QueryOptions.metric, help="a metric of the test set (default: %(default)s)"
    )
    result.add_argument("--csv", action="store_true", help="write comma-separated values in full precision")
    return result


if __name__ == "__main__":
    sys.exit(main())
