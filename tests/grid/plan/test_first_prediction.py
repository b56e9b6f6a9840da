"""How far the prediction of a synthetic space of which nothing has run lies from what the space took."""

from pathlib import Path

import pytest

from grid.plan import datasets
from grid.plan.cost import data_sizes
from grid.plan.estimate import estimate
from grid.plan.planner import build_plan
from grid.space import reader
from grid.store.store import Store

CPUS = 2
MEASURED = {"demo": 117.0, "paper-mini": 3_220.0}  # seconds on two cores


@pytest.mark.parametrize(("name", "seconds"), MEASURED.items())
def test_first_prediction_is_within_a_factor_of_two(name: str, seconds: float, tmp_path: Path) -> None:
    space = reader.load(name)
    found = datasets.find(space, None, tmp_path, write=False)
    plan = build_plan(space, found.fingerprints, datasets.published(space, None))
    predicted = estimate(plan.units.values(), data_sizes(plan, found), Store(tmp_path))
    assert 0.5 < predicted.wall_seconds(CPUS, 0) / seconds < 2


def test_drawn_images_are_those_that_the_space_asks_for() -> None:
    """The entry of a dataset goes before the space, the layout's own numbers come last."""
    assert datasets.drawn_images(reader.load("demo")) == {
        "MURA": 242,
        "ISIC2019": 164,
        "ChestXRay2017": 304,
        "DRIVE": 40,
    }
    assert datasets.drawn_images(reader.load("paper-mini"))["TCGA-LGG"] == 42
