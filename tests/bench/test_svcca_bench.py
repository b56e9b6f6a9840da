import re
import subprocess
import sys
from pathlib import Path

from bench.__main__ import COMMANDS


def test_svcca_runs_to_its_figure_and_is_among_the_benchmarks() -> None:
    command = [sys.executable, "-m", "bench.svcca", "--rows", "500", "--channels", "9", "--repeats", "1"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"svcca, 500 x 9 .* ratio +[\d.]+ +target >= 5 +(ok|short)", done.stdout)
    assert "svcca" in COMMANDS
