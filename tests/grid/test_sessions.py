"""What killed drivers leave is removed by the next; what lives is let alone."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from grid import cluster

WAITS = "from grid import cluster; print(cluster._new_session(), flush=True); input()"


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_sessions_of_the_dead_go_and_those_of_the_living_stay(tmp_path: Path) -> None:
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    drivers = [
        subprocess.Popen(
            [sys.executable, "-c", WAITS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for _ in range(2)
    ]
    sessions = [Path(driver.stdout.readline().strip()) for driver in drivers if driver.stdout]
    waiting = [sys.executable, "-c", "import time; time.sleep(60)"]
    named = subprocess.Popen([*waiting, str(sessions[0])])
    with (sessions[0] / "agent.out").open("w") as output:
        renamed = subprocess.Popen(waiting, stdout=output)  # known by its log alone
    drivers[0].kill()
    drivers[0].wait()
    cluster.sweep_abandoned()
    assert not sessions[0].exists()
    assert sessions[1].is_dir()
    assert drivers[1].poll() is None
    assert [orphan.wait(60) for orphan in (named, renamed)] == [-signal.SIGKILL] * 2
    drivers[1].kill()
    drivers[1].wait()


def test_a_folder_that_is_no_session_yet_is_let_alone(tmp_path: Path) -> None:
    (tmp_path / f"{cluster.SESSION}being-made").mkdir()
    cluster.sweep_abandoned()
    assert (tmp_path / f"{cluster.SESSION}being-made").is_dir()


def test_another_driver_that_looks_at_the_same_time_is_let_alone(tmp_path: Path) -> None:
    abandoned = tmp_path / f"{cluster.SESSION}dead"
    abandoned.mkdir()
    with (abandoned / cluster.LOCK).open("w") as lock:
        waiting = [sys.executable, "-c", "input()"]
        looking = subprocess.Popen(waiting, stdin=subprocess.PIPE, stdout=lock)  # has the lock open
    cluster.sweep_abandoned()
    assert not abandoned.exists()
    assert looking.poll() is None
    looking.communicate(b"\n")
    assert looking.returncode == 0
