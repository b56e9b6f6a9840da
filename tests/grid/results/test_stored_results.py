"""The frame takes results from the store where it has them, and reports what differs from MLflow."""

import shutil
from dataclasses import replace
from pathlib import Path

import made_space
import numpy as np
import pandas as pd
import pytest

from grid.execution.worker import marker_of
from grid.plan.plan import Plan
from grid.results import frame
from grid.store.store import Store
from grid.tracking.client import client, default_uri
from grid.tracking.runs import by_digest
from medpt.files import write_arrays
from medpt.units.base import ITEMS


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Plan]:
    """A finished and recorded space, but for one trial that failed."""
    out = tmp_path_factory.mktemp("stored")
    plan = made_space.plan(out)
    failed = plan.trials[-1][1]
    made_space.record_all(made_space.publish(plan, out, set(), {failed: ("error", "it broke")}), plan)
    return out, plan


@pytest.fixture
def copy(made: tuple[Path, Plan], tmp_path: Path) -> tuple[Path, Plan]:
    shutil.copytree(made[0], tmp_path / "out")
    return tmp_path / "out", made[1]


def row(out: Path, digest: str) -> "pd.Series[float]":
    return frame.load("made", out).set_index("digest").loc[digest]


def test_frame_is_the_same_without_mlflow(copy: tuple[Path, Plan]) -> None:
    out, _ = copy
    before = frame.load("made", out)
    (out / "mlflow.db").unlink()
    after = frame.load("made", out)
    pd.testing.assert_frame_equal(after.drop(columns="run_id"), before.drop(columns="run_id"))
    assert after["run_id"].isna().all()
    assert before["status"].value_counts().to_dict() == {"finished": 13, "failed": 1}
    assert (before.attrs["warnings"], after.attrs["warnings"]) == ([], [])


def test_trial_with_a_damaged_marker_is_missing_although_mlflow_has_it(copy: tuple[Path, Plan]) -> None:
    out, plan = copy
    digest = plan.trials[0][1]
    path = out / "done" / f"{digest}.json"
    path.write_text(path.read_text().replace('"auc": 0.7', '"auc": 0.9'))
    assert row(out, digest)["status"] == "missing"
    assert pd.isna(row(out, digest)["auc"])
    (warning,) = frame.load("made", out).attrs["warnings"]
    assert warning == f"{plan.units[digest].label}: its marker is damaged; run the space again"


def test_result_that_differs_from_mlflow_is_shown_as_stored_and_reported(copy: tuple[Path, Plan]) -> None:
    out, plan = copy
    digest, store = plan.trials[0][1], Store(out)
    marker = store.marker(digest)
    metrics = {**marker.metrics, "auc": 0.25}
    store.documents.write(f"done/{digest}.json", replace(marker, metrics=metrics).content())
    assert row(out, digest)["auc"] == 0.25
    (warning,) = frame.load("made", out).attrs["warnings"]
    assert warning.startswith(f"MLflow has other numbers for 1 result, such as {plan.units[digest].label};")


def test_trial_that_the_store_lacks_is_that_of_mlflow(copy: tuple[Path, Plan]) -> None:
    out, _ = copy
    before = frame.load("made", out)
    shutil.rmtree(out / "done")
    shutil.rmtree(out / "failed")
    pd.testing.assert_frame_equal(frame.load("made", out), before)


def test_nan_in_both_is_no_difference(copy: tuple[Path, Plan]) -> None:
    out, plan = copy
    digest, store = plan.trials[0][1], Store(out)
    marker = store.marker(digest)
    metrics = {**marker.metrics, "auc": float("nan")}
    store.documents.write(f"done/{digest}.json", replace(marker, metrics=metrics).content())
    uri = default_uri(out)
    client(uri).log_metric(by_digest(uri)[digest].run_id, "test_auc", float("nan"), step=99)
    assert frame.load("made", out).attrs["warnings"] == []


@pytest.fixture
def with_items(tmp_path: Path) -> tuple[Path, str, Path]:
    """A finished space, the label of a trial in it, and the test items of that trial."""
    plan = made_space.plan(tmp_path, made_space.FEW_UNITS)
    digest = plan.trials[0][1]
    store, unit = made_space.publish(plan, tmp_path / "out", {digest}, {}), plan.units[digest]
    built = store.root / "units" / "built"
    built.mkdir()
    for name in (ITEMS, "scores.npz"):
        write_arrays(built / name, {"scores": np.eye(2), "labels": np.arange(2)})
    store.publish(digest, built, marker_of(unit, {"auc": 0.7}, 0.0, 1))
    return store.root, unit.label, store.folder(digest) / ITEMS


def test_changed_test_items_are_left_out_and_named(with_items: tuple[Path, str, Path]) -> None:
    out, label, path = with_items
    first = frame.load("made", out)
    assert (first["items"].iloc[0], first.attrs["warnings"]) == (str(path), [])
    write_arrays(path, {"scores": np.eye(2)[::-1], "labels": np.arange(2)})
    found = frame.load("made", out)
    assert found["items"].iloc[0] is None
    (warning,) = found.attrs["warnings"]
    assert warning.startswith(f"{label}: items.npz is missing or was changed, so intervals and subgroups")
