"""AGENTS.md: each of its commands runs, and each file that it names exists."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import cv2
import laboratories
import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "AGENTS.md").read_text()
LINES = PAGE.partition("```console\n")[2].partition("\n```")[0].splitlines()
COMMANDS = [line.partition("#")[0].strip() for line in LINES]
MODULES: Mapping[str, str] = {"medpt-grid": "grid", "medpt-data": "medpt.data"}
EXPECTED = {  # something of what each command prints
    "medpt-grid --help": "commands:",
    "medpt-data list": "DRIVE",
    "medpt-data phantom data --only DRIVE": "DRIVE",
    "medpt-data check DRIVE data/DRIVE": "images",
    "medpt-data init clinic": "dataset.yaml",
    "medpt-data schema": '"properties"',
    "medpt-grid space": '"properties"',
    "medpt-grid run --space demo --dry-run": "time on",
    "medpt-grid run --space paper --dry-run --gpus 8 --price 2.50/gpu-hour": "price:",
    "medpt-grid doctor --help": "usage:",
    "medpt-grid query --space demo --format json": '"mean"',
    "medpt-grid query --space demo --ask compare --format json": '"verdict"',
    "medpt-grid query --space demo --where seed=0 --by initialization --format csv": "initialization,",
    "medpt-grid report --space demo": "index.html",
    'medpt-grid publish --space demo --to registry --publisher "Lab A"': "published 7 units",
    "medpt-grid pull --help": "--verify",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with a finished space `demo` in runs/, a user's images and synthetic ones."""
    folder = tmp_path_factory.mktemp("agents")
    lab = laboratories.laboratory(folder / "lab", name="demo")
    laboratories.compute(lab)
    shutil.move(folder / "lab" / "out", folder / "runs")
    generator = np.random.default_rng(0)
    for number in range(24):
        path = folder / "clinic" / ("ill" if number % 2 else "well") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), generator.integers(0, 255, (40, 40, 3), np.uint8))
    assert run("medpt-data phantom data --only DRIVE", folder).returncode == 0
    return folder


def run(command: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    program, *arguments = shlex.split(command)
    words = [sys.executable, "-m", MODULES[program], *arguments]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=300, check=False)


def test_commands_of_the_page_are_those_that_are_run() -> None:
    assert list(EXPECTED) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_command_of_the_page_runs(command: str, folder: Path, tmp_path: Path) -> None:
    done = run(command, tmp_path if "phantom" in command else folder)  # which writes only to new folders
    assert done.returncode == 0, done.stderr
    assert EXPECTED[command] in done.stdout


def test_files_of_the_page_exist() -> None:
    links = re.findall(r"\]\((\S+?)\)", PAGE)
    assert [link for link in links if not (ROOT / link).exists()] == []
