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
    options = parser.parse_args(arguments)
    return cli.run_command(lambda: print(build(options.space, options.out, options.tracking_uri)))


if __name__ == "__main__":
    sys.exit(main())
