"""Whole runs that are interrupted or killed: the same command finishes them with the same numbers."""

import os
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
import tiny

from grid.tracking.runs import DIGEST


def test_run_interrupted_and_then_killed_is_resumed_with_the_same_numbers(
    undisturbed: tiny.Run, tmp_path: Path
) -> None:
    """Resumed on one CPU instead of two: bit for bit the same, weights included."""
    space, data, out = undisturbed.space, undisturbed.data, tmp_path / "out"
    assert_ends_at_once(interrupted(space, data, out, signal.SIGINT), 130)
    process = tiny.start(space, data, out)
    wait_for_change(out, process)
    process.kill()
    process.wait()
    tiny.run(space, data, out, "--cpus", "1")
    assert_equal_runs(out, undisturbed.out, kills=2)


@pytest.mark.fault
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_run_exits_130_or_143_and_says_how_to_resume(
    undisturbed: tiny.Run, tmp_path: Path, number: int, code: int
) -> None:
    assert_ends_at_once(interrupted(undisturbed.space, undisturbed.data, tmp_path / "out", number), code)


def interrupted(space: Path, data: Path, out: Path, number: int) -> "subprocess.Popen[str]":
    """Start a run and send it a signal once it has published something."""
    process = tiny.start(space, data, out)
    wait_for_change(out, process)
    process.send_signal(number)
    return process


def assert_ends_at_once(process: "subprocess.Popen[str]", code: int) -> None:
    """Assert that an interrupted run prints how to resume it, and leaves no process."""
    output, _ = process.communicate(timeout=30)
    assert process.returncode == code, output
    assert output.count("run the same command to resume") == 1
    assert "Traceback" not in output
    time.sleep(1)
    assert not sessions(process.pid)


@pytest.mark.fault
@pytest.mark.parametrize("seed", [0, 1])
def test_killed_drivers_lose_and_repeat_nothing(undisturbed: tiny.Run, tmp_path: Path, seed: int) -> None:
    space, data, out = undisturbed.space, undisturbed.data, tmp_path / "out"
    rng, kills = random.Random(seed), 0
    while len(tiny.markers(out) if (out / "done").exists() else {}) < tiny.UNITS and kills < 4:
        process = tiny.start(space, data, out)
        wait_for_change(out, process)
        time.sleep(rng.uniform(0, 3))
        process.kill()
        process.wait()
        kills += 1
    tiny.run(space, data, out)
    assert_equal_runs(out, undisturbed.out, kills)


@pytest.mark.fault
def test_killed_trial_resumes_from_its_checkpoint(undisturbed: tiny.Run, tmp_path: Path) -> None:
    out, kills = tmp_path / "out", 0
    process = tiny.start(undisturbed.space, undisturbed.data, out)
    while process.poll() is None and kills < 3:
        victims = [child for child in children(process) if "ImplicitFunc" in words(child)]
        if victims and list((out / "checkpoints").glob("*/*.safetensors")):
            victims[0].kill()
            kills += 1
            time.sleep(2)
        time.sleep(0.2)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert kills
    assert_equal_runs(out, undisturbed.out, kills)


def wait_for_change(out: Path, process: "subprocess.Popen[str]") -> None:
    """Until the run has published something new, or has ended."""

    def state() -> int:
        return sum(1 for _ in out.rglob("*.safetensors")) + sum(1 for _ in out.rglob("*.json"))

    before = state()
    while process.poll() is None and state() == before:
        time.sleep(0.1)


def assert_equal_runs(out: Path, reference: Path, kills: int) -> None:
    assert tiny.numbers(out) == tiny.numbers(reference)
    assert tiny.weights(out) == tiny.weights(reference)
    extra = {name: count - 1 for name, count in tiny.executions(out).items()}
    assert all(0 <= more <= kills for more in extra.values())
    runs = tiny.mlflow_runs(out)
    assert Counter(run.data.tags[DIGEST] for run in runs) == Counter(list(tiny.markers(out)))
    assert {run.info.status for run in runs} == {"FINISHED"}


def children(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    return [child for child in psutil.Process(process.pid).children(recursive=True) if child.is_running()]


def words(process: psutil.Process) -> str:
    """Its command, or nothing where it has just gone."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def sessions(group: int) -> list[int]:
    """Processes that still belong to the session of a run."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (psutil.Error, ProcessLookupError):
            continue
    return found
