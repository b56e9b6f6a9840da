"""`python -m grid.report --space NAME`: writes the page and prints its path."""

import sys

from grid.options import add_result_arguments, command_parser
from grid.report.page import build
from medpt import cli


def main(arguments: list[str] | None = None) -> int:
    parser = command_parser(
        "grid.report", "Write a self-contained page on a space, and its tables as CSV and LaTeX."
    )
    add_result_arguments(parser)
    images = parser.add_mutually_exclusive_group()
    images.add_argument(
        "--images",
        action="store_true",
        default=None,
        help="show pixels and file names of the data (default: where the datasets' licences allow it)",
    )
    images.add_argument("--no-images", dest="images", action="store_false", default=None, help="show none")
    options = parser.parse_args(arguments)
    return cli.run_command(
        lambda: print(build(options.space, options.out, options.tracking_uri, options.images))
    )


if __name__ == "__main__":
    sys.exit(main())
