"""SIGINT and SIGTERM: say how to go on and leave at once; what is on disk is whole at any moment."""

import os
import signal
from collections.abc import Callable
from types import FrameType


def leave_on_signals(say: Callable[[], object]) -> None:
    """Exits with 130 or 143 after `say`. Ray installs handlers of its own, so call this after it started."""

    def leave(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)
        say()
        from grid.cluster import sweep_own

        sweep_own()
        os._exit(128 + number)

    signal.signal(signal.SIGINT, leave)
    signal.signal(signal.SIGTERM, leave)
