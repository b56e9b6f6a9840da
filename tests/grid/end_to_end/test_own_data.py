"""A dataset of the user's own in a space: planned without torch, run, reported without its files."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import own_data
import pytest
import serial
import tiny

from grid import query, run
from grid.report import __main__ as report

SPACE = """
title: a dataset of one's own
size: 32
pretrain: {min_steps: 0, max_steps: 4, evaluate_every: 2}
finetune: {min_steps: 0, max_steps: 4, evaluate_every: 2}
controls: false
experiments:
  - initialization: [ClinicVessels]
    backbone: [shufflenet_v2]
    target: [Clinic]
    seed: [0]
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    own_data.clinic(tmp_path / "data" / "hospital" / "clinic")
    own_data.vessels(tmp_path / "data" / "vessels")
    return tmp_path / "data"


def test_dry_run_knows_it_and_imports_no_torch(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tiny.written(tmp_path, SPACE)
    code = (
        "import sys; from grid.run import main\n"
        "code = main(sys.argv[1:]); assert not {'torch', 'ray', 'cv2'} & set(sys.modules); sys.exit(code)"
    )
    options = ["--space", str(path), "--data", str(data), "--out", str(tmp_path / "out"), "--dry-run"]
    done = subprocess.run([sys.executable, "-c", code, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "1 trial, " in done.stdout
    assert "not found" not in done.stdout
    shutil.rmtree(data / "vessels")
    assert run.main(options) == 2
    assert "ClinicVessels" in capsys.readouterr().err


def test_whole_run_and_its_report_without_the_data(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    serial.run(tiny.written(tmp_path, SPACE), data, out)
    (trained,) = [marker for marker in tiny.markers(out).values() if marker["kind"] == "finetune"]
    assert trained["spec"]["dataset"] == "Clinic"
    assert trained["spec"]["initialization"] == "ClinicVessels"
    assert 0 <= trained["metrics"]["auc"] <= 1
    prepared = {
        spec["dataset"]: (spec["pipeline"], spec["split"])
        for marker in tiny.markers(out).values()
        if (spec := marker["spec"]) and marker["kind"] == "prepare"
    }
    assert prepared == {
        "Clinic": ("crop_fundus(10)|resize(32)|clahe(2,8)", "official"),
        "ClinicVessels": ("crop_fundus(10)|resize(32)|clahe(2,8)", "all"),
    }
    shutil.rmtree(data)
    for command in (query, report):
        assert command.main(["--space", "tiny", "--out", str(out)]) == 0
    (page,) = out.rglob("*.html")
    assert "ClinicVessels" in page.read_text()
    assert "published images" not in page.read_text()  # the card of Clinic gives no counts
    (plan,) = (json.loads(path.read_text()) for path in (out / "plans").glob("*.json"))
    assert set(plan["cards"]) == {"Clinic", "ClinicVessels"}
