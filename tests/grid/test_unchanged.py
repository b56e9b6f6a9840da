"""A run with nothing to do prints what the last one printed, unless something has changed since."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import made_space
import pytest

from grid.store.store import Store
from grid.tracking.client import default_uri
from grid.unchanged import LastOutcome


@pytest.fixture
def last(tmp_path: Path) -> LastOutcome:
    """The outcome of a complete run whose page and record of runs are there."""
    plan = made_space.plan(tmp_path)
    store = made_space.publish(plan, tmp_path / "out", set(), {})
    made = LastOutcome(plan, store, default_uri(store.root), 100)
    made.path.parent.mkdir(parents=True)
    made.path.with_name("index.html").write_text("page")
    (store.root / "mlflow.db").write_bytes(b"runs")
    made.save("the tables")
    return made


def marker(last: LastOutcome) -> Path:
    return last.store.root / "done" / f"{next(iter(last.plan.units))}.json"


def edit(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    os.utime(path, ns=(1, 1))


def test_unchanged_run_is_printed_again(last: LastOutcome) -> None:
    assert last.read() == "the tables"


@pytest.mark.parametrize(
    "change",
    [
        lambda last: edit(marker(last)),
        lambda last: marker(last).unlink(),
        lambda last: edit(last.store.root / "mlflow.db"),
        lambda last: (last.store.root / "mlflow.db").unlink(),
        lambda last: last.path.with_name("index.html").unlink(),
        lambda last: last.path.write_text("{"),
        lambda last: last.path.write_text("[]"),
        lambda last: last.path.unlink(),
    ],
)
def test_changed_result_record_or_page_is_not_printed_again(
    last: LastOutcome, change: Callable[[LastOutcome], object]
) -> None:
    change(last)
    assert last.read() is None


def test_other_plan_width_or_tracker_is_not_printed_again(last: LastOutcome) -> None:
    smaller = replace(last.plan, trials=last.plan.trials[:1])
    for other in (
        replace(last, plan=smaller),
        replace(last, width=80),
        replace(last, tracking_uri="sqlite:///x"),
    ):
        assert other.read() is None


def test_server_and_bucket_are_asked_every_time(last: LastOutcome) -> None:
    for other in (
        replace(last, tracking_uri="http://localhost:5000"),
        replace(last, store=Store("s3://bucket/runs")),
    ):
        other.save("the tables")
        assert other.read() is None


def test_change_of_the_code_makes_the_report_again(
    last: LastOutcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("grid.unchanged.FOLDERS", (tmp_path / "code",))
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "cells.py").write_text("a")
    last.save("the tables")
    assert last.read() == "the tables"
    edit(tmp_path / "code" / "cells.py")
    assert last.read() is None


def test_installed_library_makes_the_report_again(
    last: LastOutcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("grid.unchanged.LIBRARIES", tmp_path / "site-packages")
    (tmp_path / "site-packages").mkdir()
    last.save("the tables")
    assert last.read() == "the tables"
    os.utime(tmp_path / "site-packages", ns=(1, 1))
    assert last.read() is None


def test_results_that_were_moved_are_not_printed_with_their_old_paths(
    last: LastOutcome, tmp_path: Path
) -> None:
    last.store.root.rename(tmp_path / "moved")
    (tmp_path / "out").symlink_to("moved")  # so that the record of runs is where it was
    assert last.read() == "the tables"
    assert replace(last, store=Store(str(tmp_path / "moved"))).read() is None
