"""Columns of other test sets, from markers and stored test items alone."""

from pathlib import Path

import numpy as np
import pytest
from made_units import marker

from grid.plan.plan import Plan, Unit
from grid.plan.test_sets import PlannedTest
from grid.results.items import ItemSubset, arrays
from grid.results.test_set_columns import columns, warnings
from grid.store.store import Store
from grid.store.subgroups import write_groups
from medpt.files import write_arrays
from medpt.metrics import macro_auc
from medpt.specs import Evaluate, Finetune

TRAINED = Unit(Finetune("EyePACS", None, "DRIVE", "data", "resnet18", "classifier"), (), "trained")
TESTED = Unit(Evaluate(TRAINED.digest, "HRF", "others", target_data="data"), (), "tested on HRF")
SCORES = np.random.default_rng(0).random((12, 2))
LABELS = np.arange(12) % 2
ITEMS = {"scores": SCORES, "labels": LABELS, "patients": np.arange(12)}
SEXES = ["F"] * 4 + ["M"] * 7 + ["unknown"]


@pytest.fixture
def plan() -> Plan:
    tests = (PlannedTest("HRF", TRAINED.digest, TESTED.digest),)
    units = {unit.digest: unit for unit in (TRAINED, TESTED)}
    return Plan("made", "", (), (), units, tests=tests, subgroups={"data": "sex"})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "out")


def publish(store: Store, unit: Unit, built: Path, **metrics: float) -> str:
    """Publish a unit with items and metrics; return the path of the items."""
    built.mkdir()
    write_arrays(built / "items.npz", ITEMS)
    store.publish(unit.digest, built, marker(unit.digest, kind=unit.kind, metrics=metrics))
    return str(store.file(unit.digest, "items.npz"))


def test_external_test_set_has_the_metrics_status_and_items_of_its_unit(
    plan: Plan, store: Store, tmp_path: Path
) -> None:
    assert columns(plan, store, {}, {}) == {TRAINED.digest: {"status@HRF": "missing"}}
    items = publish(store, TESTED, tmp_path / "built", macro_auc=0.75, images=12)
    found = columns(plan, store, {}, {})[TRAINED.digest]
    assert found == {"macro_auc@HRF": 0.75, "status@HRF": "finished", "items@HRF": items}


def test_subgroups_are_parts_of_the_stored_items(plan: Plan, store: Store, tmp_path: Path) -> None:
    write_groups(store, "data", "sex", SEXES)
    items = publish(store, TRAINED, tmp_path / "built")
    rows = {TRAINED.digest: {"items": items, "status": "finished", "macro_auc": 0.7, "auc": None}}
    found = columns(plan, store, {}, rows)[TRAINED.digest]
    assert found["macro_auc@sex=F"] == pytest.approx(macro_auc(SCORES[:4], LABELS[:4]))
    assert found["macro_auc@sex=M"] == pytest.approx(macro_auc(SCORES[4:11], LABELS[4:11]))
    assert np.isnan(found["macro_auc@sex=unknown"])  # one image, of one class
    assert "auc@sex=F" not in found  # which the trial itself does not have
    subset = found["items@sex=M"]
    assert isinstance(subset, ItemSubset)
    np.testing.assert_array_equal((arrays(subset) or {})["labels"], LABELS[4:11])


@pytest.mark.parametrize(
    ("groups", "status", "shown"),
    [(SEXES, "failed", "failed"), (SEXES[:-1], "finished", "missing"), (SEXES, "finished", "missing")],
)
def test_subgroup_without_items_of_its_number_is_not_finished(
    plan: Plan, store: Store, tmp_path: Path, groups: list[str], status: str, shown: str
) -> None:
    """Items that are not stored, or that are of another number of images than the subgroups."""
    write_groups(store, "data", "sex", groups)
    items = None if groups is SEXES else publish(store, TRAINED, tmp_path / "built")
    rows = {TRAINED.digest: {"items": items, "status": status, "macro_auc": 0.7}}
    found = columns(plan, store, {}, rows)[TRAINED.digest]
    assert (found["status@sex=F"], "macro_auc@sex=F" in found) == (shown, False)


def test_warnings_count_removed_images_and_those_of_the_source(
    plan: Plan, store: Store, tmp_path: Path
) -> None:
    assert warnings(plan, store) == []
    publish(store, TESTED, tmp_path / "built", removed_images=1, images_of_source=3)
    assert warnings(plan, store) == [
        "HRF: 1 image that the training set of DRIVE shows too: left out of the test",
        "HRF: EyePACS was trained on 3 images of it: its score there may be too high",
    ]
