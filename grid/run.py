"""`python -m grid.run --space NAME`: plan, run, report.

Exit codes: 0 all finished; 1 some units failed, the rest finished, or the disk is full; 2 refused before
anything started; 130 and 143 interrupted. The same command goes on where a run ended, however it ended.
"""

import argparse
import errno
import os
import sys
from pathlib import Path
from uuid import uuid4

from rich.console import Console

from grid.cluster.process_exit import exit_on_signals, exit_process
from grid.dry_run import describe
from grid.plan import datasets
from grid.plan import plan as planning
from grid.space.reader import load
from grid.space.trials import Space, Trial
from grid.store.backends import place
from grid.store.leases import SECONDS
from grid.store.store import Store
from grid.tracking.addresses import tracking_uri
from grid.tracking.passwords import hide_passwords
from medpt import cli
from medpt.data import own
from medpt.errors import InputError
from medpt.files import free_space

FULL = {errno.ENOSPC, errno.EDQUOT}


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    options.given = sys.argv[1:] if arguments is None else arguments
    console = cli.console()
    try:
        return run(options, console)
    except InputError as error:
        console.file.flush()
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in FULL:
            raise
        console.file.flush()
        print(f"{error}; {free_space(Store(options.out).root)}; the same command goes on", file=sys.stderr)
        return 1


def run(options: argparse.Namespace, console: Console) -> int:
    if options.data is not None:
        own.register(options.data)
    space = selected(load(options.space), options)
    store = Store(options.out, run=uuid4().hex, lease_seconds=options.lease_seconds)
    if not options.dry_run:
        store.create()
    found = datasets.find(space, options.data, store.root, write=not options.dry_run)
    options.imagenet_weights = options.imagenet_weights or found.weights
    plan = planning.build(space, found.fingerprints, datasets.published(space, options.imagenet_weights))
    if options.dry_run:
        describe(plan, store, found, console)
        return 0
    if options.flush:
        return flushed(plan, store, found, options, console)
    opened = datasets.open_all(space, found)
    exit_on_signals(how_to_go_on(options))
    from grid.execute import execute

    return execute(plan, store, opened, options, console)


def flushed(
    plan: planning.Plan,
    store: Store,
    found: datasets.SpaceDatasets,
    options: argparse.Namespace,
    console: Console,
) -> int:
    from grid.execute import flush

    if found.problems:  # without the data nobody knows the names of the units
        raise InputError(found.problems)
    return flush(plan, store, options, console)


def selected(space: Space, options: argparse.Namespace) -> Space:
    """The space with only the trials that --filter and --limit leave; analyses are no trials."""
    from dataclasses import replace

    if not options.filter and options.limit is None:
        return space
    trials = [trial for trial in space.trials if matches(trial, options.filter)]
    if options.limit is not None:
        trials = trials[: options.limit]
    if not trials:
        raise InputError(f"--filter leaves none of the {len(space.trials)} trials of `{space.name}`")
    return replace(space, trials=tuple(trials), analyses=())


def matches(trial: Trial, wanted: dict[str, set[str]]) -> bool:
    factors = trial.factors()
    return all(str(factors[key]) in values for key, values in wanted.items())


def conditions(text: str) -> dict[str, set[str]]:
    """`target=DRIVE,seed=0,seed=1`: any value of a key, all keys."""
    from grid.space.factors import FACTORS

    found: dict[str, set[str]] = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not equals or key not in FACTORS:
            raise argparse.ArgumentTypeError(f"`{part}`: key=value with a key of {', '.join(FACTORS)}")
        found.setdefault(key, set()).add(value)
    return found


def whole(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"`{text}`: a whole number from 0")
    return int(text)


def one_or_more(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"`{text}`: 1 or more is accepted")
    return int(text)


def how_to_go_on(options: argparse.Namespace) -> str:
    return f"\ninterrupted; the same command goes on:\n  {command(options)}\n"


def command(options: argparse.Namespace) -> str:
    import shlex

    return shlex.join(["python", "-m", "grid.run", *map(hide_passwords, options.given)])


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="python -m grid.run",
        description="Runs every trial of a space that is not finished yet, then writes its report.",
    )
    result.add_argument(
        "--space", required=True, metavar="NAME|FILE", help="of search_spaces/, or a YAML file"
    )
    data = os.environ.get("MEDPT_DATA")
    result.add_argument(
        "--data",
        type=Path,
        default=Path(data) if data else None,
        metavar="DIR",
        help="one folder a dataset, as downloaded; default $MEDPT_DATA",
    )
    result.add_argument(
        "--out", type=place, default=Path("runs"), metavar="DIR|URL", help="results; default runs/"
    )
    result.add_argument(
        "--tracking-uri", type=tracking_uri, metavar="URI", help="MLflow; default SQLite below --out"
    )
    result.add_argument("--address", help="of a Ray cluster; default: this machine")
    result.add_argument(
        "--cpus",
        type=whole,
        metavar="N",
        help="to use; of a cluster: to count on, there or not; default all now",
    )
    result.add_argument(
        "--gpus",
        type=whole,
        metavar="N",
        help="the same of GPUs; 0 trains on CPUs, N waits for N; default all now",
    )
    result.add_argument(
        "--wait",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="until it is said why nothing starts; default 60",
    )
    result.add_argument("--cache", type=Path, metavar="DIR", help="node-local arrays; default <out>/cache")
    result.add_argument("--cache-gb", type=float, default=32.0, help="larger datasets stream every epoch")
    result.add_argument(
        "--checkpoint-seconds", type=float, default=30.0, help="a kill costs at most this much work a unit"
    )
    result.add_argument(
        "--lease-seconds",
        type=float,
        default=SECONDS,
        help="after which a lost machine's unit is done by another one",
    )
    result.add_argument(
        "--imagenet-weights", type=Path, metavar="DIR", help="torchvision's files, where there is no network"
    )
    result.add_argument("--filter", type=conditions, default={}, metavar="K=V,…", help="only these trials")
    result.add_argument("--limit", type=one_or_more, metavar="N", help="only the first N trials")
    result.add_argument("--dry-run", action="store_true", help="say what would be done")
    result.add_argument("--flush", action="store_true", help="only send the tracker what it missed")
    return result


if __name__ == "__main__":
    exit_process(main())
