"""What a newcomer meets first: `make help`, and a Python that is too old."""

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


def make(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run make as from a terminal, also where these tests were started by `make test`."""
    environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True, env=environment)  # noqa: S607


def test_help_lists_every_target() -> None:
    targets = re.search(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert targets
    listed = [line.split()[1] for line in make("help").stdout.splitlines()]
    assert listed == targets[1].split()


def test_old_python_is_refused_by_one_line_with_the_variable(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2 && exit\nexit 1\n')
    old.chmod(0o755)
    done = make("lint", f"PYTHON={old}", f"VENV={tmp_path / 'environment'}")
    ours, of_make = done.stderr.splitlines()
    assert done.returncode == 2
    assert f"{old} reports: Python 3.9.2. Name another: make lint PYTHON=python3.12" in ours
    assert of_make.startswith("make: ***")
    assert not (tmp_path / "environment").exists()
