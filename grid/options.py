"""The options of a run, and the command-line arguments that several commands share.

RunOptions is all that the command line says of a run. It is plain data: workers receive it as JSON. Nothing
in it changes the result of a unit. Defaults stand in the dataclass; the parser shows them.
"""

import argparse
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grid.addresses import hide_passwords
from grid.argument_types import (
    GIB,
    LONGEST,
    duration,
    existing_folder,
    filters,
    folder,
    folder_or_url,
    gigabytes,
    price,
    ray_address,
    tracking_uri,
)
from grid.store import leases
from grid.store.artifacts import copy_of
from grid.store.backends import is_url
from medpt.arguments import ArgumentParser, argument, number, program, whole_number

if TYPE_CHECKING:
    from grid.space.filters import Filters
    from grid.store.store import Store

PATHS = ("data", "cache", "imagenet_weights")
MOST_DEVICES = 10**6
RUNNING = ("keep_missing", "verify", "budget_seconds")  # they mean nothing where nothing is run
EXCLUSIVE = {"flush": ("dry_run", *RUNNING), "clean": ("filters", "limit", "flush", *RUNNING)}
WIDTH = 24  # characters for the names of options in the help


@dataclass(frozen=True)
class RunOptions:
    """What a run works on, where its results go, and what it may use. Folders are absolute."""

    space: str  # a name of search_spaces/, or the path of a YAML file
    out: str  # a folder, or the URL of a bucket
    data: Path | None = None  # one folder per dataset, as downloaded
    tracking_uri: str | None = None  # None: a SQLite file below `out`
    address: str | None = None  # of a Ray cluster; None: this machine
    cpus: int | None = None  # None: all that Ray finds at the start
    gpus: int | None = None
    stall_seconds: float = 60.0  # without a start of any unit, after which the run prints why
    cache: Path | None = None  # on each node, for prepared arrays; None: below `out`
    cache_bytes: int = 32 * GIB  # larger datasets are streamed in every epoch
    checkpoint_seconds: float = 30.0
    lease_seconds: float = leases.SECONDS
    imagenet_weights: Path | None = None  # a folder with torchvision's files
    weights_files: tuple[str, ...] = ()  # descriptions of other published weights, absolute
    filters: "Filters" = field(default_factory=dict, hash=False)
    limit: int | None = None
    budget_seconds: float | None = None  # after which nothing runs any more; None: until all is finished
    dry_run: bool = False
    price: float | None = None  # of an hour of one GPU, for `dry_run`
    flush: bool = False
    keeps_networks: bool = True  # of fine-tunings, as the space says
    keep_missing: bool = False  # run finished fine-tunings again whose networks were not kept
    verify: bool = False  # read all files of finished units, not only those that changed
    clean: bool = False  # remove what no plan needs; run nothing
    tune: bool = True  # choose the settings of a training step by a trial
    yes: bool = False  # `clean` asks nothing
    command: str = ""  # to repeat this run; passwords are hidden

    @property
    def local_folder(self) -> Path:
        """The folder of the results on this machine; of a bucket, that of its copies."""
        return copy_of(self.out) if is_url(self.out) else Path(self.out)

    def open_store(self, run: str = "") -> "Store":
        """Return the store of the results; `run` names the driver that claims units in it."""
        from grid.store.store import Store

        return Store(self.out, run, self.lease_seconds)

    def cache_folder(self, store: "Store") -> Path:
        """Return the folder for prepared arrays on this node."""
        return self.cache or store.cache

    def for_worker(self) -> dict[str, Any]:
        """Return the options as JSON without the tracker's address, which may hold a password."""
        return replace(self, tracking_uri=None).to_json()

    def to_json(self) -> dict[str, Any]:
        """Return the options as values that JSON can hold."""
        values = asdict(self)
        return values | {name: str(values[name]) for name in PATHS if values[name] is not None}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "RunOptions":
        """Return the options that `to_json` wrote."""
        paths = {name: Path(values[name]) for name in PATHS if values[name] is not None}
        filters = {key: tuple(accepted) for key, accepted in values["filters"].items()}
        files = tuple(values["weights_files"])
        return cls(**{**values, **paths, "filters": filters, "weights_files": files})


def parse_options(
    arguments: list[str], module: str = "grid.run", description: str = "Run the trials of a space."
) -> RunOptions:
    """Return the options of a command line; exit with code 2 and a message where one is not accepted."""
    parser = run_parser(module, description)
    values = parser.parse_args(arguments)
    _check_combined(parser, values)
    return RunOptions(**vars(values), command=command_line(module, arguments))


def command_line(module: str, arguments: Sequence[str]) -> str:
    """Return the text that starts `python -m MODULE` with these arguments; passwords are hidden."""
    return shlex.join(["python", "-m", module, *map(hide_passwords, arguments)])


def run_parser(module: str, description: str) -> ArgumentParser:
    """Return the parser of grid.run and grid.doctor, which take the same arguments."""
    parser = command_parser(module, description)
    _add_what(parser.add_argument_group("what to run"))
    add_where_arguments(parser.add_argument_group("where data and results are"))
    machines = parser.add_argument_group("what the run may use")
    add_machine_arguments(machines)
    machines.add_argument(
        "--no-tune",
        dest="tune",
        action="store_false",
        help="train in the usual memory layout with the usual Adam, without a trial of which is fastest",
    )
    _add_faults(parser.add_argument_group("how it recovers from faults"))
    return parser


