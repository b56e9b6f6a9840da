"""`python -m medpt.data`: what datasets are known, is my copy complete, make shards, write synthetic data.

Exit codes of `check`: 0 complete, 2 with problems, 3 a sound copy of a part of the published images, or
without a labelled test set.
"""

import argparse
import json
import subprocess
import sys
from functools import partial
from pathlib import Path

from medpt import cli
from medpt.arguments import ArgumentParser, path, program, whole_number
from medpt.data import catalog
from medpt.data.card import DatasetCard
from medpt.data.catalog import card
from medpt.data.dataset import Dataset
from medpt.data.locate import card_problems, find_dataset, locate, matching_folders, user_cards
from medpt.errors import InputError, printable
from medpt.files import check_outside
from medpt.schema import json_schema

BAD_INPUT, PARTIAL = 2, 3
NAMES = "a dataset of `medpt-data list`, or your own"


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    return cli.run_command(partial(options.command, options))


def _parser() -> argparse.ArgumentParser:
    parser = ArgumentParser(prog=program("medpt.data"), description="Look at datasets and prepare them.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("list", help="list the known datasets: modality, task, classes, licence")
    command.set_defaults(command=_list)
    command.add_argument(
        "--data",
        metavar="DIR",
        type=path,
        help="also list your own datasets below this folder, and what is there",
    )

    command = commands.add_parser(
        "check", help="check that a copy is complete: counts, every image, patients in both sets"
    )
    command.add_argument("name", metavar="NAME", help=NAMES)
    command.add_argument("folder", metavar="DIR", type=path, help="the dataset's folder, as downloaded")
    command.add_argument("--partial", action="store_true", help="accept a part of the published images")
    command.add_argument("--preview", metavar="FILE", type=path, help="write a contact sheet: .png or .html")
    command.set_defaults(command=_check)

    _add_prepare(commands.add_parser("prepare", help="prepare one dataset as Parquet shards"))

    command = commands.add_parser("phantom", help="write synthetic data in the official layouts")
    command.add_argument("folder", metavar="DIR", type=path, help="gets a folder for each dataset")
    command.add_argument(
        "--seed", type=whole_number(), default=0, metavar="N", help="of the images (default: %(default)s)"
    )
    command.add_argument("--only", metavar="NAME", nargs="+", help="write these datasets (default: all)")
    command.set_defaults(command=_phantom)

    command = commands.add_parser("init", help="draft dataset.yaml for a folder of your images")
    command.set_defaults(command=_init)
    command.add_argument(
        "folder", metavar="DIR", type=path, help="images with masks, labels or class folders"
    )

    command = commands.add_parser("schema", help="print the JSON Schema of dataset.yaml, for editors")
    command.set_defaults(command=_schema)
    return parser


def _add_prepare(command: argparse.ArgumentParser) -> None:
    command.add_argument("name", metavar="NAME", help=NAMES)
    command.add_argument("folder", metavar="DIR", type=path, help="the dataset's folder, as downloaded")
    command.add_argument("--to", metavar="DIR", type=path, required=True, help="a folder for the shards")
    command.add_argument(
        "--size", type=whole_number(1), metavar="PIXELS", help="side of the prepared images (default: 256)"
    )
    command.add_argument(
        "--pipeline",
        metavar="TEXT",
        help="such as 'crop_fundus(10)|resize(256)|clahe(2,8)' (default: the dataset's or its modality's)",
    )
    command.add_argument(
        "--split",
        choices=("official", "random"),
        help="which images are tested (default: the official split, if there is one)",
    )
    command.set_defaults(command=_prepare)


def _list(options: argparse.Namespace) -> int:
    heading = ("NAME", "MODALITY", "TASK", "CLASSES", "TRAIN", "TEST", "BELOW --data", "FOLDER", "LICENCE")
    rows: list[tuple[str, ...]] = [(*heading, "FROM")]
    for entry in (*map(card, catalog.names()), *user_cards(options.data).values()):
        classes = str(len(entry.classes)) if entry.classes else "in its files"
        published = (entry.counts.get(part) for part in ("train", "test"))
        counts = (f"{count:,}" if count else "-" for count in published)
        facts = (_place(entry, options.data), " or ".join(entry.folders), entry.licence, entry.source)
        rows.append((entry.name, entry.modality, entry.task, classes, *counts, *facts))
    print_table(rows)
    if problems := card_problems(options.data):
        print(InputError(problems), file=sys.stderr)
    return 0


def _place(entry: DatasetCard, data: Path | None) -> str:
    """The folder of a dataset below `data`, or why there is none."""
    if data is None:
        return "-"
    try:
        return str(locate(entry.name, data).relative_to(data))
    except InputError:
        return "several folders" if matching_folders(entry, data) else "-"


def print_table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print(printable(line).rstrip())


def _check(options: argparse.Namespace) -> int:
    from medpt.data import open_with_problems
    from medpt.data.check import at_once, decoded
    from medpt.data.contact_sheet import check_suffix, write_preview

    if options.preview:
        check_suffix(options.preview)
        check_outside("--preview", options.preview, [options.folder])
    try:
        dataset = open_with_problems(options.name, options.folder)
    except InputError as error:
        raise InputError([*error.problems, *_without_card(options)]) from None
    first = at_once(dataset)
    _print_notes(first.notes, first.problems)
    if options.preview:
        write_preview(dataset, options.preview)
        print(f"contact sheet: {options.preview}")
    rest, known = decoded(dataset, sys.stderr), set(first.problems)
    later = [problem for problem in rest.problems if problem not in known]
    _print_notes(rest.notes, later)
    if rest.table:
        print_table(rest.table)
    if count := len(first.problems) + len(later):
        print(f"{dataset.info.name}: {count:,} problems", file=sys.stderr)
        return BAD_INPUT
    return _conclude(dataset, accept_partial=options.partial)


def _without_card(options: argparse.Namespace) -> list[str]:
    """What to do with a folder that no card describes."""
    if catalog.is_built_in(options.name) or not options.folder.is_dir():
        return []
    if user_cards(options.folder) or card_problems(options.folder):
        return []
    return [
        f"{options.folder} has no dataset.yaml: `medpt-data init {options.folder}` drafts one, "
        f"`medpt-grid compare {options.folder}` compares initializations on these images"
    ]


def _conclude(dataset: Dataset, *, accept_partial: bool) -> int:
    """Say of a sound copy whether it is complete, and return the exit code."""
    from medpt.data.partial_copy import find_partial

    name, partial_copy = dataset.info.name, find_partial(dataset)
    counts = f"{len(dataset):,} labelled images, {len(dataset.info.classes)} classes"
    print(f"{name}: {partial_copy or 'complete'}; {counts}")
    lacking = _lacking_as_target(dataset)
    for problem in lacking:
        print(f"complete as a source, not as a target: {problem}")
    if accept_partial or not (partial_copy or lacking):
        return 0
    if not partial_copy:
        return PARTIAL
    line = f"`datasets: {{{name}: {{partial: true}}}}` in a space"
    print(f"if that is intended: --partial accepts it here, {line}", file=sys.stderr)
    return PARTIAL


def _lacking_as_target(dataset: Dataset) -> list[str]:
    """Why a run refuses a dataset with official splits as a target: one of its two sets is empty."""
    from medpt.data.splits import assign

    try:
        if dataset.info.official_split and dataset.info.task != "survival":
            assign(dataset.records, "official", 0)
    except InputError as error:
        return error.problems
    return []


def _print_notes(notes: list[str], problems: list[str]) -> None:
    """Notes on stdout, problems on stderr: twenty of each, the rest counted."""
    if notes:
        print(InputError(f"note: {note}" for note in notes))
    if problems:
        print(InputError(problems), file=sys.stderr)


def _prepare(options: argparse.Namespace) -> int:
    """In a process of its own: preparing in parallel is the grid's work, which medpt does not import."""
    name = find_dataset(options.name, options.folder)[0].name
    given = {"--size": options.size, "--pipeline": options.pipeline, "--split": options.split}
    rest = [text for key, value in given.items() if value is not None for text in (key, str(value))]
    command = [
        sys.executable,
        "-m",
        "grid.prepare",
        name,
        str(options.folder),
        "--to",
        str(options.to),
        *rest,
    ]
    return subprocess.call(command)


def _phantom(options: argparse.Namespace) -> int:
    from medpt.phantom import write_all

    for name, folder in write_all(options.folder, options.only, seed=options.seed).items():
        print(f"{name}: {folder}")
    return 0


def _init(options: argparse.Namespace) -> int:
    """Draft a card, and print it with the next command."""
    from medpt.data.card_draft import dataset_name, write_draft
    from medpt.data.folder_description import describe_folder

    described = describe_folder(options.folder)
    path = write_draft(described)
    print(path.read_text(encoding="utf-8"), end="")
    print(f"\nwritten to {path}; {cli.count(len(described.unsure), 'line')} to confirm. Then:")
    print(f"  python -m medpt.data check {dataset_name(options.folder)} {options.folder}")
    return 0


def _schema(_: argparse.Namespace) -> int:
    print(json.dumps(json_schema(DatasetCard), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
