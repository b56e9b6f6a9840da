"""Reading MLflow's record: the SQLite file gives what the client gives, and is enough without the store."""

import hashlib
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import made_space
import pandas as pd
import pytest
import trackers

from grid.plan.plan import Plan
from grid.plan.stored_plans import record_start
from grid.results import frame
from grid.space.trials import Trial
from grid.store.store import Store
from grid.tracking import runs as record
from grid.tracking.client import client, default_uri
from grid.tracking.tracker import Tracker, record_plan
from medpt.errors import InputError


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Plan]:
    """One unit failed, one was not run, one run was deleted, one metric is not a number."""
    out = tmp_path_factory.mktemp("record")
    plan = made_space.plan(out)
    last, lost = [digest for _, digest in plan.trials][-2:]
    store = made_space.publish(plan, out, {last}, {lost: ("error", "it broke")})
    uri = made_space.record_all(store, plan)
    connection, runs = client(uri), record.by_digest(uri)
    deleted, marked = (plan.trials[n][1] for n in (0, 1))
    connection.delete_run(runs[deleted].run_id)
    connection.log_metric(runs[marked].run_id, "val_auc", float("nan"), step=99)
    return out, plan


def read_by_client(uri: str) -> list[record.Run]:
    runs = trackers.runs(uri)[1]
    return [record.Run(run.info.run_id, run.info.status, run.data.tags, run.data.metrics) for run in runs]


def test_file_gives_what_the_client_gives(made: tuple[Path, Plan]) -> None:
    uri = default_uri(made[0])
    ours, theirs = record.by_digest(uri), read_by_client(uri)
    assert len(ours) == len(theirs) == len(made[1].units) - 2  # one was deleted, one was not run
    for run in theirs:
        assert repr(sorted_run(ours[run.tags[record.DIGEST]])) == repr(sorted_run(run))


def sorted_run(run: record.Run) -> tuple[str, str, list[tuple[str, str]], list[tuple[str, float]]]:
    return run.run_id, run.status, sorted(run.tags.items()), sorted(run.metrics.items())


def test_space_is_read_from_mlflow_without_the_store(made: tuple[Path, Plan], tmp_path: Path) -> None:
    uri = default_uri(made[0])
    with_store, without = frame.load("made", made[0]), frame.load("made", tmp_path, uri)
    pd.testing.assert_frame_equal(without[1:], with_store[1:])
    assert without["status"].value_counts().to_dict() == {"finished": 11, "missing": 2, "failed": 1}
    assert with_store.loc[0, "status"] == "finished"  # its run was deleted in MLflow


def test_database_file_can_be_moved(made: tuple[Path, Plan], tmp_path: Path) -> None:
    shutil.copy(made[0] / "mlflow.db", tmp_path)
    assert len(frame.load("made", tmp_path)) == len(made[1].trials)


def test_space_that_is_run_again_has_one_plan(made: tuple[Path, Plan], tmp_path: Path) -> None:
    out = tmp_path / "again"
    shutil.copytree(made[0], out)
    plan = made_space.plan(tmp_path, made_space.SPACE.replace("seed: [0, 1]", "seed: [0, 1, 2]"))
    uri = default_uri(out)
    for _ in range(2):
        record_plan(client(uri), Store(out), plan)
    assert [len(found.trials) for found in record.plans(uri).values()] == [len(plan.trials)]


def test_selection_is_added_to_the_recorded_plan(made: tuple[Path, Plan], tmp_path: Path) -> None:
    """The second store knows the selection alone; the tracker knows all."""
    out, plan = made
    uri = default_uri(tmp_path)
    part = replace(plan, trials=plan.trials[:1], selection="--limit 1")
    for recorded, store in ((plan, Store(out)), (part, Store(tmp_path)), (part, Store(tmp_path))):
        record_plan(client(uri), store, recorded)
    assert set(record.plans(uri)[plan.space].trials) == set(plan.trials)
    later = replace(plan, trials=plan.trials[1:])
    record_plan(client(uri), Store(out), later)
    assert record.plans(uri)[plan.space].trials == later.trials


def test_plan_is_decoded_from_its_tags() -> None:
    trials = [Trial("0", f"Daten-{n}", None, "b", "unet", "DRIVE", 1.0, n * 7919) for n in range(3_000)]
    digests = [hashlib.sha256(trial.label.encode()).hexdigest() for trial in trials]
    plan = Plan("große", "", tuple(zip(trials, digests, strict=True)), (), {}, {"0123abcd": {"size": 64}})
    tags = record.encode_plan(plan)
    assert len(tags) > 2
    assert max(map(len, tags.values())) <= record.PART_LENGTH
    assert record.decode_plan(tags) == plan


