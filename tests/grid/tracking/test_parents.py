"""Runs of cells and comparison groups above the runs of units; units that spaces share."""

import base64
import json
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import made_space
import pytest
import trackers

from grid.plan.plan import Plan
from grid.plan.stored_plans import record_start
from grid.results.frame import trials_frame
from grid.results.summaries import group_summaries
from grid.store.store import Store
from grid.tracking import background
from grid.tracking.client import client, default_uri
from grid.tracking.experiments import NOTE, experiment_id
from grid.tracking.names import DATA, EXPERIMENT, experiment_name
from grid.tracking.parents import CELL, FILE, GROUP, PARENT, SHARED_VIEW, VIEW, GroupSummary
from grid.tracking.runs import DIGEST
from grid.tracking.tracker import SPACES, Tracker
from medpt.files import read_json

Runs = dict[str, Any]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Store, list[GroupSummary]]:
    """A finished space in MLflow with its summaries."""
    folder = tmp_path_factory.mktemp("parents")
    plan = made_space.plan(folder, made_space.FEW_UNITS)
    store = made_space.publish(plan, folder / "out", set(), {})
    made_space.record_all(store, plan)
    summaries = group_summaries(trials_frame(plan, None, store), plan.space)
    tracker(store, plan).parents.record(summaries, lambda: None)
    return plan, store, summaries


def tracker(store: Store, plan: Plan) -> Tracker:
    return Tracker(client(default_uri(store.root)), store, plan, lambda: None)


def runs_with(store: Store, tag: str) -> Runs:
    """Return the runs that have a tag, by its value."""
    found = trackers.every_run(default_uri(store.root))
    return {run.data.tags[tag]: run for run in found if tag in run.data.tags}


def test_trials_are_below_their_cell_and_cells_below_their_group(
    made: tuple[Plan, Store, list[GroupSummary]],
) -> None:
    plan, store, summaries = made
    units, cells, groups = (runs_with(store, tag) for tag in (DIGEST, CELL, GROUP))
    assert len(cells) == 2  # random and ISIC2019
    assert [run.info.run_name for run in groups.values()] == [summaries[0].name]
    names = {run.info.run_id: run.data.tags[PARENT] for run in cells.values()}
    assert set(names.values()) == {groups[summaries[0].key].info.run_id}
    for trial, digest in plan.trials:
        parent = units[digest].data.tags[PARENT]
        assert (
            f"{trial.label} → {trial.target}"
            in {c.info.run_id: c.info.run_name for c in cells.values()}[parent]
        )
    trained = {digest for _, digest in plan.trials}
    assert all(PARENT not in run.data.tags for digest, run in units.items() if digest not in trained)


def test_trials_of_every_value_are_below_the_cell_that_has_the_selected_one(tmp_path: Path) -> None:
    factors = "    factors: {learning_rate: [1.0e-4, 1.0e-3]}\n"
    plan = made_space.plan(tmp_path, f"select: {{learning_rate: validation}}{made_space.FEW_UNITS}{factors}")
    store = made_space.publish(plan, tmp_path / "out", set(), {})
    made_space.record_all(store, plan)
    tracker(store, plan).parents.record(group_summaries(trials_frame(plan, None, store), plan.space), int)
    units, cells = runs_with(store, DIGEST), runs_with(store, CELL).values()
    assert len({trial.protocol for trial, _ in plan.trials}) == 2
    parents = {units[digest].data.tags[PARENT] for _, digest in plan.trials}
    assert parents == {run.info.run_id for run in cells}
    assert all("test_macro_auc" in run.data.metrics for run in cells)


def test_group_is_the_newest_run_and_is_called_after_its_answer(
    made: tuple[Plan, Store, list[GroupSummary]],
) -> None:
    _, store, summaries = made
    newest, *_ = sorted(trackers.every_run(default_uri(store.root)), key=lambda run: -run.info.start_time)
    assert newest.info.run_name.startswith("ISIC2019")
    assert newest.data.tags[NOTE] == summaries[0].text
    recorded = newest.data.metrics
    assert recorded == pytest.approx(summaries[0].metrics)
    assert recorded["test_macro_auc_low"] < recorded["test_macro_auc"] < recorded["test_macro_auc_high"]


def test_every_summary_has_a_file_with_its_numbers(made: tuple[Plan, Store, list[GroupSummary]]) -> None:
    _, store, summaries = made
    connection, found = client(default_uri(store.root)), trackers.every_run(default_uri(store.root))
    runs = [run for run in found if {GROUP, CELL} & run.data.tags.keys()]
    written = [read_json(Path(connection.download_artifacts(run.info.run_id, FILE))) for run in runs]
    assert {each["name"] for each in written} == {
        summary.name for group in summaries for summary in (group, *group.cells)
    }
    assert all(each["metrics"] == run.data.metrics for each, run in zip(written, runs, strict=True))


def test_summary_is_written_again_only_where_it_changed(
    made: tuple[Plan, Store, list[GroupSummary]],
) -> None:
    plan, store, summaries = made
    before = runs_with(store, GROUP)[summaries[0].key].info.run_id
    tracker(store, plan).parents.record(summaries, lambda: None)
    assert runs_with(store, GROUP)[summaries[0].key].info.run_id == before
    changed = replace(summaries[0], name="another answer")
    tracker(store, plan).parents.record([changed], lambda: None)
    groups = [run for run in trackers.every_run(default_uri(store.root)) if GROUP in run.data.tags]
    assert [run.info.run_name for run in groups] == ["another answer"]
    tracker(store, plan).parents.record(summaries, lambda: None)


