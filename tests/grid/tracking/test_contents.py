"""What a run of MLflow holds: final metrics at a step, pictures of weights."""

from pathlib import Path

import made_space
import numpy as np
import pytest
from pages import digest_of

from grid.plan.plan import Unit
from grid.store.store import Store
from grid.tracking import contents
from medpt.files import write_arrays
from medpt.specs import Filters


@pytest.mark.parametrize(("last", "step"), [(0, 1), (30, 30)])
def test_final_metrics_have_the_last_step_and_never_step_0(tmp_path: Path, last: int, step: int) -> None:
    plan = made_space.plan(tmp_path)
    store = made_space.publish(plan, tmp_path / "out", set(), {})
    digest = digest_of(plan, "ISIC2019 → DRIVE · hynet/resnet18 · 1")
    found = contents.final_metrics(plan.units[digest], store.marker(digest), last)
    assert {metric.step for metric in found} == {step}
    assert {"test_miou", "result.seconds"} <= {metric.key for metric in found}


def test_pictures_of_weights_are_those_that_the_unit_drew(tmp_path: Path) -> None:
    unit = Unit(Filters(backbone="resnet18", initialization="ISIC2019", weights="a" * 64), (), "filters")
    store, built = Store(tmp_path / "out"), tmp_path / "out" / "units" / "built"
    store.create()
    built.mkdir(parents=True)
    panel = np.full((4, 6, 3), 7, np.uint8)
    write_arrays(built / "filters.npz", {"before": np.zeros((2, 3, 7, 7)), "before panel": panel})
    store.publish(unit.digest, built, unit.marker({}, "here", 1, 0.0, 1.0))
    assert {name: picture.tolist() for name, picture in contents.pictures(unit, store).items()} == {
        "before": panel.tolist()
    }
