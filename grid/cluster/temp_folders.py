"""Ray's temporary folders, one a driver: whose driver is gone, its processes and its folder go too."""

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
UNLOCKED = 60.0  # seconds after which a folder without a lock is nobody's: who makes one locks it at once
SWEEPING = 5.0  # seconds: what was killed may write for a moment, and what it had started is killed in turn

_sessions: dict[Path, TextIO] = {}  # of this process, with their locks


def start() -> Path:
    """A folder of this process; its lock is free once the process is gone, however it went."""
    session = Path(tempfile.mkdtemp(prefix=SESSION))
    lock = (session / "new").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.rename(lock.name, session / LOCK)  # nobody ever sees it free
    _sessions[session] = lock
    return session


def end(session: Path) -> None:
    clean_up(session)
    _sessions.pop(session).close()


def clean_up_own() -> None:
    """Ends all that this process started through Ray, at once."""
    for session in _sessions:
        clean_up(session)


def scratch() -> Path | None:
    """A folder that vanishes with this process's session, however that ends; None without Ray."""
    return next(iter(_sessions), None)


def clean_up_abandoned() -> None:
    """Ends and removes what drivers left that were killed: their sessions' locks are free, or gone."""
    for session in Path(tempfile.gettempdir()).glob(f"{SESSION}*"):
        with suppress(OSError):
            facts = session.stat()
            if facts.st_uid != os.getuid():
                continue
            if (session / LOCK).exists():
                _sweep_if_free(session)
            elif time.time() - facts.st_mtime > UNLOCKED:
                clean_up(session)


def _sweep_if_free(session: Path) -> None:
    with (session / LOCK).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        clean_up(session)


def clean_up(session: Path) -> None:
    """Ends what Ray left running for a session folder, and removes the folder, its lock last: whoever is
    killed here leaves it to the next start.

    It is done when nobody is there any more and nothing came back: what a process of Ray starts at the
    moment in which it is killed makes the folder anew.
    """
    until = time.monotonic() + SWEEPING
    while (_end_all(session) or session.exists()) and time.monotonic() < until:
        _remove(session)
        time.sleep(0.02)


def _end_all(session: Path) -> bool:
    """Whether there was a process to end."""
    found = [int(process.name) for process in Path("/proc").glob("[0-9]*") if _belongs(process, str(session))]
    others = [pid for pid in found if pid != os.getpid()]
    for pid in others:
        _kill(pid)
    return bool(others)


def _remove(session: Path) -> None:
    """The folder, unless something was written into it meanwhile."""
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


def _belongs(process: Path, session: str) -> bool:
    """By its command or its open files: Ray's agents change their titles, and outlive a killed raylet.

    Who has the lock open and nothing else is another driver that looks whether it is free.
    """
    try:
        named = session.encode() in (process / "cmdline").read_bytes()
        below = [link for link in _open_files(process) if link.startswith(f"{session}/")]
        return named or any(not link.startswith(f"{session}/{LOCK}") for link in below)
    except OSError:  # gone, or another user's
        return False


def _open_files(process: Path) -> Iterator[str]:
    for file in (process / "fd").iterdir():
        with suppress(FileNotFoundError):  # closed since; the others tell all the same
            yield os.readlink(file)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        return
