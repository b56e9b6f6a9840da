"""SIGINT and SIGTERM: say how to go on and leave at once; what is on disk is whole at any moment."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn


def exit_on_signals(message: str) -> None:
    """Exits with 130 or 143 and `message`. Ray installs its own: call this again after it started."""

    def leave(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)
        os.write(1, message.encode())  # nothing that the interrupted line may be in the middle of
        from grid.cluster.connection_watch import dismiss
        from grid.cluster.temp_folders import clean_up_own

        dismiss()
        clean_up_own()
        os._exit(128 + number)

    signal.signal(signal.SIGINT, leave)
    signal.signal(signal.SIGTERM, leave)


def exit_process(code: int) -> NoReturn:
    """Ends the process as it is: at an orderly end torch's compiler complains of what Ray's threads hold."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


@contextmanager
def keep_sigterm_handler() -> Iterator[None]:
    """Keep SIGTERM's handler while Ray starts: Ray's own handler exits with 15 and without the message."""
    install = signal.signal

    def keep(number: int, handler: Any) -> Any:
        return signal.getsignal(number) if number == signal.SIGTERM else install(number, handler)

    signal.signal = keep  # type: ignore[assignment]
    try:
        yield
    finally:
        signal.signal = install
