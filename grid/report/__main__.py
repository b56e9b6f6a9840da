"""`python -m grid.report --space NAME`: writes the page and prints its path."""

import argparse
import sys
from pathlib import Path

from grid.report.page import build
from grid.store.backends import place
from grid.tracking.addresses import tracking_uri
from medpt.errors import InputError


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        print(build(options.space, options.out, options.tracking_uri))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="python -m grid.report",
        description="A self-contained page on a space, and its tables as CSV and LaTeX.",
    )
    result.add_argument("--space", required=True, metavar="NAME")
    result.add_argument(
        "--out", type=place, default=Path("runs"), metavar="DIR|URL", help="results; default runs/"
    )
    result.add_argument(
        "--tracking-uri", type=tracking_uri, metavar="URI", help="MLflow; default SQLite below --out"
    )
    return result


if __name__ == "__main__":
    sys.exit(main())
