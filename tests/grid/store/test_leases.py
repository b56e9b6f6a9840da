"""One process at a time, and of a late one nothing counts: processes are really stopped and killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from made_units import marker

from grid.store.backends import FolderBackend
from grid.store.leases import Lease, Leases
from grid.store.store import Store, SupersededError

DIGEST = "a" * 64
SHORT = 1.2  # seconds of a lease

HOLD = """
import sys, time
from grid.store.leases import Leases
from grid.store.backends import FolderBackend
from pathlib import Path
leases = Leases(FolderBackend(Path(sys.argv[1])), run=sys.argv[2], seconds=float(sys.argv[3]))
lease = leases.claim(sys.argv[4])
with leases.held(lease):
    print(lease.attempt, flush=True)
    sys.stdin.readline()
"""


@contextmanager
def holder(root: Path, run: str = "other") -> Iterator["subprocess.Popen[str]"]:
    """Another process that holds the unit and beats."""
    command = [sys.executable, "-c", HOLD, str(root), run, str(SHORT), DIGEST]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        assert process.stdout.readline() == "1\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def leases(root: Path, run: str = "mine") -> Leases:
    return Leases(FolderBackend(root), run, SHORT)


def claimed_within(waiting: Leases, seconds: float) -> Lease | None:
    until = time.monotonic() + seconds
    while (lease := waiting.claim(DIGEST)) is None and time.monotonic() < until:
        time.sleep(0.05)
    return lease


def test_who_beats_is_left_alone(tmp_path: Path) -> None:
    with holder(tmp_path):
        assert claimed_within(leases(tmp_path), 3 * SHORT) is None


def test_who_ends_is_followed_at_once(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        process.communicate("over\n")
        assert leases(tmp_path).claim(DIGEST) == Lease(DIGEST, 2)


def test_who_was_killed_is_followed_at_once(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        process.kill()
        process.wait()
        assert leases(tmp_path).claim(DIGEST) == Lease(DIGEST, 2)


def test_who_stalls_is_followed_after_the_time_of_a_lease(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        os.kill(process.pid, signal.SIGSTOP)
        waiting, begun = leases(tmp_path), time.monotonic()
        assert claimed_within(waiting, 5 * SHORT) == Lease(DIGEST, 2)
        assert time.monotonic() - begun >= SHORT
        os.kill(process.pid, signal.SIGCONT)
        time.sleep(SHORT / 2)  # it beats again, and holds nothing
        assert waiting.newest(DIGEST) == 2


def written(root: Path, **changes: object) -> None:
    """A lease of a process on another machine."""
    mine = {"host": "far", "machine": "far", "pid": 1, "born": "1", "run": "theirs", "started": 0.0}
    FolderBackend(root).write(f"leases/{DIGEST}/1.json", json.dumps(mine | changes).encode())


@pytest.mark.parametrize("started", [0.0, 4e9], ids=["an hour behind", "ahead"])
def test_no_clock_is_compared(tmp_path: Path, started: float) -> None:
    written(tmp_path, started=started)
    waiting = leases(tmp_path)
    assert waiting.claim(DIGEST) is None
    assert claimed_within(waiting, 3 * SHORT) == Lease(DIGEST, 2)


def test_beat_from_afar_is_life(tmp_path: Path) -> None:
    waiting = leases(tmp_path)
    until, beats = time.monotonic() + 2 * SHORT, 0
    while time.monotonic() < until:
        written(tmp_path, beats=(beats := beats + 1))
        assert waiting.claim(DIGEST) is None
        time.sleep(SHORT / 12)


def test_run_resumes_where_a_node_of_it_was_lost(tmp_path: Path) -> None:
    written(tmp_path, run="mine")
    assert leases(tmp_path).claim(DIGEST) == Lease(DIGEST, 2)


def test_damaged_lease_is_nobody_s(tmp_path: Path) -> None:
    FolderBackend(tmp_path).write(f"leases/{DIGEST}/1.json", b"{")
    assert leases(tmp_path).claim(DIGEST) == Lease(DIGEST, 2)


def built(store: Store, content: bytes) -> Path:
    folder = store.root / "units" / f"built-{content.decode()}"
    folder.mkdir(parents=True)
    (folder / "best.safetensors").write_bytes(content)
    return folder


def test_late_result_is_discarded(tmp_path: Path) -> None:
    """Stopped for longer than a lease, then woken: what it publishes does not count."""
    written(tmp_path / "out", run="mine")
    late, store = Lease(DIGEST, 1), Store(tmp_path / "out", "mine")
    second = store.claim(DIGEST)
    assert second == Lease(DIGEST, 2)
    with pytest.raises(SupersededError):
        store.publish(DIGEST, built(store, b"late"), marker(DIGEST, attempt=late.attempt))
    store.publish(DIGEST, built(store, b"good"), marker(DIGEST, attempt=second.attempt))
    with pytest.raises(SupersededError):
        store.publish(DIGEST, store.root / "units" / "built-late", marker(DIGEST, attempt=late.attempt))
    assert store.artifact(DIGEST, "best.safetensors").read_bytes() == b"good"
    assert store.marker(DIGEST).attempt == 2


def test_what_is_finished_is_not_claimed(tmp_path: Path) -> None:
    store = Store(tmp_path / "out")
    lease = store.claim(DIGEST)
    assert lease
    store.publish(DIGEST, built(store, b"good"), marker(DIGEST, attempt=lease.attempt))
    assert Store(tmp_path / "out").claim(DIGEST) is None
    assert store.leases.newest(DIGEST) == 1
