"""How a run ends before its work is done: by a signal, a lost connection to Ray, or a crash.

What is on disk is complete at any moment, so the process can exit at once. It prints a final message, which
says how to resume, and ends the processes that it started through Ray.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

from grid.cluster import temp_folders

EXIT_CODES = {
    signal.SIGINT: 130,
    signal.SIGTERM: 143,
    signal.SIGHUP: 129,  # the terminal is closed
    signal.SIGQUIT: 131,  # Ctrl and backslash
    signal.SIGXCPU: 152,  # the time of `ulimit -t` is over
    signal.SIGUSR1: 75,  # Slurm asks before the time is over; the job script requeues
    signal.SIGUSR2: 75,  # the same, of LSF and others
}
PERIOD = 1.0  # seconds between checks of the connection
PATIENCE = 5.0  # seconds without an answer after which Ray counts as lost; its own client waits longer
PRINT_UNLESS_CANCELLED = "import sys; sys.stdin.read() or sys.stderr.write(sys.argv[1])"

_printers: list["subprocess.Popen[str]"] = []  # of message_on_crash, for an exit that skips its `finally`


def exit_on_signals(message: str, last_words: Callable[[], str] = str) -> None:
    """Exit with `message` and the code of EXIT_CODES when a signal asks the process to end.

    What `last_words` returns is printed before it; a second signal does not wait for that. It must take no
    lock that the interrupted code may hold. Call this function again after Ray has started, which installs
    handlers of its own. Under `nohup`, SIGHUP stays ignored.
    """

    def exit_at_once(number: int, frame: FrameType | None) -> None:
        _exit_with(message, EXIT_CODES[signal.Signals(number)], stream=1)

    def exit_now(number: int, frame: FrameType | None) -> None:
        _handle_signals(exit_at_once)
        words = ""
        with suppress(Exception):  # the exit must not depend on them
            words = last_words()
        signal.signal(number, signal.SIG_IGN)
        _exit_with(words + message, EXIT_CODES[signal.Signals(number)], stream=1)

    _handle_signals(exit_now)


def _handle_signals(handler: Callable[[int, FrameType | None], None]) -> None:
    for number in EXIT_CODES:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handler)


def exit_without_ray(message: str) -> NoReturn:
    """Exit with code 1 and `message` on standard error; nothing of Ray answers any more."""
    _exit_with(message, 1, stream=2)


def exit_process(code: int) -> NoReturn:
    """Exit without Python's clean-up, in which PyTorch's compiler reports objects that Ray's threads hold."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _exit_with(message: str, code: int, stream: int) -> NoReturn:
    with suppress(OSError):  # the terminal may be closed
        os.write(stream, message.encode())  # not `print`: a signal may have interrupted one
    cancel_message()
    temp_folders.clean_up_own()
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


@contextmanager
def message_on_crash(message: str) -> Iterator[None]:
    """Have a small process print `message` if this one ends without a message of its own.

    Ray's client ends the process from C++, with code 1, when the node that it runs on is lost.
    """
    command = [sys.executable, "-S", "-c", PRINT_UNLESS_CANCELLED, message]
    _printers.append(subprocess.Popen(command, stdin=subprocess.PIPE, text=True, start_new_session=True))
    try:
        yield
    finally:
        cancel_message()


def cancel_message() -> None:
    """Have the processes of `message_on_crash` end without printing."""
    while _printers:
        _printers.pop().communicate("cancelled")


@contextmanager
def watch_connection(address: str, on_lost: Callable[[], object]) -> Iterator[None]:
    """Call `on_lost`, once and from another thread, after PATIENCE seconds in which HOST:PORT refused."""
    stop = threading.Event()
    thread = threading.Thread(target=_watch, args=(address, on_lost, stop), name="watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _watch(address: str, on_lost: Callable[[], object], stop: threading.Event) -> None:
    host, _, port = address.rpartition(":")
    answered = time.monotonic()
    while not stop.wait(PERIOD):
        if _answers(host.strip("[]"), int(port)):
            answered = time.monotonic()
        elif time.monotonic() - answered > PATIENCE:
            on_lost()
            return


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=PERIOD).close()
    except OSError:
        return False
    return True
