"""Runs of units with real Ray: more memory after a lack of it, machines that come late, starved trials."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from made_units import plan_of, trial_unit

from grid.cluster.ray_session import ray_session
from grid.execution import failures, scheduler
from grid.execution.inputs import StoreInputs
from grid.execution.scheduler import RunListeners
from grid.options import RunOptions
from grid.plan.plan import Plan, Unit
from grid.plan.stored_plans import record_start
from grid.store.store import Store
from medpt import files
from medpt.specs import Finetune
from medpt.units.base import Job


def plan(*architectures: str) -> Plan:
    return plan_of(trial_unit(number, (), name) for number, name in enumerate(architectures))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path)
    made.create()
    return made


def run_trial(config: dict[str, Any], **sent: Any) -> None:
    """The worker's own, where fine-tuning only holds its share, which is too little for a unet at first."""
    from unittest import mock

    import torch

    from grid.execution import worker

    def hold(spec: Finetune, inputs: StoreInputs, job: Job) -> dict[str, float]:
        began = time.time()
        time.sleep(0.5)
        row = {"share": config["gpu"], "began": began, "ended": time.time()}
        row |= {"label": spec.architecture, "pid": os.getpid()}
        with (inputs.store.root / "held.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
        if config["gpu"] < 0.5 and spec.architecture in ("unet", "cenet"):
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        if spec.architecture == "cenet":
            raise torch.cuda.OutOfMemoryError("still too little")
        return {"share": config["gpu"]}

    with (
        mock.patch.object(worker, "open_device", return_value="cpu"),
        mock.patch.object(worker, "run_unit", hold),
    ):
        worker.run_trial(config, **sent)


def run_units(
    made: Plan, store: Store, on_stall: Callable[[str], object] = pytest.fail, **options: Any
) -> list[tuple[str, str]]:
    """Run a plan, and return the events of its units."""
    record_start(store, made, Path("made.yaml"))
    given = RunOptions(made.space, store.out, cache_bytes=0, **options)
    events: list[tuple[str, str]] = []

    def hear(event: str, unit: Unit) -> None:
        events.append((unit.label, event))

    listeners = RunListeners([hear], lambda images: None, lambda name: None, on_stall)
    scheduler.run_units(made, set(made.units), store, given, {}, listeners)
    return events


@pytest.fixture
def by_value(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Send this module to the processes of Ray, which cannot import it."""
    from ray import cloudpickle

    monkeypatch.setattr(scheduler, "run_trial", run_trial)
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def test_units_out_of_gpu_memory_get_twice_the_share_and_the_device_is_never_exceeded(
    store: Store, by_value: None
) -> None:
    made = plan("unet", "unet", "cenet", "deeplabv3plus")
    with ray_session(cpus=3, gpus=1):
        events = run_units(made, store, cpus=3, gpus=1, stall_seconds=3600)
    labels = {name: unit.label for name, unit in made.units.items()}
    shares = {labels[name]: store.marker(name).metrics["share"] for name in store.finished()}
    assert shares == {"unet 0": 0.5, "unet 1": 0.5, "deeplabv3plus 3": 0.25}
    (failed,) = store.failures()
    assert labels[failed] == "cenet 2"
    assert store.failure(failed).cause == "memory"
    assert "still too little" in store.failure(failed).reason
    of_failed = [event for label, event in events if label == "cenet 2"]
    assert of_failed == ["started", "retried", "started", "failed"]
    assert store.marker(next(iter(store.finished()))).peak["resident"] > 2**20
    assert heaviest(store) <= 1.0


def heaviest(store: Store) -> float:
    """Return the largest sum of shares that were held at one time."""
    rows = [json.loads(line) for line in (store.root / "held.jsonl").read_text().splitlines()]
    assert len(rows) == 7  # three units twice, one once
    return max(
        sum(row["share"] for row in rows if row["began"] <= moment["began"] < row["ended"]) for moment in rows
    )


@pytest.mark.fault
def test_run_waits_for_a_gpu_that_joins_late_and_reports_it(store: Store, by_value: None) -> None:
    """The fault: a spot machine that never comes. Here it comes once the driver has reported the stall."""
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 0})
    notices: list[str] = []

    def report(text: str) -> None:
        notices.append(text)
        if len(notices) == 1:
            cluster.add_node(num_cpus=1, num_gpus=1)

    try:
        with ray_session(cluster.address):
            run_units(made := plan("deeplabv3plus"), store, report, cpus=0, gpus=1, stall_seconds=2)
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert store.finished() == set(made.units)
    assert "1 CPU and 0.25 GPU each: none of 1 machine of the cluster has as much GPU" in notices[0]


@pytest.mark.fault
def test_starved_unit_fails_after_bounded_retries_and_says_why(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The measured deadlock: data tasks ask for a CPU, which is Ray's default, and the trial holds it."""
    from grid.execution import worker
    from grid.preparation import streaming

    files.write_text(store.root / "shard", "")

    def starved(config: dict[str, Any], **sent: Any) -> None:
        from unittest import mock

        from ray.data import Dataset

        ours = Dataset.map_batches

        def greedy(data: Any, *arguments: Any, **options: Any) -> Any:
            return ours(data, *arguments, **options | {"num_cpus": 1})

        def read(spec: Finetune, inputs: StoreInputs, job: Job) -> dict[str, float]:
            with mock.patch.object(Dataset, "map_batches", greedy):
                batches = streaming.stream([inputs.store.root / "shard"], lambda table, position: {})
                return {"batches": float(len(list(streaming.with_timeout(batches, seconds=1.5))))}

        with mock.patch.object(worker, "run_unit", read):
            worker.run_trial(config, **sent)

    monkeypatch.setattr(scheduler, "run_trial", starved)
    monkeypatch.setitem(failures.RETRIES, "infrastructure", 1)
    made = plan("unet")
    (name,) = made.units
    with ray_session(cpus=1):
        events = run_units(made, store, cpus=1, gpus=0, stall_seconds=3600)
    assert [event for _, event in events] == ["started", "retried", "started", "failed"]
    failure = store.failure(name)
    assert failure.cause == "infrastructure"
    assert "tasks of Ray Data cannot start on this machine beside the trials" in failure.reason
    assert "use --cpus or --gpus for fewer trials" in failure.reason
    trace = (store.root / "failed" / f"{name}.log").read_text()
    assert "in with_timeout" in trace
    assert "\x1b" not in trace


class FakeTrial:
    """What Tune's schedulers ask of a trial."""

    def __init__(self, status: str) -> None:
        self.status = status

    def is_finished(self) -> bool:
        return self.status in ("TERMINATED", "ERROR")


def test_first_pending_trial_is_chosen_and_ended_ones_are_forgotten() -> None:
    trials = [FakeTrial(status) for status in ("TERMINATED", "RUNNING", "PENDING", "ERROR", "PENDING")]
    chooser = scheduler.LiveTrialScheduler()
    for trial in trials:
        chooser.on_trial_add(None, trial)
    assert chooser.choose_trial_to_run(None) is trials[2]
    assert list(chooser.live) == [trials[1], trials[2], trials[4]]
    trials[2].status = trials[4].status = "RUNNING"
    assert chooser.choose_trial_to_run(None) is None
