"""Whether Ray is still there: a run that lost it ends with a sentence, and not with a crash of Ray's."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PERIOD = 1.0  # seconds between looks
PATIENCE = 5.0  # seconds without an answer after which Ray counts as lost: its own client gives up after more

LAST_WORDS = "import sys; sys.stdin.read() or sys.stderr.write(sys.argv[1])"

_witnesses: list["subprocess.Popen[str]"] = []  # of this process, for an exit that comes back to no caller


@contextmanager
def message_on_crash(message: str) -> Iterator[None]:
    """A small process says `message` if this one ends without a word, as Ray's client ends it when the node
    that it runs on is lost: from C++, with code 1."""
    command = [sys.executable, "-S", "-c", LAST_WORDS, message]
    _witnesses.append(subprocess.Popen(command, stdin=subprocess.PIPE, text=True, start_new_session=True))
    try:
        yield
    finally:
        dismiss()


def dismiss() -> None:
    """Nothing is left to be said."""
    while _witnesses:
        _witnesses.pop().communicate("all is said")


@contextmanager
def watch_connection(address: str, lost: Callable[[], None]) -> Iterator[None]:
    """Calls `lost` from a thread of its own once nothing has listened at HOST:PORT for PATIENCE seconds."""
    ended = threading.Event()
    thread = threading.Thread(target=_watch, args=(address, lost, ended), name="watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _watch(address: str, lost: Callable[[], None], ended: threading.Event) -> None:
    host, _, port = address.rpartition(":")
    seen = time.monotonic()
    while not ended.wait(PERIOD):
        if _answers(host.strip("[]"), int(port)):
            seen = time.monotonic()
        elif time.monotonic() - seen > PATIENCE:
            lost()
            return


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=PERIOD).close()
    except OSError:
        return False
    return True


def leave_without_ray(message: str) -> None:
    """Exits with 1 and `message`, at once: nothing of Ray answers any more, and all on disk is whole."""
    from grid.cluster.temp_folders import clean_up_own

    dismiss()
    os.write(2, message.encode())
    clean_up_own()
    os._exit(1)
