"""`python -m grid.pull --from DIR|URL --space NAME`: take over finished units of another laboratory.

A sample of them, at least one of each kind, is computed here too and compared (docs/sharing.md). Exit codes:
0 units were taken over, or nothing was missing; 1 the same, but damaged batches, named on standard error,
were left out; 2 refused, and nothing was taken over.
"""

import argparse
import random
import shlex
import sys
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from uuid import uuid4

from grid.addresses import hide_passwords
from grid.cluster import process_exit
from grid.options import (
    RunOptions,
    add_filter_argument,
    add_machine_arguments,
    add_where_arguments,
    command_parser,
)
from grid.plan import datasets
from grid.plan.plan import Plan
from grid.plan.requested_plan import build_plan, load_space
from grid.plan.stored_plans import record_start
from grid.registry.folder import Registry
from grid.registry.publish import data_of
from grid.registry.pull import Pulled, offers, pull, refused_batches
from grid.registry.recompute import Recomputation
from grid.registry.verify import sample
from grid.store.backends import is_url
from medpt import cli
from medpt.arguments import whole_number
from medpt.errors import InputError, printable
from medpt.files import check_outside

SHARE = 0.01


@dataclass(frozen=True)
class PullOptions:
    """The registry, what to do with what it has, and the options of a run."""

    registry: str
    share: float  # of the units of each kind that are recomputed, at least one
    seed: int  # that draws them
    run: RunOptions


def main(arguments: list[str] | None = None) -> int:
    options = parse_options(sys.argv[1:] if arguments is None else arguments)
    return cli.run_command(partial(pull_space, options), options.run.local_folder)


def pull_space(options: PullOptions) -> int:
    """Take over what the registry has of a space and print it; return the exit code."""
    if is_url(options.run.out) and options.run.address:
        raise InputError("pulling into a bucket verifies on this machine; leave out --address")
    if not (is_url(options.run.out) or is_url(options.registry)):
        check_outside("--out", Path(options.run.out), [Path(options.registry)])
    space, store = load_space(options.run), options.run.open_store(uuid4().hex)
    registry, console = Registry(options.registry), cli.console()
    registry.check_batches()
    found = datasets.find(space, options.run.data, store.root, write=True)
    if found.problems:  # the digests of units depend on the data
        raise InputError(found.problems)
    run = replace(options.run, imagenet_weights=options.run.imagenet_weights or found.weights)
    plan = build_plan(space, found, run)
    for name in refused_batches(store):
        console.print(f"batch {name[:12]} is in quarantine: {store.out}/refused/{name}.json has the reasons")
    opened = datasets.open_all(space, found)
    plan = replace(plan, partial=datasets.partial_copies(opened))
    store.create()  # last, so that what is refused leaves no folders
    offered, damaged = offers(plan, found, store, registry)
    for problem in damaged:
        print(printable(f"left out: {problem}"), file=sys.stderr)
    if offered:
        units = cli.count(len(offered), "unit")
        console.print(f"{units} of {plan.space} offered; --seed {options.seed} draws the same sample again")
        process_exit.exit_on_signals("\ninterrupted; run the same command to pull what is left\n")
        recompute = Recomputation(plan, store, run, opened, console)
        draw = partial(sample, share=options.share, seed=options.seed)
        with store.documents.in_use():
            for line in describe(pull(offered, plan, store, registry, draw, recompute), plan):
                console.print(line)
    record_start(store, plan, space.path)
    missing = len(plan.units.keys() - store.finished())
    console.print(f"{plan.space}: {missing} of {cli.count(len(plan.units), 'unit')} left to run")
    return 1 if damaged else 0


def describe(pulled: Pulled, plan: Plan) -> list[str]:
    """Return how many units were taken over of whom, what was verified, and what was not published."""
    lines = []
    by_publisher = Counter(unit.batch.publisher for unit in pulled.staged.values())
    for publisher, count in sorted(by_publisher.items()):
        lines.append(f"pulled {cli.count(count, 'unit')} that {publisher} computed")
    lines.append(f"{cli.count(len(pulled.compared), 'unit')} computed here too: the same results")
    batches = {unit.batch.name: unit.batch for unit in pulled.staged.values()}
    licences = {
        (name, batch.datasets[fingerprint].licence)
        for batch in batches.values()
        for name, fingerprint in data_of(plan, batch.units.keys() & pulled.staged.keys())
    }
    lines += [f"  {name}: {licence}" for name, licence in sorted(licences)]
    needed = {need for unit in plan.units.values() for need in unit.needs}
    if withheld := [name for name in needed & pulled.staged.keys() if not pulled.staged[name].is_complete]:
        units = cli.count(len(withheld), "unit")
        lines.append(f"{units} without images or weights, to be run here if a unit that is left needs those")
    return lines


def parse_options(arguments: list[str]) -> PullOptions:
    """Return the options of a command line; exit with code 2 and a message where one is not accepted."""
    values = vars(parser().parse_args(arguments))
    registry, share, seed = (values.pop(name) for name in ("registry", "share", "seed"))
    command = shlex.join(["python", "-m", "grid.pull", *map(hide_passwords, arguments)])
    drawn = random.SystemRandom().randrange(10**6) if seed is None else seed
    return PullOptions(registry, share, drawn, RunOptions(**values, command=command))


def parser() -> argparse.ArgumentParser:
    result = command_parser("grid.pull", "Take over finished units of another laboratory.")
    result.add_argument("--from", required=True, dest="registry", metavar="DIR|URL", help="a registry")
    result.add_argument(
        "--space", required=True, metavar="NAME|FILE", help="a space of search_spaces/, or a YAML file"
    )
    add_filter_argument(result, "--filter", dest="filters")
    result.add_argument(
        "--verify",
        dest="share",
        type=_share,
        default=SHARE,
        metavar="SHARE",
        help="share of the units of each kind to compute here too, at least one (default: %(default)g)",
    )
    result.add_argument(
        "--seed",
        type=whole_number(0),
        metavar="N",
        help="draw the sample of an earlier call again (default: a new sample)",
    )
    add_where_arguments(result.add_argument_group("where data and results are"))
    add_machine_arguments(result.add_argument_group("what the verification may use"))
    return result


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"`{text}`: a number above 0 and up to 1 is accepted")
    return share


if __name__ == "__main__":
    process_exit.exit_process(main())
