"""`python -m grid.run --space NAME`: plan, run, report.

Exit codes: 0 all finished; 1 some units failed, the rest finished, or the disk is full; 2 refused before
anything started; 130 and 143 interrupted. The same command goes on where a run ended, however it ended.
"""

import errno
import sys
from dataclasses import replace
from uuid import uuid4

from rich.console import Console

from grid.cluster.process_exit import exit_on_signals, exit_process
from grid.dry_run import describe
from grid.options import RunOptions, parse_options
from grid.plan import datasets
from grid.plan import plan as planning
from grid.space.filters import select_trials
from grid.space.reader import load
from grid.store.store import Store
from medpt import cli
from medpt.data import own
from medpt.errors import InputError
from medpt.files import free_space

FULL = {errno.ENOSPC, errno.EDQUOT}


def main(arguments: list[str] | None = None) -> int:
    options = parse_options(sys.argv[1:] if arguments is None else arguments)
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
        print(f"{error}; {free_space(options.open_store().root)}; the same command goes on", file=sys.stderr)
        return 1


def run(options: RunOptions, console: Console) -> int:
    if options.data is not None:
        own.register(options.data)
    space = select_trials(load(options.space), options.filters, options.limit)
    store = options.open_store(run=uuid4().hex)
    if not options.dry_run:
        store.create()
    found = datasets.find(space, options.data, store.root, write=not options.dry_run)
    options = replace(options, imagenet_weights=options.imagenet_weights or found.weights)
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
    options: RunOptions,
    console: Console,
) -> int:
    from grid.execute import flush

    if found.problems:  # without the data nobody knows the names of the units
        raise InputError(found.problems)
    return flush(plan, store, options, console)


def how_to_go_on(options: RunOptions) -> str:
    return f"\ninterrupted; the same command goes on:\n  {options.command}\n"


if __name__ == "__main__":
    exit_process(main())
