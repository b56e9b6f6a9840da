"""What all commands share: where they print, and the exit codes of errors."""

import errno
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from medpt.errors import InputError
from medpt.files import free_space

WIDTH = 200  # characters of a line where the output is not a terminal: wide enough for tables
DISK_FULL = {errno.ENOSPC, errno.EDQUOT}


def console() -> Console:
    """Return a console as wide as the terminal, or WIDTH characters wide."""
    return Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else WIDTH)


def run_command(command: Callable[[], int | None], folder: Path | None = None) -> int:
    """Run a command and return its exit code, which is 0 where it returns none.

    Errors that the user can mend are printed on standard error: bad input with code 2, a line per problem; a
    full disk with code 1 and the space that is left in `folder`, into which the command writes. Other errors
    are raised.
    """
    try:
        return command() or 0
    except InputError as error:
        code, message = 2, str(error)
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        space = f"{free_space(folder)}; " if folder else ""
        code, message = 1, f"{error}; {space}make room and run the same command to resume"
    sys.stdout.flush()
    print(message, file=sys.stderr)
    return code
