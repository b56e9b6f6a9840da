"""What all commands share: where they print, and the exit codes of errors."""

import errno
import io
import os
import signal
import sys
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from medpt.errors import InputError, printable
from medpt.files import free_space

WIDTH = 200  # characters of a line where the output is not a terminal: wide enough for tables
LOOPBACK = ("127.0.0.1", "localhost", "::1")
DISK_FULL = {errno.ENOSPC, errno.EDQUOT}
UNUSABLE_PATH = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.EEXIST,  # a file where a folder is to be made
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.ELOOP,
    errno.ENOENT,  # a file that another process removed, or a folder that takes no files
}
INTERRUPTED = "Interrupted before the work was done. The same command starts it again."
REMEDY = "name a path that this user can read and write"
REMEDIES = {
    errno.EEXIST: "a folder belongs there; move the file away",
    errno.EISDIR: "a file belongs there; move the folder away",
    errno.ELOOP: "a link there leads to itself; remove it",
}


def count(number: int, noun: str) -> str:
    """Return a number with its noun: `1 trial`, `0 trials`, `1,200 trials`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def duration(seconds: float) -> str:
    """Return a time as `3:07` or `2 h 05 min`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes}:{rest:02d}"


def spreadsheet_cell(value: Any) -> Any:
    """Return a cell of a CSV file. Text that a spreadsheet would run as a formula gets an apostrophe."""
    if not isinstance(value, str) or not value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


class TextConsole(Console):
    """A console to which every string is text: neither markup nor a command to the terminal."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text), **options | {"markup": False})

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console() -> Console:
    """Return a console as wide as the terminal, or WIDTH characters wide."""
    width = None if sys.stdout.isatty() else WIDTH
    return TextConsole(highlight=False, soft_wrap=True, width=width)


def open_streams() -> None:
    """Let what the terminal cannot show be replaced, and what is printed to a closed stream be dropped."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - until the process ends
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def bypass_proxy_for_loopback(environment: MutableMapping[str, str] = os.environ) -> None:
    """Have no library ask a proxy for an address of this machine."""
    given = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    if given != "*":
        hosts = [host.strip() for host in given.split(",") if host.strip()]
        value = ",".join(dict.fromkeys([*hosts, *LOOPBACK]))
        environment.update({"no_proxy": value, "NO_PROXY": value})


def _system_failure(error: OSError, folder: Path | None) -> tuple[int, str]:
    """Return exit code and message of an error that the user can mend. Raises the others again."""
    if error.errno in DISK_FULL:
        space = f"{free_space(folder)}; " if folder else ""
        return 1, f"{error}; {space}free some disk space and run the same command to resume"
    if error.errno in UNUSABLE_PATH and error.filename is not None:
        path = printable(os.fsdecode(error.filename))
        return 2, f"{path}: {error.strerror}; {REMEDIES.get(error.errno, REMEDY)}"
    raise error


def run_command(command: Callable[[], int | None], folder: Path | None = None) -> int:
    """Run a command and return its exit code, which is 0 where it returns none.

    Errors that the user can mend are printed on standard error: bad input and a path that cannot be used with
    code 2, a line per problem; a full disk with code 1 and the space that is left in `folder`, into which the
    command writes. Ctrl-C ends the command with code 130, a closed pipe (`| head`) with 141 and without a
    message. Other errors are raised.
    """
    open_streams()
    bypass_proxy_for_loopback()
    try:
        code = command() or 0
        sys.stdout.flush()
        return code
    except InputError as error:
        code, message = 2, str(error)
    except KeyboardInterrupt:
        code, message = 128 + signal.SIGINT, INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is flushed at the exit
        return 128 + signal.SIGPIPE
    except OSError as error:
        code, message = _system_failure(error, folder)
    sys.stdout.flush()
    print(message, file=sys.stderr)
    return code
