"""What killed drivers leave is removed by the next; what lives is let alone."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from grid.cluster import temp_folders

WAITS = "from grid.cluster import temp_folders; print(temp_folders.start(), flush=True); input()"


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
    started = [Path(driver.stdout.readline().strip()) for driver in drivers if driver.stdout]
    waiting = [sys.executable, "-c", "import time; time.sleep(60)"]
    named = subprocess.Popen([*waiting, str(started[0])])
    with (started[0] / "agent.out").open("w") as output:
        renamed = subprocess.Popen(waiting, stdout=output)  # known by its log alone
    drivers[0].kill()
    drivers[0].wait()
    temp_folders.clean_up_abandoned()
    assert not started[0].exists()
    assert started[1].is_dir()
    assert drivers[1].poll() is None
    assert [orphan.wait(60) for orphan in (named, renamed)] == [-signal.SIGKILL] * 2
    drivers[1].kill()
    drivers[1].wait()


def test_a_folder_that_is_no_session_yet_is_let_alone(tmp_path: Path) -> None:
    (tmp_path / f"{temp_folders.SESSION}being-made").mkdir()
    temp_folders.clean_up_abandoned()
    assert (tmp_path / f"{temp_folders.SESSION}being-made").is_dir()


def test_what_a_dying_process_wrote_after_the_lock_was_gone_goes_too(tmp_path: Path) -> None:
    left = tmp_path / f"{temp_folders.SESSION}left"
    (left / "session_1" / "logs").mkdir(parents=True)
    (left / "session_1" / "logs" / "agent.log").write_text("the last words")
    (left / "session_latest").symlink_to("session_1")
    temp_folders.clean_up_abandoned()
    assert left.is_dir()  # somebody may be making it
    old = time.time() - temp_folders.UNLOCKED - 1
    os.utime(left, (old, old))
    temp_folders.clean_up_abandoned()
    assert not left.exists()


WRITES = """
import os, pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
for number in range(400):
    folder.mkdir(exist_ok=True)
    (folder / f"port-{number}").write_text("1")
    time.sleep(0.005)
"""


def test_who_cannot_be_known_and_writes_on_is_waited_for(tmp_path: Path) -> None:
    """Agents write where they listen, and have by then no file open that tells whose they are."""
    abandoned = tmp_path / f"{temp_folders.SESSION}dead"
    (abandoned / "session_1").mkdir(parents=True)
    (abandoned / temp_folders.LOCK).touch()
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITES.replace("sys.argv[1]", "os.environ['PLACE']")],
        env=os.environ | {"PLACE": str(abandoned / "session_1")},
    )
    try:
        while not list((abandoned / "session_1").iterdir()):
            time.sleep(0.01)
        temp_folders.clean_up_abandoned()
    finally:
        writer.kill()
        writer.wait()
    temp_folders.clean_up_abandoned()
    assert not abandoned.exists()


LATE = "import os, sys, time; time.sleep(0.2); os.makedirs(sys.argv[1]); time.sleep(60)"


def test_what_is_started_by_who_is_just_killed_is_ended_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A raylet that its driver's death caught at its start: its agents make the folder anew."""
    abandoned = tmp_path / f"{temp_folders.SESSION}dead"
    abandoned.mkdir()
    (abandoned / temp_folders.LOCK).touch()
    late = [sys.executable, "-c", LATE, str(abandoned / "session_1")]
    processes = [subprocess.Popen([*late[:2], "import time; time.sleep(60)", str(abandoned)])]
    kill = temp_folders._kill

    def starts_another_and_dies(pid: int) -> None:
        if len(processes) == 1:
            processes.append(subprocess.Popen(late))
        kill(pid)

    monkeypatch.setattr(temp_folders, "_kill", starts_another_and_dies)
    temp_folders.clean_up_abandoned()
    assert [process.wait(10) for process in processes] == [-signal.SIGKILL] * 2
    assert not abandoned.exists()


def test_whoever_dies_while_he_sweeps_leaves_the_lock_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    abandoned = tmp_path / f"{temp_folders.SESSION}dead"
    for number in range(30):
        (abandoned / f"part-{number}").mkdir(parents=True)
    (abandoned / temp_folders.LOCK).touch()
    remove, removed = os.rmdir, list[str]()

    def dies_at_the_last(name: str, *, dir_fd: int | None = None) -> None:
        removed.append(name)
        if len(removed) == 30:
            raise KeyboardInterrupt
        remove(name, dir_fd=dir_fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rmdir", dies_at_the_last)
        with pytest.raises(KeyboardInterrupt):
            temp_folders.clean_up_abandoned()
    assert (abandoned / temp_folders.LOCK).exists()
    temp_folders.clean_up_abandoned()
    assert not abandoned.exists()


def test_another_driver_that_looks_at_the_same_time_is_let_alone(tmp_path: Path) -> None:
    abandoned = tmp_path / f"{temp_folders.SESSION}dead"
    abandoned.mkdir()
    with (abandoned / temp_folders.LOCK).open("w") as lock:
        waiting = [sys.executable, "-c", "input()"]
        looking = subprocess.Popen(waiting, stdin=subprocess.PIPE, stdout=lock)  # has the lock open
    temp_folders.clean_up_abandoned()
    assert not abandoned.exists()
    assert looking.poll() is None
    looking.communicate(b"\n")
    assert looking.returncode == 0
