"""Leases: at most one process works on a unit, and the result of a process that lost its lease is discarded.

    leases/<digest>/<attempt>.json    who executes the unit for the attempt-th time, and its heartbeats

The highest attempt holds the unit. Its number is a fencing token: only its result may be published. Another
process may take the unit over, by creating the next number, once the holder released it, has ended (a process
of this machine, or an earlier trial of the same run), or sent no heartbeat for the time of a lease. That time
is measured by the clock of the process that waits; clocks of machines are never compared.
"""

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

from grid.store.backends import Backend
from medpt.files import parse_json

log = logging.getLogger(__name__)

SECONDS = 180.0  # without a heartbeat, after which a holder counts as lost
HEARTBEATS = 12  # in that time


@dataclass(frozen=True)
class Lease:
    """The right to execute a unit for the attempt-th time."""

    digest: str
    attempt: int

    @property
    def name(self) -> str:
        return f"leases/{self.digest}/{self.attempt}.json"


@dataclass(frozen=True)
class Holder:
    """The process that has a lease."""

    host: str
    machine: str  # identifies one boot of a kernel and its namespace of process ids
    pid: int
    born: str  # the start of the process, as the kernel counts it
    run: str  # of the driver that wants the unit
    started: float
    beats: int = 0
    released: bool = False

    def content(self) -> bytes:
        return json.dumps(asdict(self)).encode()


class Leases:
    """The leases of a store, as one process sees them."""

    def __init__(self, documents: Backend, run: str = "", seconds: float = SECONDS) -> None:
        self.documents, self.run, self.seconds = documents, run, seconds
        self.seen: dict[str, tuple[bytes, float]] = {}  # last content of a lease, and since when

    def claim(self, digest: str) -> Lease | None:
        """Take the next attempt at a unit for this process; return None while another one holds it."""
        newest = self.newest(digest)
        if newest and self._is_held(Lease(digest, newest)):
            return None
        lease, holder = Lease(digest, newest + 1), _this_process(self.run)
        with self.documents.exclusive(digest):
            return lease if self.documents.create(lease.name, holder.content()) else None

    def newest(self, digest: str) -> int:
        """Return the number of the last attempt, 0 before the first."""
        names = self.documents.names(f"leases/{digest}")
        return max((int(Path(name).stem) for name in names), default=0)

    def is_held(self, digest: str) -> bool:
        """Return whether a process may be running a unit.

        One of another machine counts as gone after `seconds` of silence between two calls.
        """
        newest = self.newest(digest)
        return bool(newest) and self._is_held(Lease(digest, newest))

    def withdraw(self, lease: Lease) -> None:
        """Remove a lease, as if it had never been claimed."""
        self.documents.remove(lease.name)

    @contextmanager
    def held(self, lease: Lease) -> Iterator[None]:
        """Send heartbeats for a lease, and release it at the end."""
        ended = threading.Event()
        thread = threading.Thread(
            target=self._send_heartbeats, args=(lease, ended), name="lease", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _send_heartbeats(self, lease: Lease, ended: threading.Event) -> None:
        holder = _this_process(self.run)
        while not holder.released:
            is_last = ended.wait(self.seconds / HEARTBEATS)
            holder = replace(holder, beats=holder.beats + 1, released=is_last)
            try:
                self.documents.write(lease.name, holder.content())
            except OSError as error:  # others may take over; the number of the lease keeps results apart
                log.warning("could not send a heartbeat for %s: %s", lease.name, error)

    def _is_held(self, lease: Lease) -> bool:
        content = self.documents.read(lease.name)
        holder = _read(content)
        if content is None or holder is None or holder.released or self._has_ended(holder):
            return False
        last, since = self.seen.get(lease.name, (b"", 0.0))
        if content != last:
            self.seen[lease.name] = (content, time.monotonic())
            return True
        return time.monotonic() - since < self.seconds

    def _has_ended(self, holder: Holder) -> bool:
        mine = _this_process(self.run)
        if holder.machine == mine.machine:
            return _born(holder.pid) != holder.born
        return bool(self.run) and holder.run == self.run  # Ray repeats a trial only after it lost the first


def _read(content: bytes | None) -> Holder | None:
    try:
        return Holder(**parse_json(content or b""))
    except (ValueError, TypeError):  # nobody holds a damaged lease
        return None


def _this_process(run: str) -> Holder:
    return Holder(socket.gethostname(), _machine(), os.getpid(), _born(os.getpid()), run, time.time())


@cache
def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def _born(pid: int) -> str:
    """Return the start of a process of this machine, as the kernel counts it; "" if there is none.

    A zombie counts as none, as it does nothing any more.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
