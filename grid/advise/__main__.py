"""`python -m grid.advise DIR`: which initializations to try first for these images, in which order.

It trains no network. It prints what published results say for the nearest modality, a frozen probe of the
weights that are here, and an ordered list with the expected regret after each try (record.py). Without DIR it
prints the track record of the ways to choose, from published results, a CSV file or a finished space.
"""

import csv
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from grid.argument_types import existing_folder, folder
from grid.compare.schedule import Rule
from grid.options import add_result_arguments, command_parser
from medpt import cli
from medpt.arguments import ArgumentParser, path, whole_number
from medpt.errors import InputError
from medpt.files import check_outside
from medpt.models.registry import check_backbone

if TYPE_CHECKING:
    from grid.advise.advice import Advice
    from grid.advise.record import ScoreTable
    from grid.compare.target import Target
    from grid.results.comparisons import Interval

OF_IMAGES = ("data", "imagenet_weights", "backbone", "images", "csv")  # options that DIR needs
SIDE = 128  # of the images that are probed, at most, in pixels
FEWEST_IMAGES = 10


@dataclass(frozen=True)
class AdviseOptions:
    """The folder of images, and where scores and weights are; `home` None: the track record alone."""

    home: Path | None = None
    space: str | None = None
    scores: Path | None = None
    data: Path | None = None
    out: str = "runs"
    tracking_uri: str | None = None
    imagenet_weights: Path | None = None
    backbone: str = Rule().backbone
    images: int = 300
    csv: Path | None = None


def main(arguments: list[str] | None = None) -> int:
    accepted = parser()
    values = accepted.parse_args(arguments)
    if values.home is None and (unused := accepted.given(values, OF_IMAGES)):
        accepted.error(f"{unused}: of use with images alone; give DIR too")
    return cli.run_command(partial(run, AdviseOptions(**vars(values))))


def run(options: AdviseOptions) -> None:
    check(options)
    console = cli.console()
    if options.home is None:
        for task in ("classification", "segmentation") if not given(options) else (None,):
            table = read_table(options, task)
            console.print(record_table(table))
        return
    from grid.advise.advice import advise, paragraph
    from grid.advise.candidates import candidates
    from grid.advise.evidence import ProbeSettings, gather
    from grid.advise.published_cells import describe_nearest
    from grid.compare.target import understand

    target = understand(options.home)
    table = read_table(options, target.card.task)
    sources, notes = candidates(
        target.card, options.data, options.out, options.imagenet_weights, options.backbone
    )
    for line in describe_nearest(target.card):
        console.print(line)
    settings = ProbeSettings(options.backbone, side_of(target), options.images)
    probed = [source for source in sources if source.can_be_probed]
    evidence = gather(target, probed, settings, print_progress)
    advice = advise(table, sources, evidence, target.card.name)
    console.print(advice_table(advice, target, options.backbone))
    for note in (*advice.notes, *notes):
        console.print(f"note: {note}")
    console.print(paragraph(advice, evidence))
    if options.csv:
        write(options.csv, advice)


def given(options: AdviseOptions) -> bool:
    return options.space is not None or options.scores is not None


def check(options: AdviseOptions) -> None:
    """Raise InputError with what is wrong with all options."""
    problems = []
    try:
        check_backbone(options.backbone)
    except InputError as error:
        problems += [f"--backbone: {problem}" for problem in error.problems]
    if options.home is not None and not options.home.is_dir():
        problems.append(f"{options.home}: no such folder")
    if options.images < FEWEST_IMAGES:
        problems.append(f"--images {options.images}: a whole number from {FEWEST_IMAGES} is accepted")
    if options.space and options.scores:
        problems.append("--space and --scores: give one of them")
    if options.tracking_uri and not options.space:
        problems.append("--tracking-uri: of use with --space alone")
    if options.csv:
        try:
            check_table(options.csv, options.home)
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)


def check_table(path: Path, home: Path | None) -> None:
    """Raise InputError where the table cannot be written to `path`, or would lie among the images."""
    if not path.absolute().parent.is_dir():
        raise InputError(f"--csv {path}: no such folder; a file in a folder that is there is accepted")
    if path.exists() and not path.is_file():
        raise InputError(f"--csv {path}: exists and is no file")
    check_outside("--csv", path, [home] if home else [])


