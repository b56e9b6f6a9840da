"""`python -m grid.query`: ablation tables from MLflow's record, as mean ± sample standard deviation.

A cell says of how many seeds it is made; what is missing or failed is never counted as a value.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from grid import results
from medpt.data.cards import card
from medpt.errors import InputError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

METRICS = {"classification": "auc", "segmentation": "miou", "survival": "c_index"}  # what the paper reports
DEFAULT_BY = ["initialization", "backbone", "architecture", "target"]


def where(frame: "pd.DataFrame", conditions: dict[str, set[str]]) -> "pd.DataFrame":
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
    if metric not in frame.columns:
        known = [name for name in frame.columns if frame[name].dtype == float]
        raise InputError(f"--metric {metric}: no finished trial has it; {did_you_mean(metric, known)}")
    tasks = frame["target"].map(lambda name: card(name).task)
    having = set(tasks[frame[metric].notna()])
    frame = frame[tasks.isin(having)]
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


def show(frame: "pd.DataFrame", console: Console) -> None:
    """The paper's kind of table: rows are networks and initializations, columns targets."""
    for metric in METRICS.values():
        if metric in frame.columns and frame[metric].notna().any():
            console.print(_wide(frame, metric))


def _wide(frame: "pd.DataFrame", metric: str) -> Table:
    rows = cells(frame, DEFAULT_BY, metric)
    rows["text"] = [
        written(*values) for values in rows[["mean", "std", "n", "planned"]].itertuples(index=False)
    ]
    names = {"auc": "micro-AUC, %", "miou": "mean IoU, %"}
    table = Table(title=names[metric], title_justify="left", box=None, padding=(0, 2))
    wide = rows.pivot_table(
        index=["architecture", "backbone", "initialization"],
        columns="target",
        values="text",
        aggfunc="first",
        sort=False,
        fill_value="",
    )
    for title in (*wide.index.names, *wide.columns):
        table.add_column(str(title))
    for index, values in zip(wide.index, wide.to_numpy(), strict=True):
        table.add_row(*map(str, index), *map(str, values))
    return table


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        frame = results.load(options.space, options.out, options.tracking_uri)
        frame = where(frame, options.where)
        table = cells(frame, options.by, options.metric)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    if options.csv:
        table.to_csv(sys.stdout, index=False)
        return 0
    shown = Table(box=None, padding=(0, 2))
    for title in (*options.by, f"{options.metric}, %", "n"):
        shown.add_column(title)
    for *values, mean, std, n, planned in table.itertuples(index=False):
        shown.add_row(*map(str, values), written(mean, std, n, planned), f"{n} of {planned}")
    Console(highlight=False).print(shown)
    return 0


def parser() -> argparse.ArgumentParser:
    from grid.run import conditions

    result = argparse.ArgumentParser(
        prog="python -m grid.query", description="Ablation tables from MLflow's record."
    )
    result.add_argument("--space", required=True, metavar="NAME")
    result.add_argument("--where", type=conditions, default={}, metavar="K=V,…", help="only these trials")
    result.add_argument(
        "--by", type=lambda text: text.split(","), default=DEFAULT_BY, metavar="K,…", help="the rows"
    )
    result.add_argument("--metric", default="auc", help="auc, miou, or another of the test part")
    result.add_argument("--out", type=Path, default=Path("runs"), metavar="DIR")
    result.add_argument("--tracking-uri", metavar="URI")
    result.add_argument("--csv", action="store_true", help="comma-separated values, for other programs")
    return result


if __name__ == "__main__":
    sys.exit(main())
