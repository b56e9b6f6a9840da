"""The frame takes results from the store where it has them, and reports what differs from MLflow."""

import shutil
from dataclasses import replace
from pathlib import Path

import made_space
import pandas as pd
import pytest

from grid.plan.plan import Plan
from grid.results import frame
from grid.store.store import Store
from grid.tracking.client import client, default_uri
from grid.tracking.runs import by_digest


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
