"""Predicted and actual hours are sums over the finished units of a kind."""

from pathlib import Path

import made_space
import pytest

from grid.plan import cost
from grid.report import provenance
from grid.report.spent import spent
from grid.results.stored_space import StoredSpace
from medpt.data.catalog import card
from medpt.specs import ImageFree


def test_hours_are_sums_over_finished_units(tmp_path: Path) -> None:
    plan = made_space.plan(tmp_path)
    lost = plan.trials[0][1]
    stored = StoredSpace(plan, made_space.publish(plan, tmp_path / "out", {lost}, {}))
    found = {row.title: row for row in spent(stored, [], [], [])}
    tuned = [unit for unit in plan.units.values() if unit.kind == "finetune" and unit.digest != lost]
    row = found["fine-tune"]
    assert row.units == len(tuned) == 13
    assert row.actual == pytest.approx(13 * 12.5 / 3600)
    computed = [cost.seconds(unit, cost.DataSizes(plan.sizes), "CPU core") for unit in tuned]
    predicted = sum(computed) + 13 * cost.TRAINING_START
    assert row.predicted == pytest.approx(predicted / 3600)
    assert row.ratio == pytest.approx(13 * 12.5 / predicted)


def test_synthetic_data_are_predicted_to_take_the_share_that_was_drawn(tmp_path: Path) -> None:
    plan = made_space.plan(tmp_path, made_space.FEW_UNITS.replace("controls: false\n", ""))
    stored = StoredSpace(plan, made_space.publish(plan, tmp_path / "out", set(), {}))
    data = provenance.datasets(stored)
    drawn = sum(next(d for d in data if d.card.name == "ChestXRay2017").images.values())

    def predicted(synthetic: list[str]) -> float:
        rows = {row.title: row for row in spent(stored, data, [], synthetic)}
        return 3600 * rows[ImageFree.title].predicted - cost.START

    published = sum(card("ChestXRay2017").counts.values())
    assert predicted([]) == pytest.approx(ImageFree.typical_seconds)
    assert predicted(["ChestXRay2017"]) == pytest.approx(ImageFree.typical_seconds * drawn / published)
