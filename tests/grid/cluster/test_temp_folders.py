"""Temporary folders: what killed drivers left is removed by the next one; everything else is left alone."""

import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from grid.cluster import temp_folders
from grid.cluster.temp_folders import LOCK, PREFIX, TOKEN, UNLOCKED
from medpt.errors import InputError

SLEEPS = [sys.executable, "-c", "import time; time.sleep(600)"]
DRIVER = f"""
import subprocess, sys
from grid.cluster import temp_folders
session = temp_folders.start()
worker = subprocess.Popen({SLEEPS!r})
print(session.path, worker.pid, flush=True)
input()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def started_driver(temporary: Path) -> tuple["subprocess.Popen[str]", Path, int]:
    """Return a driver, its folder, and the process that it started."""
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(temporary)},
    )
    assert driver.stdout
    path, worker = driver.stdout.readline().split()
    return driver, Path(path), int(worker)


def kill(driver: "subprocess.Popen[str]") -> None:
    driver.kill()
    driver.wait()


def abandoned_folder(temporary: Path, token: str = "f" * 32) -> Path:
    """Return a folder as a killed driver leaves it."""
    path = temporary / f"{PREFIX}dead"
    path.mkdir(mode=0o700)
    (path / LOCK).write_text(token)
    return path


def process_with(token: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(SLEEPS, env=os.environ | {TOKEN: token})


def ends(pid: int) -> bool:
    for _ in range(500):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False


def test_clean_up_takes_dead_drivers_and_leaves_living_ones(tmp_path: Path) -> None:
    dead, living = started_driver(tmp_path), started_driver(tmp_path)
    kill(dead[0])
    temp_folders.clean_up_abandoned()
    assert not dead[1].exists()
    assert ends(dead[2])
    assert living[1].is_dir()
    assert living[0].poll() is None
    os.kill(living[2], signal.SIGKILL)
    kill(living[0])


def test_session_is_open_to_its_user_alone_whatever_ray_does_below() -> None:
    session = temp_folders.start()
    try:
        assert stat.S_IMODE(session.path.stat().st_mode) == 0o700
        assert session.ray.parent == session.path
        assert os.environ[TOKEN] == session.token
    finally:
        temp_folders.end(session)
    assert not session.path.exists()
    assert TOKEN not in os.environ


def test_clean_up_leaves_links_and_what_they_point_to(tmp_path: Path) -> None:
    victim = tmp_path / "home"
    (victim / "photos").mkdir(parents=True)
    for name in ("thesis.txt", "photos/one.png", LOCK):
        (victim / name).write_text("mine")
    (tmp_path / f"{PREFIX}link").symlink_to(victim)
    inside = abandoned_folder(tmp_path)
    (inside / "photos").symlink_to(victim / "photos")
    temp_folders.clean_up_abandoned()
    assert not inside.exists()
    assert (tmp_path / f"{PREFIX}link").is_symlink()
    assert sorted(path.name for path in victim.rglob("*")) == [LOCK, "one.png", "photos", "thesis.txt"]


@pytest.mark.parametrize("mode", [0o777, 0o750, 0o701])
def test_clean_up_leaves_folders_that_are_open_to_others(mode: int, tmp_path: Path) -> None:
    """Another user may have removed the lock of a driver that lives, or written its token."""
    process = process_with("a" * 32)
    path = abandoned_folder(tmp_path, "a" * 32)
    path.chmod(mode)
    temp_folders.clean_up_abandoned()
    assert path.is_dir()
    assert process.poll() is None
    process.kill()
    process.wait()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_clean_up_leaves_folders_and_processes_of_other_users(tmp_path: Path) -> None:
    path = abandoned_folder(tmp_path, "b" * 32)
    other = subprocess.Popen(["/bin/sleep", "600"], env={TOKEN: "b" * 32}, cwd="/", user=65534)
    temp_folders.clean_up_abandoned()
    assert not path.exists()
    assert other.poll() is None
    other.kill()
    other.wait()
    foreign = abandoned_folder(tmp_path)
    os.chown(foreign, 65534, 65534)
    temp_folders.clean_up_abandoned()
    assert foreign.is_dir()


def test_clean_up_never_ends_a_process_because_a_lock_is_absent(tmp_path: Path) -> None:
    driver, path, worker = started_driver(tmp_path)
    (path / LOCK).unlink()
    os.utime(path, (time.time() - UNLOCKED - 1,) * 2)
    temp_folders.clean_up_abandoned()
    assert Path(f"/proc/{worker}").exists()
    assert driver.poll() is None
    os.kill(worker, signal.SIGKILL)
    kill(driver)


def test_clean_up_spares_processes_that_only_use_the_folder(tmp_path: Path) -> None:
    """A terminal in which its user reads a log of the folder, or one that names it."""
    path = abandoned_folder(tmp_path)
    with (path / "agent.log").open("w") as log:
        reading = subprocess.Popen([*SLEEPS, str(path)], stdout=log)
    temp_folders.clean_up_abandoned()
    assert not path.exists()
    assert reading.poll() is None
    reading.kill()
    reading.wait()


def test_fifo_instead_of_the_lock_does_not_block(tmp_path: Path) -> None:
    path = abandoned_folder(tmp_path)
    (path / LOCK).unlink()
    os.mkfifo(path / LOCK)
    temp_folders.clean_up_abandoned()


def test_folder_without_lock_is_removed_when_it_is_old_and_empty(tmp_path: Path) -> None:
    path = tmp_path / f"{PREFIX}new"
    path.mkdir(mode=0o700)
    temp_folders.clean_up_abandoned()
    assert path.is_dir()  # its driver may be about to lock it
    (path / "new").touch()
    os.utime(path, (time.time() - UNLOCKED - 1,) * 2)
    temp_folders.clean_up_abandoned()
    assert not path.exists()


def test_process_started_by_one_that_is_just_killed_is_ended_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A raylet that its driver's death caught at its start starts its agents."""
    path = abandoned_folder(tmp_path, "c" * 32)
    processes = [process_with("c" * 32)]
    kill_if_ours = temp_folders._kill_if_ours

    def start_another_first(pid: int, token: str) -> bool:
        if pid == processes[0].pid and len(processes) == 1:
            processes.append(process_with("c" * 32))
        return kill_if_ours(pid, token)

    monkeypatch.setattr(temp_folders, "_kill_if_ours", start_another_first)
    temp_folders.clean_up_abandoned()
    assert [process.wait(10) for process in processes] == [-signal.SIGKILL] * 2
    assert not path.exists()


def test_interrupted_clean_up_leaves_the_lock_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = abandoned_folder(tmp_path)
    for number in range(30):
        (path / f"part-{number}").mkdir()
    remove, removed = os.rmdir, list[str]()

    def interrupted_at_the_last(name: str, *, dir_fd: int | None = None) -> None:
        removed.append(name)
        if len(removed) == 30:
            raise KeyboardInterrupt
        remove(name, dir_fd=dir_fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rmdir", interrupted_at_the_last)
        with pytest.raises(KeyboardInterrupt):
            temp_folders.clean_up_abandoned()
    assert (path / LOCK).exists()
    temp_folders.clean_up_abandoned()
    assert not path.exists()


def test_folder_that_cannot_be_private_is_refused_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made_open(prefix: str) -> str:
        (tmp_path / prefix).mkdir(mode=0o777)
        (tmp_path / prefix).chmod(0o777)  # as file systems without modes show every folder
        return str(tmp_path / prefix)

    monkeypatch.setattr(tempfile, "mkdtemp", made_open)
    with pytest.raises(InputError, match="set TMPDIR to your own folder"):
        temp_folders.start()
