"""Networks that fine-tunings kept are external models of MLflow, once each."""

from pathlib import Path
from typing import Any

import made_space
import pytest

from grid.plan.plan import Plan
from grid.store.store import Store
from grid.tracking.client import client, default_uri
from grid.tracking.experiments import open_experiments
from grid.tracking.runs import DIGEST
from grid.tracking.tracker import Tracker
from medpt.specs import Finetune
from medpt.trained_network import FACTS, WEIGHTS


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Plan, Store]:
    """A finished space in which the fine-tunings of seed 0 kept their networks."""
    write = made_space.finetune

    def write_with_network(spec: Finetune, built: Path) -> dict[str, float]:
        for name in (WEIGHTS, FACTS) if spec.seed == 0 else ():
            (built / name).write_text("a network")
        return write(spec, built)

    monkeypatch.setattr(made_space, "finetune", write_with_network)
    plan = made_space.plan(tmp_path, made_space.FEW_UNITS)
    return plan, made_space.publish(plan, tmp_path / "out", set(), {})


def models(store: Store, plan: Plan) -> tuple[Any, list[Any]]:
    connection = client(default_uri(store.root))
    experiment = open_experiments(connection, store.root, plan.space).space
    return connection, connection.search_logged_models([experiment])


def test_kept_networks_are_models_with_scores_and_the_line_that_loads_them(kept: tuple[Plan, Store]) -> None:
    plan, store = kept
    made_space.record_all(store, plan)
    connection, found = models(store, plan)
    expected = {digest for trial, digest in plan.trials if trial.seed == 0}
    assert {model.tags[DIGEST] for model in found} == expected
    for model in found:
        digest, run = model.tags[DIGEST], connection.get_run(model.source_run_id)
        assert run.data.tags[DIGEST] == digest
        assert (model.status, model.tags["mlflow.model.isExternal"]) == ("READY", "true")
        scores = {metric.key: metric.value for metric in model.metrics}
        assert scores == {name: v for name, v in run.data.metrics.items() if name.startswith("test_")}
        assert f"load_network(Store('{store.out}'), '{digest}')" in model.tags["medpt.load"]


def test_network_that_a_later_run_kept_becomes_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = made_space.finetune
    plan = made_space.plan(tmp_path, made_space.FEW_UNITS)
    store = made_space.publish(plan, tmp_path / "out", set(), {})
    made_space.record_all(store, plan)
    assert models(store, plan)[1] == []

    def write_with_network(spec: Finetune, built: Path) -> dict[str, float]:
        for name in (WEIGHTS, FACTS):
            (built / name).write_text("a network")
        return write(spec, built)

    monkeypatch.setattr(made_space, "finetune", write_with_network)
    for _, digest in plan.trials:
        store.invalidate(digest)
        made_space.finish(store, plan.units[digest])
    made_space.record_all(store, plan)
    connection, found = models(store, plan)
    assert {model.tags[DIGEST] for model in found} == {digest for _, digest in plan.trials}
    runs = {model.source_run_id: connection.get_run(model.source_run_id) for model in found}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert all(model.metrics for model in found)
    tracker = Tracker(connection, store, plan, lambda: None)
    monkeypatch.setattr(tracker, "_send_result", lambda *_: pytest.fail("it was sent again"))
    for _, digest in plan.trials:
        tracker.record(digest)


def test_record_that_was_interrupted_leaves_one_model(kept: tuple[Plan, Store]) -> None:
    plan, store = kept
    digest = next(digest for trial, digest in plan.trials if trial.seed == 0)
    for _ in range(2):
        connection = client(default_uri(store.root))
        tracker = Tracker(connection, store, plan, lambda: None)
        tracker._send_result(digest, tracker._run_id(digest))
    assert len(models(store, plan)[1]) == 1
