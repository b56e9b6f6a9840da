"""Who works on a unit: of all processes on all machines one, and a late one's result does not count.

    leases/<digest>/<attempt>.json    who executes the unit for the attempt-th time, and its heart beats

The highest attempt holds the unit. Its number is the fencing token: only its result may be published. It is
taken over by the next number, created by whoever creates it first, once the holder released it, is known to
be dead (a process of this machine, or an earlier trial of the same run), or did not beat for the time of a
lease by the clock of who waits: nobody compares clocks.
"""

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from grid.store.backends import Backend

log = logging.getLogger(__name__)

SECONDS = 180.0  # without a beat after which a holder counts as lost
BEATS = 12  # in that time


@dataclass(frozen=True)
class Lease:
    digest: str
    attempt: int

    @property
    def name(self) -> str:
        return f"leases/{self.digest}/{self.attempt}.json"


@dataclass(frozen=True)
class Holder:
    host: str
    machine: str  # a boot of a kernel and its space of process numbers
    pid: int
    born: str
    run: str  # of the driver that wants the unit
    started: float
    beats: int = 0
    released: bool = False

    def content(self) -> bytes:
        return json.dumps(asdict(self)).encode()


class Leases:
    def __init__(self, documents: Backend, run: str = "", seconds: float = SECONDS) -> None:
        self.documents, self.run, self.seconds = documents, run, seconds
        self.seen: dict[str, tuple[bytes, float]] = {}  # what a lease last said, and since when

    def claim(self, digest: str) -> Lease | None:
        """The next attempt at a unit, for this process; None while another one holds it."""
        newest = self.newest(digest)
        if newest and self._is_held(Lease(digest, newest)):
            return None
        lease, holder = Lease(digest, newest + 1), _self(self.run)
        with self.documents.alone(digest):
            return lease if self.documents.create(lease.name, holder.content()) else None

    def newest(self, digest: str) -> int:
        """The number of the last attempt, 0 before the first."""
        names = self.documents.names(f"leases/{digest}")
        return max((int(Path(name).stem) for name in names), default=0)

    def withdraw(self, lease: Lease) -> None:
        """As if it had never been claimed."""
        self.documents.remove(lease.name)

    @contextmanager
    def beating(self, lease: Lease) -> Iterator[None]:
        """Tells others that the holder lives; at the end the unit is free."""
        ended = threading.Event()
        thread = threading.Thread(target=self._beat, args=(lease, ended), name="lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _beat(self, lease: Lease, ended: threading.Event) -> None:
        holder = _self(self.run)
        beats, over = 0, False
        while not over:
            over = ended.wait(self.seconds / BEATS)
            beats += 1
            try:
                said = Holder(**asdict(holder) | {"beats": beats, "released": over})
                self.documents.write(lease.name, said.content())
            except OSError as error:  # others may take over; the fence keeps results apart
                log.warning("%s: %s", lease.name, error)

    def _is_held(self, lease: Lease) -> bool:
        content = self.documents.read(lease.name)
        holder = _read(content)
        if content is None or holder is None or holder.released or self._is_dead(holder):
            return False
        said, since = self.seen.get(lease.name, (b"", 0.0))
        if content != said:
            self.seen[lease.name] = (content, time.monotonic())
            return True
        return time.monotonic() - since < self.seconds

    def _is_dead(self, holder: Holder) -> bool:
        mine = _self(self.run)
        if holder.machine == mine.machine:
            return _born(holder.pid) != holder.born
        return bool(self.run) and holder.run == self.run  # Ray starts a trial again once it lost the first


def _read(content: bytes | None) -> Holder | None:
    try:
        return Holder(**json.loads(content or b""))
    except (ValueError, TypeError):  # a damaged lease is nobody's
        return None


def _self(run: str) -> Holder:
    return Holder(socket.gethostname(), _machine(), os.getpid(), _born(os.getpid()), run, time.time())


@cache
def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def _born(pid: int) -> str:
    """When a process of this machine started, in the kernel's count; empty where there is none.

    A zombie is none: it will never do anything again.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