def command_parser(module: str, description: str) -> ArgumentParser:
    """Return a parser for `python -m MODULE` whose help is aligned as that of every command."""
    formatter = partial(argparse.HelpFormatter, max_help_position=WIDTH)
    return ArgumentParser(prog=program(module), description=description, formatter_class=formatter)


def add_result_arguments(parser: argparse._ActionsContainer, *, required: bool = True) -> None:
    """Add the arguments of commands that read the results of a space."""
    parser.add_argument("--space", required=required, metavar="NAME", help="a space that was run")
    _add_out(parser)


def _add_out(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--out",
        type=argument(folder_or_url),
        default="runs",
        metavar="DIR|URL",
        help="results: a folder, s3://… or gs://… (default: %(default)s)",
    )
    group.add_argument(
        "--tracking-uri",
        type=tracking_uri,
        metavar="URI",
        help="MLflow's server or database (default: a SQLite file in --out)",
    )


def _add_what(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--space", required=True, metavar="NAME|FILE", help="a space of search_spaces/, or a YAML file"
    )
    add_filter_argument(group, "--filter", dest="filters")
    group.add_argument(
        "--limit", type=whole_number(1), metavar="N", help="run only the first N trials (default: all)"
    )
    text = "stop after this time, such as 2h or 45m, with what is finished (default: none)"
    add_budget_argument(group, None, text)
    group.add_argument("--dry-run", action="store_true", help="print what would be run; run nothing")
    group.add_argument(
        "--price",
        type=price,
        metavar="N/gpu-hour",
        help="let --dry-run print what the GPU hours cost, such as 2.50/gpu-hour",
    )
    group.add_argument("--flush", action="store_true", help="send MLflow what it lacks; run nothing")
    group.add_argument(
        "--verify",
        action="store_true",
        help="read all files of finished units for damage (default: compare sizes and times)",
    )
    group.add_argument(
        "--keep-missing",
        action="store_true",
        help="run fine-tunings again that kept no weights, and keep them",
    )
    group.add_argument(
        "--clean", action="store_true", help="list what no plan in --out needs and offer to remove it"
    )
    group.add_argument("--yes", action="store_true", help="let --clean remove it without asking")


def _check_combined(parser: ArgumentParser, values: argparse.Namespace) -> None:
    for option, needed in (("yes", "clean"), ("price", "dry_run")):
        if getattr(values, option) and not getattr(values, needed):
            parser.error(f"--{option} is accepted with --{needed.replace('_', '-')} only")
    for mode, others in EXCLUSIVE.items():
        if getattr(values, mode) and (refused := parser.given(values, others)):
            parser.error(f"--{mode} cannot be combined with {refused}")


def add_filter_argument(group: argparse._ActionsContainer, name: str, dest: str) -> None:
    """Add an option that keeps the trials with given values of factors."""
    group.add_argument(
        name,
        dest=dest,
        type=filters,
        default={},
        metavar="K=V,…",
        help="only trials with these values, such as target=DRIVE,seed=0 (default: all)",
    )


def add_where_arguments(group: argparse._ActionsContainer) -> None:
    """Add the arguments that say where data, results and published weights are."""
    data = os.environ.get("MEDPT_DATA")
    group.add_argument(
        "--data",
        type=folder,
        default=data or None,
        metavar="DIR",
        help="one folder per dataset, as downloaded (default: $MEDPT_DATA)",
    )
    _add_out(group)
    group.add_argument(
        "--imagenet-weights",
        type=existing_folder,
        metavar="DIR",
        help="torchvision's weight files (default: torchvision downloads them)",
    )
    group.add_argument(
        "--cache", type=folder, metavar="DIR", help="prepared arrays, on each node (default: OUT/cache)"
    )
    group.add_argument(
        "--cache-gb",
        dest="cache_bytes",
        type=gigabytes,
        default=RunOptions.cache_bytes,
        metavar="GB",
        help=f"larger datasets are streamed in every epoch (default: {RunOptions.cache_bytes / GIB:g})",
    )


def add_machine_arguments(group: argparse._ActionsContainer) -> None:
    """Add the arguments that say what a run may use."""
    group.add_argument(
        "--address",
        type=ray_address,
        metavar="HOST:PORT",
        help="a Ray cluster, or `auto` on one of its nodes (default: none)",
    )
    group.add_argument(
        "--cpus",
        type=whole_number(1, MOST_DEVICES),
        metavar="N",
        help="CPUs to use; of a cluster, also those that are still to join (default: all there are)",
    )
    group.add_argument(
        "--gpus",
        type=whole_number(high=MOST_DEVICES),
        metavar="N",
        help="GPUs to use, likewise; 0 trains on CPUs (default: all there are)",
    )


def add_budget_argument(group: argparse._ActionsContainer, default: float | None, text: str) -> None:
    """Add --budget, whose `text` says what it is for."""
    group.add_argument(
        "--budget", dest="budget_seconds", type=duration, default=default, metavar="TIME", help=text
    )


def _add_faults(group: argparse._ArgumentGroup) -> None:
    for option, name, least, text in (
        ("--wait", "stall_seconds", 0, "print why nothing starts after this time"),
        ("--checkpoint-seconds", "checkpoint_seconds", 0, "time between checkpoints, the most a kill costs"),
        ("--lease-seconds", "lease_seconds", 1, "time until others take over the units of a lost machine"),
    ):
        group.add_argument(
            option,
            dest=name,
            type=number(least, LONGEST),
            default=getattr(RunOptions, name),
            metavar="SECONDS",
            help=f"{text} (default: %(default)g)",
        )