class CellRefusedError(Exception):
    """What MLflow answers about one cell, which is always the same."""


def refuse(monkeypatch: pytest.MonkeyPatch, cell: str, times: int) -> list[str]:
    """Let MLflow refuse the run of a cell so often; return the list that gets the run of each attempt."""
    from mlflow import MlflowClient

    refused, update = [], MlflowClient.update_run

    def update_run(self: Any, run_id: str, status: str, name: str) -> None:
        if name == cell and len(refused) < times:
            refused.append(run_id)
            raise CellRefusedError(f"no {name}")
        update(self, run_id, status, name)

    monkeypatch.setattr(MlflowClient, "update_run", update_run)
    return refused


def test_attempts_that_fail_leave_one_unfinished_run_until_one_succeeds(
    made: tuple[Plan, Store, list[GroupSummary]], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, store, summaries = made
    changed = replace(summaries[0], name="an answer in pieces")
    refuse(monkeypatch, changed.cells[0].name, times=3)
    parents = tracker(store, plan).parents
    for attempt in range(3):
        if attempt == 2:  # as after a kill
            parents = tracker(store, plan).parents
        with pytest.raises(CellRefusedError):
            parents.record([changed], lambda: None)
        found = [run for run in trackers.every_run(default_uri(store.root)) if GROUP in run.data.tags]
        states = sorted((run.info.status, run.info.run_name) for run in found)
        assert states == [("FINISHED", summaries[0].name), ("RUNNING", changed.name)]
    tracker(store, plan).parents.record(summaries, lambda: None)
    found = [run for run in trackers.every_run(default_uri(store.root)) if GROUP in run.data.tags]
    assert [(run.info.status, run.info.run_name) for run in found] == [("FINISHED", summaries[0].name)]


def test_end_of_a_run_does_not_wait_for_a_cell_that_is_always_refused(
    made: tuple[Plan, Store, list[GroupSummary]], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, store, summaries = made
    monkeypatch.setattr(background, "PATIENCE", 1.5)  # longer than one attempt, which writes the other cell
    refused = refuse(monkeypatch, summaries[0].cells[0].name, times=20)
    sender = background.BackgroundTracker(default_uri(store.root), store, plan)
    sender.start()
    assert sender.finish([replace(summaries[0], name="refused")]) == 0
    assert sender.problem == f"no {summaries[0].cells[0].name}"
    assert 0 < len(refused) < 20
    monkeypatch.undo()
    tracker(store, plan).parents.record(summaries, lambda: None)


def test_description_of_the_experiment_has_the_answers_unless_a_user_wrote_one(
    made: tuple[Plan, Store, list[GroupSummary]],
) -> None:
    plan, store, summaries = made
    connection = client(default_uri(store.root))
    name = experiment_name(plan.space)
    found = connection.get_experiment_by_name(name)
    assert found.tags[NOTE].startswith(f"**Best for** {summaries[0].short}")
    view = zlib.decompress(base64.b64decode(found.tags[f"{SHARED_VIEW}{VIEW}"].removeprefix("deflate;")))
    assert json.loads(view)["selectedColumns"] == [
        "metrics.`test_macro_auc`",
        "metrics.`test_macro_auc_gain`",
    ]
    connection.set_experiment_tag(found.experiment_id, NOTE, "our notes")
    tracker(store, plan).parents.record(summaries, lambda: None)
    assert connection.get_experiment_by_name(name).tags[NOTE] == "our notes"


def test_prepared_data_have_an_experiment_of_their_own(
    made: tuple[Plan, Store, list[GroupSummary]],
) -> None:
    plan, store, _ = made
    names = {one.experiment_id: one.name for one in client(default_uri(store.root)).search_experiments()}
    found = {digest: names[run.info.experiment_id] for digest, run in runs_with(store, DIGEST).items()}
    expected = {
        digest: DATA if unit.kind == "prepare" else experiment_name(plan.space)
        for digest, unit in plan.units.items()
    }
    assert found == expected


def test_unit_that_two_spaces_share_has_one_run_that_names_both(tmp_path: Path) -> None:
    text = made_space.FEW_UNITS.replace("ISIC2019", "ADE20K").replace("seed: [0, 1]", "seed: [0]")
    first, second = (made_space.plan(tmp_path, text, name) for name in ("first", "second"))
    store = made_space.publish(first, tmp_path / "out", set(), {})
    for plan in (first, second, second):
        record_start(store, plan, tmp_path / f"{plan.space}.yaml")
        made_space.record_all(store, plan)
    found = trackers.runs(default_uri(store.root))[1]
    assert sorted(run.data.tags[DIGEST] for run in found) == sorted(first.units)
    assert {run.data.tags[SPACES] for run in found} == {"first, second"}


def test_unit_in_the_single_experiment_of_0_3_1_is_not_recorded_again(tmp_path: Path) -> None:
    plan = made_space.plan(tmp_path, made_space.FEW_UNITS)
    store = made_space.publish(plan, tmp_path / "out", set(), {})
    connection = client(default_uri(store.root))
    digest = plan.trials[0][1]
    old = connection.create_run(experiment_id(connection, store.root, EXPERIMENT), tags={DIGEST: digest})
    connection.set_terminated(old.info.run_id)
    tracker(store, plan).record(digest)
    found = trackers.runs(default_uri(store.root))[1]
    assert [(run.info.run_id, run.data.tags[SPACES]) for run in found] == [(old.info.run_id, plan.space)]
