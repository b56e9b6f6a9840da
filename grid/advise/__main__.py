"""`python -m grid.advise --target DIR --space NAME`: rank initializations for a dataset (docs/queries.md).

Reads what a space left in --out and trains nothing. advice.py defines the evidence. If such rankings were not
right for the measured targets, the evidence is shown and nothing is recommended.
"""

import argparse
import csv
import sys
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from grid.options import add_result_arguments, command_parser
from medpt import cli
from medpt.errors import InputError

if TYPE_CHECKING:
    from grid.advise.advice import Advice, Row
    from grid.advise.candidates import Offer
    from grid.results.stored_space import StoredSpace
    from medpt.data import Dataset


@dataclass(frozen=True)
class AdviseOptions:
    """The dataset to rank initializations for, and the results that the ranking is based on."""

    target: str  # [NAME=]DIR
    space: str
    out: str = "runs"
    tracking_uri: str | None = None
    backbone: str | None = None  # None: that of most pre-trainings
    images: int = 300  # of each dataset, at most
    imagenet_weights: Path | None = None  # a folder with torchvision's files
    csv: Path | None = None


def main(arguments: list[str] | None = None) -> int:
    options = AdviseOptions(**vars(parser().parse_args(arguments)))
    return cli.run_command(partial(run, options))


def run(options: AdviseOptions) -> None:
    dataset, stored, offer = check_options(options)
    from grid.advise import samples
    from grid.advise.advice import Adviser

    target = samples.of_dataset(dataset, offer.size, options.images)
    adviser = Adviser(stored, offer, options.images, options.imagenet_weights, _print_progress)
    advice = adviser.advise(target)
    console = cli.console()
    console.print(table(advice, target.name, offer.backbone))
    for warning in dict.fromkeys(stored.warnings):
        console.print(f"note: {warning}")
    measured = target.name in {entry.name for entry in offer.targets}
    if measured:
        console.print(
            f"note: {target.name} is measured in this space (see grid.query); its trials are not used here"
        )
    console.print(sentence(advice))
    if options.csv:
        write(options.csv, advice.rows)


def check_options(options: AdviseOptions) -> "tuple[Dataset, StoredSpace, Offer]":
    """Return the target and what the space offers. Raises InputError with the problems of all options."""
    from grid.advise import samples
    from grid.results import frame as results

    problems = _limits(options)
    dataset = plan = frame = None
    try:
        dataset = samples.target(options.target)
    except InputError as error:
        problems += error.problems
    try:
        plan = results.read_plan(options.space, options.out)
        frame = results.load(options.space, options.out, options.tracking_uri)
    except InputError as error:
        problems += error.problems
    if problems or dataset is None:
        raise InputError(problems)
    return dataset, *_offer(options, plan, frame, dataset)


def _limits(options: AdviseOptions) -> list[str]:
    from grid.advise.samples import LEAST

    problems = []
    if options.images < LEAST:
        problems.append(f"--images {options.images}: a whole number from {LEAST} is accepted")
    if options.csv and not options.csv.absolute().parent.is_dir():
        problems.append(f"--csv {options.csv}: no such folder; a file in a folder that is there is accepted")
    if options.imagenet_weights and not options.imagenet_weights.is_dir():
        problems.append(f"--imagenet-weights {options.imagenet_weights}: no such folder")
    return problems


def _offer(options: AdviseOptions, plan: Any, frame: Any, dataset: Any) -> "tuple[StoredSpace, Offer]":
    from grid.advise.candidates import offered
    from grid.results import standings
    from grid.results.cells import find_cells
    from grid.results.stored_space import StoredSpace
    from grid.store.store import Store

    doubts = standings.warnings(find_cells(frame), frame.attrs["controls"])
    selections = frame.attrs.get("selections", ())
    stored = StoredSpace(plan, Store(options.out), [*frame.attrs["warnings"], *selections, *doubts])
    offer = offered(stored, frame, dataset.info.task, options.backbone)
    _check_weights(options.imagenet_weights, offer)
    return stored, offer


def _check_weights(folder: Path | None, offer: "Offer") -> None:
    """Raise InputError if the folder's file is not the one that the space's runs started from."""
    from grid.space.trials import IMAGENET
    from medpt.files import sha256
    from medpt.models.torchvision_weights import published_name

    if folder is None or IMAGENET not in offer.candidates:
        return
    file = folder / published_name(offer.backbone)
    (name,) = offer.candidates[IMAGENET].weights
    if not file.is_file() or not sha256(file).startswith(name):
        raise InputError(f"{file}: not the weights of this space's runs (sha256 {name}…)")


def table(advice: "Advice", target: str, backbone: str) -> Table:
    title = f"{target}, {backbone}: initializations, the most promising first"
    shown = Table(box=None, padding=(0, 2), title=title, title_justify="left")
    columns = ("initialization", "cmd", "LogME", "gain on similar targets", "rank")
    for column in columns:
        shown.add_column(column, justify="left" if column == columns[0] else "right")
    for row in advice.rows:
        gain = f"{number(row.gain, '+.2f')} ({row.targets} of {advice.others})"
        rank = "–" if row.rank is None else f"{row.rank}"
        shown.add_row(row.initialization, number(row.cmd, ".2f"), number(row.logme, ".4f"), gain, rank)
    shown.add_row("random", "–", number(advice.random, ".4f"), "0", "–")
    return shown


def number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def sentence(advice: "Advice") -> str:
    """Return the recommendation and its reliability, or why there is none."""
    if advice.trust.lacking:
        return f"Not enough evidence to recommend one: {advice.trust.lacking}."
    first = [row for row in advice.rows if row.rank == 1]
    names = " or ".join(row.initialization for row in first)
    caution = "".join(
        f" On similar targets {row.initialization} was no better than random weights."
        for row in first
        if row.gain is not None and row.gain <= 0
    )
    return f"Start from {names}. On the targets already measured {advice.trust.words}.{caution}"


def write(path: Path, rows: "list[Row]") -> None:
    """Write every column in full precision; missing values are empty."""
    from grid.advise.advice import Row
    from medpt.files import replacing

    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, [entry.name for entry in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: cli.spreadsheet_cell(v) for k, v in asdict(row).items()} for row in rows)


def _print_progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    result = command_parser(
        "grid.advise",
        "Rank the initializations of a finished space for a dataset; report how far to trust it.",
    )
    result.add_argument(
        "--target", required=True, metavar="[NAME=]DIR", help="with dataset.yaml, or a known dataset's folder"
    )
    add_result_arguments(result)
    result.add_argument("--backbone", metavar="NAME", help="(default: that of most pre-trainings)")
    result.add_argument(
        "--images",
        type=int,
        default=AdviseOptions.images,
        metavar="N",
        help="images to use of each dataset (default: %(default)s)",
    )
    result.add_argument(
        "--imagenet-weights", type=Path, metavar="DIR", help="torchvision's weight files, to rate imagenet*"
    )
    result.add_argument("--csv", type=Path, metavar="FILE", help="write the rows in full precision")
    return result


if __name__ == "__main__":
    sys.exit(main())
