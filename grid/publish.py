"""`python -m grid.publish --space NAME --to DIR|URL`: share finished units with other laboratories.

It publishes metrics, the numbers from which they are computed, and small files without ids, with the licence
of each dataset; weights only with --weights. Images, masks, ids, names of files and paths stay here
(docs/sharing.md).
"""

import argparse
import sys
from functools import partial
from pathlib import Path

from grid.argument_types import publisher
from grid.options import add_result_arguments, command_parser
from grid.registry.folder import Registry
from grid.registry.publish import publish
from grid.results.frame import read_plan
from grid.store.backends import is_url
from grid.store.store import Store
from medpt import cli
from medpt.files import check_outside


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    return cli.run_command(partial(publish_space, options))


def publish_space(options: argparse.Namespace) -> None:
    """Publish the finished units of a space, and print what was published and under which terms."""
    if not (is_url(options.to) or is_url(options.out)):
        check_outside("--to", Path(options.to), [Path(options.out)])
    plan, store = read_plan(options.space, options.out), Store(options.out)
    found = publish(plan, store, Registry(options.to), options.publisher, with_weights=options.weights)
    batch = found.batch
    units = cli.count(len(batch.units), "unit")
    print(f"published {units} of {plan.space}, {found.nbytes / 2**20:,.1f} MiB, to {options.to}")
    if found.pulled:
        print(f"{cli.count(found.pulled, 'unit')} not published, because they were pulled themselves")
    for dataset in sorted(batch.datasets.values(), key=lambda dataset: dataset.name):
        print(f"  {dataset.name}: {dataset.licence}; check that it permits sharing what is computed from it")
    print(f"batch {batch.name}: whoever pulls it can compare this name with you")


def parser() -> argparse.ArgumentParser:
    result = command_parser("grid.publish", "Share finished units with other laboratories.")
    add_result_arguments(result)
    result.add_argument(
        "--to",
        required=True,
        metavar="DIR|URL",
        help="a registry: a folder, s3://… or gs://…",
    )
    result.add_argument(
        "--publisher",
        type=publisher,
        default="anonymous",
        metavar="NAME",
        help="who computed them (default: %(default)s)",
    )
    result.add_argument(
        "--weights",
        action="store_true",
        help="publish the weights of pre-trainings too (default: no weights)",
    )
    return result


if __name__ == "__main__":
    sys.exit(main())
