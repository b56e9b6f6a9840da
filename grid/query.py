"""`python -m grid.query`: ablation tables and answers from MLflow's record (docs/queries.md).

Every row says of how many seeds it is made; what is missing or failed is never counted as a value.
"""

import argparse
import math
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from grid.options import add_filter_argument, add_result_arguments, command_parser
from grid.results import effects
from grid.results import frame as results
from grid.space.filters import Filters
from grid.space.trials import thousands
from medpt import cli
from medpt.errors import InputError, did_you_mean
from medpt.specs import CLASSIFIER

if TYPE_CHECKING:
    import pandas as pd

METRICS = {"classification": "auc", "segmentation": "miou", "survival": "c_index"}  # what the paper reports
CELL = ["initialization", "backbone", "architecture", "target"]
METRIC_NAMES = {"auc": "micro-AUC", "miou": "mean IoU", "c_index": "C-index"}


def where(frame: "pd.DataFrame", conditions: Filters) -> "pd.DataFrame":
    """The rows whose factors have one of the wanted values. InputError names an unknown factor or value."""
    for key, values in conditions.items():
        if key not in results.FACTORS:
            raise InputError(f"--where {key}: no such factor; {did_you_mean(key, results.FACTORS)}")
        known = frame[key].astype(str)
        for value in values:
            if value not in set(known):
                raise InputError(f"--where {key}={value}: {did_you_mean(value, sorted(set(known)))}")
        frame = frame[known.isin(values)]
    return frame


def cells(frame: "pd.DataFrame", by: list[str], metric: str) -> "pd.DataFrame":
    """One row a combination of the factors `by`: mean and std (ddof 1) in per cent, n finished of `planned`.

    Combinations whose trials have no such metric (another task) are left out.
    """
    for key in by:
        if key not in results.FACTORS:
            raise InputError(f"--by {key}: no such factor; {did_you_mean(key, results.FACTORS)}")
    frame = results.with_metric(frame, metric, by)
    grouped = frame.groupby(by, sort=False, dropna=False)[metric]
    table = grouped.agg(mean="mean", std="std", n="count", planned="size").reset_index()
    table[["mean", "std"]] *= 100
    return table


def written(mean: float, std: float, n: int, planned: int) -> str:
    """`82.13 ± 1.40`, with `(2 of 3)` where seeds are missing."""
    if n == 0:
        return f"– (0 of {planned})"
    spread = f" ± {std:.2f}" if n > 1 else ""
    return f"{mean:.2f}{spread}" + (f" ({n} of {planned})" if n < planned else "")


def default_by(frame: "pd.DataFrame") -> list[str]:
    """The factors of a cell: what is left to spread are its seeds."""
    return [*CELL, "target_size"] if frame["target_size"].nunique() > 1 else CELL


def print_tables(frame: "pd.DataFrame", console: Console) -> None:
    """The paper's kind of table: rows are networks and initializations, columns targets."""
    for metric in METRICS.values():
        if metric in frame.columns and frame[metric].notna().any():
            console.print(_wide(frame, metric))


def _wide(frame: "pd.DataFrame", metric: str) -> Table:
    rows = cells(frame, [*CELL, "target_size"], metric)
    rows["network"] = [_network(*pair) for pair in zip(rows["architecture"], rows["backbone"], strict=True)]
    rows["place"] = [_place(*pair) for pair in zip(rows["target"], rows["target_size"], strict=True)]
    values = rows[["mean", "std", "n", "planned"]].itertuples(index=False)
    rows["text"] = [written(*entry) for entry in values]
    table = Table(title=f"{METRIC_NAMES[metric]}, %", title_justify="left", box=None, padding=(0, 2, 0, 0))
    index = ["network", "initialization"]
    wide = rows.pivot_table("text", index, "place", aggfunc="first", sort=False, fill_value="")
    for title in (*wide.index.names, *wide.columns):
        table.add_column(str(title), overflow="fold")
    for names, texts in zip(wide.index, wide.to_numpy(), strict=True):
        table.add_row(*map(str, names), *map(str, texts))
    return table


def _network(architecture: str, backbone: str) -> str:
    return backbone if architecture == CLASSIFIER else f"{architecture}/{backbone}"


def _place(target: str, share: float) -> str:
    return target if share == 1 else f"{target} {100 * share:g} %"


def _cells(frame: "pd.DataFrame", options: argparse.Namespace) -> "pd.DataFrame":
    return cells(frame, options.by or default_by(frame), options.metric)


