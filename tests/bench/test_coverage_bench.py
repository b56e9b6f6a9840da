"""The coverage simulation: its truths, and that it runs to a table."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.coverage import SIMULATIONS, TRUTHS, WORLDS, World


@pytest.mark.parametrize("kind", TRUTHS)
def test_truth_is_the_mean_of_what_is_simulated(kind: str) -> None:
    world = World(kind, 400, 4, spread=0.05)
    rng = np.random.default_rng(0)
    values = [float(SIMULATIONS[kind](world, rng)[0].value[0]) for _ in range(200)]
    error = np.std(values) / np.sqrt(len(values))
    assert TRUTHS[kind](world) == pytest.approx(np.mean(values), abs=3.5 * error)


def test_worlds_are_at_least_twelve_of_both_kinds() -> None:
    kinds = [world.name.split(",")[0] for world in WORLDS]
    assert len(WORLDS) >= 12
    assert set(kinds) == set(SIMULATIONS)


def test_coverage_prints_a_table_row() -> None:
    command = [sys.executable, "-m", "bench.coverage", "--repetitions", "12", "--only", "IoU, 20 images, 3"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    assert done.stdout.splitlines()[-1].startswith("| IoU, 20 images, 3 seeds | ")
    assert done.stdout.count("\n") == 3
