"""deploy/slurm/ and docs/slurm.md: options of every command, and the array's script under real signals."""

import os
import re
import shlex
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from grid.cluster.process_exit import EXIT_CODES
from grid.options import parse_options

ROOT = Path(__file__).parents[2]
ARRAY, REPORT = (ROOT / "deploy" / "slurm" / name for name in ("array.sbatch", "report.sbatch"))
PAGE = (ROOT / "docs" / "slurm.md").read_text()
COMMANDS = PAGE.split("```")[1].strip().splitlines()

# Stands for the driver: says that it is up, then ends as grid.run does when a signal comes
DRIVER = """#!/usr/bin/env bash
trap 'exit 75' USR1
trap 'exit 143' TERM
echo "$@" > "$FOLDER/arguments"
until [ -f "$FOLDER/end" ]; do sleep 0.05; done
exit "$(cat "$FOLDER/end")"
"""
SCONTROL = """#!/usr/bin/env bash
echo "$@" > "$FOLDER/requeued"
"""


def executable(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def task(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A task of the array whose driver is up."""
    executable(tmp_path / "scontrol", SCONTROL)
    driver = executable(tmp_path / "driver", DRIVER)
    more = {"FOLDER": str(tmp_path), "PYTHON": str(driver), "SLURM_JOB_ID": "17", "TMPDIR": str(tmp_path)}
    environment = os.environ | more | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    words = ["bash", str(ARRAY), "--space", "a space", "--out", "runs"]
    process = subprocess.Popen(words, env=environment, start_new_session=True)
    wait_for(tmp_path / "arguments")
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_for(path: Path) -> None:
    until = time.monotonic() + 60
    while not path.exists() or not path.read_text():
        assert time.monotonic() < until, f"{path} did not appear"
        time.sleep(0.02)


def test_task_passes_options_on_with_a_record_of_its_own(
    task: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    arguments = (tmp_path / "arguments").read_text()
    assert arguments.startswith("-m grid.run --space a space --out runs --tracking-uri sqlite:////")


@pytest.mark.parametrize("code", [0, 1, 2])
def test_task_ends_with_the_code_of_its_driver(
    code: int, task: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    (tmp_path / "end").write_text(str(code))
    assert task.wait(60) == code
    assert not (tmp_path / "requeued").exists()


def test_task_whose_time_is_over_is_requeued(task: "subprocess.Popen[bytes]", tmp_path: Path) -> None:
    """Slurm sends USR1 to the script alone (--signal=B:USR1)."""
    task.send_signal(signal.SIGUSR1)
    assert task.wait(60) == EXIT_CODES[signal.SIGUSR1]
    assert (tmp_path / "requeued").read_text() == "requeue 17\n"


@pytest.mark.parametrize("to_all", [True, False])
def test_task_that_gets_term_ends_and_requeues_nothing(
    to_all: bool, task: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    """Slurm itself requeues a preempted task; a cancelled one has to stay cancelled."""
    if to_all:
        os.killpg(task.pid, signal.SIGTERM)
    else:
        task.send_signal(signal.SIGTERM)
    assert task.wait(60) == EXIT_CODES[signal.SIGTERM]
    assert not (tmp_path / "requeued").exists()


def test_task_leaves_no_temporary_record(task: "subprocess.Popen[bytes]", tmp_path: Path) -> None:
    (tmp_path / "end").write_text("0")
    task.wait(60)
    assert list(tmp_path.glob("tmp.*")) == []


@pytest.mark.parametrize("script", [ARRAY, REPORT])
def test_scripts_are_valid_and_warn_before_the_time_is_over(script: Path) -> None:
    subprocess.run(["/usr/bin/env", "bash", "-n", str(script)], check=True)
    options = re.findall(r"^#SBATCH (--\S+)$", script.read_text(), re.MULTILINE)
    assert len(options) == script.read_text().count("#SBATCH")
    assert script == REPORT or {"--signal=B:USR1@120", "--requeue", "--open-mode=append"} <= set(options)


def test_commands_of_the_page_have_options_that_exist() -> None:
    lines = [line for line in COMMANDS if not line.startswith("#")]
    found = []
    for line in lines:
        for marker in ("grid.run ", "grid.doctor ", "array.sbatch ", "report.sbatch "):
            if marker in line:
                found.append(marker)
                parse_options(shlex.split(line.partition(marker)[2].rstrip(")")))
    assert found == ["grid.run ", "grid.doctor ", "array.sbatch ", "report.sbatch "]
    assert all((ROOT / path).is_file() for path in re.findall(r"(?<![\w/])deploy/[\w/-]+\.\w+", PAGE))


def test_apptainer_image_has_what_the_wheel_includes() -> None:
    """Paths that %files copies exist, and the base is that of the Dockerfile."""
    text = (ROOT / "deploy" / "medpt-grid.def").read_text()
    files = text.partition("%files\n")[2].partition("\n\n")[0].split()
    assert all((ROOT / path).exists() for path in files[::2])
    assert files[1::2] == [f"/opt/medpt-grid/{path}" for path in files[::2]]
    base = re.search(r"^FROM (\S+)$", (ROOT / "deploy" / "Dockerfile").read_text(), re.MULTILINE)
    assert base is not None
    assert f"From: {base[1]}\n" in text