def _effect(frame: "pd.DataFrame", options: argparse.Namespace) -> "pd.DataFrame":
    return effects.effects(frame, options.metric, options.by or ["architecture"])


def _best(frame: "pd.DataFrame", options: argparse.Namespace) -> "pd.DataFrame":
    return effects.best(frame, options.metric)


def _size(frame: "pd.DataFrame", options: argparse.Namespace) -> "pd.DataFrame":
    return effects.sample_size(frame, options.metric)


QUESTIONS = {"cells": _cells, "effect": _effect, "best": _best, "size": _size}
LACKING = {  # why there may be no answer
    "effect": "every trial starts from random weights",
    "size": "no source has finished trials of two sizes (the factor sample_size)",
}
TAKES_BY = ("cells", "effect")

Row = Mapping[str, Any]
COLUMNS: dict[str, Callable[[Row], str]] = {  # how columns that belong together are shown
    "mean ± std": lambda row: written(row["mean"], row["std"], row["n"], row["planned"]),
    "over random": lambda row: interval(row["effect"], row["low"], row["high"]),
    "p (Holm)": lambda row: probability(row["p_holm"]),
    "places": lambda row: f"{row['places']} of {row['of']}",
    "sure": lambda row: probability(row["probability"]),
    "ahead by": lambda row: interval(row["gap"], row["low"], row["high"]),
    "a doubling adds": lambda row: interval(row["per_doubling"], row["low"], row["high"]),
    "sizes": lambda row: f"{row['sizes']}, {thousands(row['smallest'])} to {thousands(row['largest'])}",
    "seeds": lambda row: f"{row['n']} of {row['planned']}",
}
NAMES = (*results.FACTORS, "best", "second")  # columns that are shown as they are
SHOWN = {
    "cells": ("mean ± std", "seeds"),
    "effect": ("over random", "p (Holm)", "places", "seeds"),
    "best": ("sure", "ahead by", "seeds"),
    "size": ("a doubling adds", "sizes", "seeds"),
}


def interval(estimate: float, low: float, high: float) -> str:
    """`+5.90 [+4.10, +7.70]`; without limits where there is no spread to take them from."""
    if math.isnan(estimate):
        return "–"
    limits = "" if math.isnan(low) else f" [{low:+.2f}, {high:+.2f}]"
    return f"{estimate:+.2f}{limits}"


def probability(value: float) -> str:
    if math.isnan(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        frame = results.load(options.space, options.out, options.tracking_uri)
        table = answer(where(frame, options.where), options)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    if options.csv:
        table.to_csv(sys.stdout, index=False)
        return 0
    cli.console().print(printed(table, options))
    return 0


def answer(frame: "pd.DataFrame", options: argparse.Namespace) -> "pd.DataFrame":
    if options.by and options.ask not in TAKES_BY:
        raise InputError(f"--by {','.join(options.by)}: --ask {options.ask} has its own rows; leave it out")
    table = QUESTIONS[options.ask](frame, options)
    if table.empty:
        raise InputError(f"--ask {options.ask}: {LACKING.get(options.ask, 'there is no trial')}")
    return table


def printed(table: "pd.DataFrame", options: argparse.Namespace) -> Table:
    shown = Table(box=None, padding=(0, 2), title=f"{options.metric}, %", title_justify="left")
    names = [name for name in table.columns if name in NAMES]
    for title in (*names, *SHOWN[options.ask]):
        shown.add_column(title)
    rows: list[dict[str, Any]] = table.to_dict("records")  # type: ignore[assignment]
    for row in rows:
        values = (COLUMNS[title](row) for title in SHOWN[options.ask])
        shown.add_row(*(str(row[name]) for name in names), *values)
    return shown


def parser() -> argparse.ArgumentParser:
    result = command_parser("grid.query", "Ablation tables from MLflow's record.")
    add_result_arguments(result)
    add_filter_argument(result, "--where", dest="where")
    result.add_argument(
        "--ask",
        choices=QUESTIONS,
        default="cells",
        help="a table of cells (default); the effect of each initialization over random weights; the best of "
        "each place and how sure; what the size of a source adds",
    )
    result.add_argument(
        "--by", type=lambda text: text.split(","), metavar="K,…", help="the rows of cells or effect"
    )
    result.add_argument("--metric", default="auc", help="auc, miou, or another of the test part")
    result.add_argument("--csv", action="store_true", help="comma-separated values, for other programs")
    return result


if __name__ == "__main__":
    sys.exit(main())
