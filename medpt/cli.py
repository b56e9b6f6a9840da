"""Where commands print: as wide as the terminal, or wide enough for tables where there is none."""

import sys

from rich.console import Console

WIDE = 200  # characters


def console() -> Console:
    return Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else WIDE)
