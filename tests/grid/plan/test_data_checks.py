"""What a run refuses of its data, `--dry-run` and the doctor refuse as well."""

import shutil
from pathlib import Path

import pytest
import tiny

from grid.doctor.__main__ import main as doctor
from grid.run import main
from medpt import phantom

SPACE = """
controls: false
experiments:
  - {initialization: [random], backbone: [resnet18], architecture: [unet], target: [DRIVE], seed: [0]}
"""
REFUSED = "DRIVE: split: official: no record is in the test set; accepted: `split: random`"


def arguments(folder: Path) -> list[str]:
    """Of a run on a complete copy of DRIVE but for the masks of its test set."""
    phantom.write("DRIVE", folder / "data" / "DRIVE", size=32)
    shutil.rmtree(folder / "data" / "DRIVE" / "test" / "1st_manual")
    space = tiny.written(folder, SPACE)
    return ["--space", str(space), "--data", str(folder / "data"), "--out", str(folder / "out")]


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_run_and_dry_run_refuse_the_same(
    more: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments(tmp_path), *more]) == 2
    printed = capsys.readouterr()
    assert REFUSED in printed.err
    assert ("time on" in printed.out) == bool(more)  # the plan is printed before


def test_doctor_refuses_it_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor(arguments(tmp_path)) == 1
    assert REFUSED in capsys.readouterr().out


def test_dry_run_without_data_is_a_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = arguments(tmp_path)
    shutil.rmtree(tmp_path / "data" / "DRIVE")
    assert main([*options, "--dry-run"]) == 0
    assert "not found: DRIVE" in capsys.readouterr().out
