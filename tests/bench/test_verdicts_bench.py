"""The simulation of verdicts: its worlds show an error where there is one, and it runs to a table."""

import numpy as np
import pytest

from bench import verdicts
from bench.verdicts import WORLDS, World, any_verdict, equivalent, leaves_out_the_best, main, share
from grid.results.variance import FixedTest


def _wrongly_narrow(world: World, *arguments: object) -> FixedTest:
    """Draw a group whose seeds and images count a ninth of their variance."""
    group = DRAWN(world, *arguments)  # type: ignore[arg-type]
    middle = group.means.mean()
    return type(group)(**vars(group) | {"means": middle + 3 * (group.means - middle)})


DRAWN = World.group


@pytest.mark.parametrize("judge", [any_verdict, leaves_out_the_best])
def test_intervals_that_are_too_narrow_are_found_out(judge: object, monkeypatch: pytest.MonkeyPatch) -> None:
    world = next(world for world in WORLDS if world.judge is judge)
    assert share(world, 60, 0) < 0.15
    monkeypatch.setattr(World, "group", _wrongly_narrow)
    assert share(world, 60, 0) > 0.3


def test_equal_initializations_are_called_equivalent() -> None:
    world = World("none", equivalent, **verdicts.PRECISE)  # type: ignore[arg-type]
    assert np.mean([equivalent(world, np.random.default_rng(seed)) for seed in range(20)]) > 0.5


def test_verdicts_print_a_row(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["verdicts", "--repetitions", "5", "--only", "missed, a cell of"])
    assert main() in (0, 1)
    assert capsys.readouterr().out.splitlines()[-1].startswith("| missed, a cell of 2 pre-trainings | ")
