"""Ray's temporary folders, one per driver, and the clean-up after drivers that were killed.

A driver holds a lock in its folder. Where the lock is free, the driver is gone: the processes of its Ray are
ended and the folder is removed.
"""

import fcntl
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TextIO

SESSION, LOCK = "medpt-ray-", "lock"
UNLOCKED = 60.0  # seconds after which a folder without a lock is abandoned: its driver locks it at once
CLEAN_UP = 5.0  # seconds: killed processes may write for a moment, and what they started is killed in turn

_sessions: dict[Path, TextIO] = {}  # of this process, with their locks


def start() -> Path:
    """Make a folder for this process, whose lock is freed when the process ends, in whatever way."""
    session = Path(tempfile.mkdtemp(prefix=SESSION))
    lock = (session / "new").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.rename(lock.name, session / LOCK)  # so that nobody ever sees the lock free
    _sessions[session] = lock
    return session


def end(session: Path) -> None:
    """Remove a folder that `start` made, with what still runs in it."""
    clean_up(session)
    _sessions.pop(session).close()


def clean_up_own() -> None:
    """End at once all processes that this process started through Ray, and remove its folders."""
    for session in _sessions:
        clean_up(session)


def scratch() -> Path | None:
    """Return the folder of this process, which goes when the process ends; None where Ray was not started."""
    return next(iter(_sessions), None)


def clean_up_abandoned() -> None:
    """Clean up the folders of this user's drivers that were killed."""
    for session in Path(tempfile.gettempdir()).glob(f"{SESSION}*"):
        with suppress(OSError):
            status = session.stat()
            if status.st_uid != os.getuid():
                continue
            if (session / LOCK).exists():
                _clean_up_if_free(session)
            elif time.time() - status.st_mtime > UNLOCKED:
                clean_up(session)


def _clean_up_if_free(session: Path) -> None:
    with (session / LOCK).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        clean_up(session)


def clean_up(session: Path) -> None:
    """End the processes that Ray left running for a folder, then remove the folder.

    The lock is removed last, so that a clean-up that is killed is completed by the next one. A process that
    Ray starts at the moment in which it is killed makes the folder anew; the clean-up ends when no process
    is left and the folder has not come back, or after CLEAN_UP seconds.
    """
    until = time.monotonic() + CLEAN_UP
    while (_end_all(session) or session.exists()) and time.monotonic() < until:
        _remove(session)
        time.sleep(0.02)


def _end_all(session: Path) -> bool:
    """Kill the processes of a folder; return whether there were any."""
    processes = [int(path.name) for path in Path("/proc").glob("[0-9]*") if _belongs_to(path, str(session))]
    others = [pid for pid in processes if pid != os.getpid()]
    for pid in others:
        _kill(pid)
    return bool(others)


def _remove(session: Path) -> None:
    """Remove the folder, unless something was written into it meanwhile."""
    with suppress(OSError):
        for path in _without_lock(session):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()
        if not _without_lock(session):
            (session / LOCK).unlink(missing_ok=True)
            session.rmdir()


def _without_lock(session: Path) -> list[Path]:
    return [path for path in session.iterdir() if path.name != LOCK]


def _belongs_to(process: Path, session: str) -> bool:
    """Whether a process of /proc names the folder in its command line, or has a file open in it.

    Ray's agents change their command lines, and outlive a killed raylet. A process that has only the lock
    open is another driver, which is checking whether the lock is free.
    """
    try:
        named = session.encode() in (process / "cmdline").read_bytes()
        below = [path for path in _open_files(process) if path.startswith(f"{session}/")]
        return named or any(not path.startswith(f"{session}/{LOCK}") for path in below)
    except OSError:  # the process has ended, or is another user's
        return False


def _open_files(process: Path) -> Iterator[str]:
    for file in (process / "fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            yield os.readlink(file)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        return