def test_space_that_was_never_run_is_refused(made: tuple[Path, Plan], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"`mad` was not run .* did you mean made"):
        frame.load("mad", tmp_path, default_uri(made[0]))
    with pytest.raises(InputError, match="holds no results"):
        frame.load("made", tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match=r"gone\.db: no such database"):
        frame.load("made", tmp_path, f"sqlite:///{tmp_path / 'gone.db'}")


def test_file_that_is_no_database_of_mlflow_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.write_text("this is no database, and long enough to be looked at as one")
    with pytest.raises(InputError, match=r"mlflow\.db is damaged \(file is not a database\)"):
        record.by_digest(f"sqlite:///{path}")
    sqlite3.connect(tmp_path / "empty.db").execute("CREATE TABLE other (x)").connection.close()
    with pytest.raises(InputError, match="not a database of MLflow"):
        record.by_digest(f"sqlite:///{tmp_path / 'empty.db'}")


@pytest.mark.parametrize("name", ["why?", "half%41"])
def test_default_uri_refuses_characters_of_an_address(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="rename the folder"):
        default_uri(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_database_lies_below_out_whatever_its_name(tmp_path: Path) -> None:
    out = tmp_path / "a b#1 é'\"\n\t@c:d\\e~."
    out.mkdir()
    client(default_uri(out))
    assert [path.name for path in tmp_path.iterdir()] == [out.name]
    assert (out / "mlflow.db").stat().st_size


def superseded(uri: str) -> dict[str, str]:
    """Return the digest of each tagged run, with that of the unit which replaced its unit."""
    tags = [run.data.tags for run in trackers.runs(uri)[1]]
    return {each[record.DIGEST]: each[record.SUPERSEDED] for each in tags if record.SUPERSEDED in each}


def test_runs_of_a_corrected_card_are_tagged_until_it_is_taken_back(tmp_path: Path) -> None:
    text = made_space.SPACE.replace("seed: [0, 1]", "seed: [0]")
    before = made_space.plan(tmp_path, text)
    corrected = made_space.plan(tmp_path, text + "datasets: {DRIVE: {pipeline: 'resize(32)|clahe(2,8)'}}\n")
    made_space.record_all(made_space.publish(before, tmp_path / "out", set(), {}), before)
    store = made_space.publish(corrected, tmp_path / "out", set(before.units), {})
    uri = made_space.record_all(store, corrected)
    labels = {unit.label: digest for digest, unit in corrected.units.items()}
    replaced = before.units.keys() - corrected.units.keys()
    assert replaced
    assert superseded(uri) == {digest: labels[before.units[digest].label] for digest in replaced}
    record_start(store, before, Path("made.yaml"))
    made_space.record_all(store, before)
    assert set(superseded(uri)) == corrected.units.keys() - before.units.keys()


def test_runs_that_another_space_needs_are_not_tagged(tmp_path: Path) -> None:
    text = made_space.SPACE.replace("seed: [0, 1]", "seed: [0]")
    first, other = made_space.plan(tmp_path, text), made_space.plan(tmp_path, text, "other")
    store = made_space.publish(first, tmp_path / "out", set(), {})
    uri = made_space.record_all(store, first)
    record_start(store, other, Path("other.yaml"))
    changed = made_space.plan(tmp_path, text.replace("max_steps: 30", "max_steps: 20"))
    record_start(store, changed, Path("made.yaml"))
    made_space.record_all(store, changed)
    assert superseded(uri) == {}


@pytest.mark.parametrize("error", [KeyError("getpwuid(): uid not found"), OSError("no user name")])
def test_user_without_a_name_is_recorded_as_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr("getpass.getuser", Mock(side_effect=error))
    plan = made_space.plan(tmp_path)
    store = made_space.publish(plan, tmp_path, set(), {})
    connection = client(default_uri(tmp_path))
    tracker = Tracker(connection, store, plan, lambda: None)
    tracker.record(plan.trials[0][1])
    runs = trackers.runs(default_uri(tmp_path))[1]
    assert [run.data.tags["mlflow.user"] for run in runs] == ["unknown"]
