"""Ray's temporary folders, one per driver, and the clean-up after drivers that were killed.

A folder belongs to this user alone (mode 0700), because Ray opens what lies below it to all users. Its driver
holds a lock in it. Where the lock is free, the driver is gone: the processes of its Ray are ended and the
folder is removed. These processes are known by a token, which they inherit in their environment.
"""

import fcntl
import os
import secrets
import shutil
import signal
import stat
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from medpt.errors import InputError

PREFIX, LOCK, RAY = "medpt-ray-", "lock", "ray"
TOKEN = "MEDPT_RAY_SESSION"  # noqa: S105 - the variable that holds the token
UNLOCKED = 60.0  # seconds after which an empty folder without a lock is removed: its driver locks it at once
CLEAN_UP = 5.0  # seconds: killed processes may write for a moment, and what they started is killed in turn


@dataclass(frozen=True)
class Session:
    """A folder of one driver, held open, so that nothing else can take its name; `lock` is held too."""

    path: Path
    folder: int  # descriptors
    lock: int
    token: str

    @property
    def ray(self) -> Path:
        """Where Ray keeps its files."""
        return self.path / RAY

    def close(self) -> None:
        os.close(self.lock)
        os.close(self.folder)


_sessions: list[Session] = []  # of this process


def start() -> Session:
    """Make a folder for this process, whose lock is freed when the process ends, in whatever way.

    Processes that are started from now on inherit its token.
    """
    path, token = Path(tempfile.mkdtemp(prefix=PREFIX)), secrets.token_hex(16)
    folder = _open_own(path)
    lock = os.open("new", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=folder)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.write(lock, token.encode())
    os.rename("new", LOCK, src_dir_fd=folder, dst_dir_fd=folder)  # so that nobody ever sees the lock free
    os.environ[TOKEN] = token
    session = Session(path, folder, lock, token)
    _sessions.append(session)
    return session


def end(session: Session) -> None:
    """Remove a folder that `start` made, with what still runs in it."""
    _clean_up(session)
    _sessions.remove(session)
    os.environ.pop(TOKEN, None)
    session.close()


def clean_up_own() -> None:
    """End at once all processes that this process started through Ray, and remove its folders."""
    for session in _sessions:
        _clean_up(session)


def end_processes(session: Session) -> None:
    """End the processes of a session and keep its folder; wait at most CLEAN_UP seconds."""
    until = time.monotonic() + CLEAN_UP
    while _end_all(session.token) and time.monotonic() < until:
        time.sleep(0.02)


def scratch() -> Path | None:
    """Return the folder of this process, which goes when the process ends; None where Ray was not started."""
    return _sessions[0].path if _sessions else None


def clean_up_abandoned() -> None:
    """Clean up the folders of this user's drivers that were killed.

    What is not a folder of this user alone is left as it is: a link, or a folder that others may write to.
    """
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError, InputError):
            folder = _open_own(path)
            try:
                _clean_up_abandoned(path, folder)
            finally:
                os.close(folder)


def _clean_up_abandoned(path: Path, folder: int) -> None:
    """Clean up one folder. Raises OSError where its driver lives."""
    try:
        lock = os.open(LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except FileNotFoundError:
        _remove_unlocked(path, folder)
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _clean_up(Session(path, folder, lock, os.read(lock, 64).decode()))
    finally:
        os.close(lock)


def _remove_unlocked(path: Path, folder: int) -> None:
    """Remove a folder whose driver, or whose clean-up, was killed before it had a lock, or after."""
    if time.time() - os.fstat(folder).st_mtime > UNLOCKED:
        with suppress(FileNotFoundError):
            os.unlink("new", dir_fd=folder)
        os.rmdir(path)  # fails where anything is in it


def _open_own(path: Path) -> int:
    """Open a folder without following a link. Raises InputError unless it belongs to this user alone."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    status = os.fstat(folder)
    if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
        os.close(folder)
        raise InputError(
            f"{path} belongs to another user or is open to others; set TMPDIR to your own folder"
        )
    return folder


def _clean_up(session: Session) -> None:
    """End the processes that Ray left running for a folder, then remove the folder.

    The lock is removed last, so that a clean-up that is killed is completed by the next one. The clean-up
    ends when no process is left and the folder is gone, or after CLEAN_UP seconds.
    """
    until = time.monotonic() + CLEAN_UP
    while (_end_all(session.token) or not _remove(session)) and time.monotonic() < until:
        time.sleep(0.02)


def _remove(session: Session) -> bool:
    """Remove the folder, its lock last; return whether it is gone. Links in it are removed, not followed."""
    try:
        for name in os.listdir(session.folder):
            if name != LOCK:
                _remove_entry(name, session.folder)
        os.unlink(LOCK, dir_fd=session.folder)
        os.rmdir(session.path)
    except FileNotFoundError:
        return True
    except OSError:
        return False  # something is written into it meanwhile
    return True


def _remove_entry(name: str, folder: int) -> None:
    if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        shutil.rmtree(name, dir_fd=folder)
    else:
        os.unlink(name, dir_fd=folder)


def _end_all(token: str) -> bool:
    """Kill this user's processes that inherited `token`; return whether there were any."""
    pids = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    killed = [pid for pid in pids if pid != os.getpid() and _kill_if_ours(pid, token)]
    return bool(killed)


def _kill_if_ours(pid: int, token: str) -> bool:
    """Kill a process that this user owns and that inherited `token`; return whether it is one.

    The descriptor stands for the process that was looked at, also where its number is given to another one.
    """
    with suppress(OSError):  # it has ended, or is another user's
        process = os.pidfd_open(pid)
        try:
            if _inherited(Path(f"/proc/{pid}"), token):
                signal.pidfd_send_signal(process, signal.SIGKILL)
                return True
        finally:
            os.close(process)
    return False


def _inherited(process: Path, token: str) -> bool:
    variables = (process / "environ").read_bytes().split(b"\0")
    return bool(token) and process.stat().st_uid == os.geteuid() and f"{TOKEN}={token}".encode() in variables