def read_table(options: AdviseOptions, task: str | None) -> "ScoreTable":
    """Return the scores that the advice is taken from."""
    from grid.advise import score_tables

    if options.scores:
        return score_tables.csv_table(options.scores)
    if options.space:
        from grid.results import frame

        found = frame.load(options.space, options.out, options.tracking_uri)
        return score_tables.space_table(found, options.space, task)
    return score_tables.paper_table(str(task))


def side_of(target: "Target") -> int:
    """Return the side at which images are probed: a multiple of 32, and no larger than they are."""
    return max(64, min(SIDE, target.side // 32 * 32))


def record_table(table: "ScoreTable") -> Table:
    """Return the track record of a table of scores, ready to print."""
    from grid.advise.record import track_record

    title = f"track record on {table.origin}: mean regret in points, each target as if it were new"
    shown = Table(box=None, padding=(0, 2), title=title, title_justify="left")
    shown.add_column("choice")
    for column in ("mean regret", "95 % interval", "targets"):
        shown.add_column(column, justify="right")
    for way in track_record(table):
        shown.add_row(way.name, number(way.regret.mean), limits(way.regret), str(way.targets))
    return shown


def advice_table(advice: "Advice", target: "Target", backbone: str) -> Table:
    title = f"{target.card.name}, {backbone}: what to try, in this order"
    shown = Table(box=None, padding=(0, 2), title=title, title_justify="left")
    columns = ("try", "initialization", "regret after it", "always this one", "frozen probe", "LogME", "from")
    for column in columns:
        is_text = column in ("initialization", "from")
        shown.add_column(column, justify="left" if is_text else "right", overflow="fold")
    for place, entry in enumerate(advice.entries, start=1):
        shown.add_row(
            str(place),
            entry.initialization,
            with_limits(entry.after),
            with_limits(entry.alone),
            with_limits(entry.probe, 1),
            number(entry.logme, 3),
            entry.reason,
        )
    return shown


def number(value: float, digits: int = 2) -> str:
    return "–" if value != value else f"{value:.{digits}f}"


def limits(interval: "Interval", digits: int = 2) -> str:
    return "–" if interval.low != interval.low else f"[{interval.low:.{digits}f}, {interval.high:.{digits}f}]"


def with_limits(interval: "Interval", digits: int = 2) -> str:
    known = interval.mean == interval.mean
    return f"{number(interval.mean, digits)} {limits(interval, digits)}" if known else "–"


def write(path: Path, advice: "Advice") -> None:
    """Write the list in full precision; missing values are empty."""
    from medpt.files import replacing

    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        rows = [entry.row(place) for place, entry in enumerate(advice.entries, start=1)]
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: cli.spreadsheet_cell(v) for k, v in row.items()} for row in rows)


def print_progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def parser() -> ArgumentParser:
    result = command_parser(
        "grid.advise", "Say which initializations to try for a folder of images, and in which order."
    )
    result.add_argument(
        "home",
        nargs="?",
        type=folder,
        metavar="DIR",
        help="images, as `compare` takes them (default: print the track record alone)",
    )
    scores = result.add_argument_group("where scores are from (default: the published cells of the paper)")
    add_result_arguments(scores, required=False)
    scores.add_argument(
        "--scores", type=path, metavar="FILE", help="a CSV file with columns source, target and score"
    )
    weights = result.add_argument_group("where data and weights are")
    weights.add_argument("--data", type=folder, metavar="DIR", help="one folder per dataset, as downloaded")
    weights.add_argument(
        "--imagenet-weights", type=existing_folder, metavar="DIR", help="torchvision's weight files"
    )
    weights.add_argument(
        "--backbone",
        default=AdviseOptions.backbone,
        metavar="NAME",
        help="the encoder (default: %(default)s)",
    )
    result.add_argument(
        "--images",
        type=whole_number(1),
        default=AdviseOptions.images,
        metavar="N",
        help="training images, and as many test images, that are probed (default: %(default)s)",
    )
    result.add_argument("--csv", type=path, metavar="FILE", help="write the list in full precision")
    return result


if __name__ == "__main__":
    sys.exit(main())
