"""`grid.compare` from a folder to the paragraph: ended by its budget first, then run to the end."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from user_data import class_folders


def compare(home: Path, working: Path, budget: str) -> str:
    command = [sys.executable, "-m", "grid.compare", str(home), "--yes", "--budget", budget]
    done = subprocess.run(command, cwd=working, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_budget_ends_a_comparison_and_the_same_command_brings_the_answer(tmp_path: Path) -> None:
    home, working = class_folders(tmp_path / "skin", 20), tmp_path / "work"
    working.mkdir()
    printed = compare(home, working, "1s")
    assert "the budget is over: " in printed
    space = working / "compare.yaml"
    text = space.read_text().replace("max_steps: 60", "max_steps: 4").replace("min_steps: 60", "min_steps: 4")
    space.write_text(text.replace("resnet18", "shufflenet_v2"))
    printed = compare(home, working, "15m")
    assert "it is run as it is" in printed
    (answer,) = json.loads((working / "runs" / "reports" / "compare" / "answer.json").read_text())
    assert answer["text"] in printed
    assert (answer["finished"], answer["planned"], answer["repeats"]) == (6, 6, "split")
    assert "Frozen encoders, each with a linear model" in printed
    assert answer["images"] == 8
    assert not (home / "dataset.yaml").exists()
