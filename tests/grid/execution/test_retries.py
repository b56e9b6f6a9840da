"""What is tried again: lost work a few times, too little memory once with more, anything else never."""

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from grid.cluster.ray_session import local_ray
from grid.execution import failures, scheduler
from grid.execution.allocation import Allocations, Capacity
from grid.execution.stalled import StallNotice
from grid.options import RunOptions
from grid.plan.plan import Plan, Unit
from grid.space.trials import Settings, Space
from grid.store.store import Store
from medpt import files
from medpt.errors import DivergedError, InputError
from medpt.specs import Finetune


def plan(*architectures: str) -> Plan:
    specs = [
        Finetune("random", None, "DRIVE", "d", "resnet18", name, seed=n)
        for n, name in enumerate(architectures)
    ]
    units = [Unit("finetune", spec, (), f"{spec.architecture} {spec.seed}") for spec in specs]
    return Plan(Space("retried", "", Settings(), (), ()), {unit.digest: unit for unit in units}, ())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path)
    made.create()
    return made


def torch_error(name: str, text: str = "") -> Exception:
    import torch

    return getattr(torch.cuda, name)(text)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (MemoryError(), "memory"),
        (torch_error("OutOfMemoryError", "tried to allocate 2 GiB"), "memory"),
        (RuntimeError("CUDA error: out of memory"), "memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "memory"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), "memory"),
        (RuntimeError("shapes do not fit"), "error"),
        (OSError("disk full"), "infrastructure"),
        (DivergedError("nan at step 3"), "diverged"),
        (InputError("a bad image"), "data"),
        (KeyError("name"), "error"),
    ],
)
def test_errors_have_one_cause(error: Exception, cause: str) -> None:
    assert failures.classify(error) == cause


def test_ray_s_errors_are_lost_work_but_for_its_memory_monitor() -> None:
    from ray import exceptions

    assert failures.classify(exceptions.ActorDiedError()) == "infrastructure"
    assert failures.classify(exceptions.OutOfMemoryError("the node ran low")) == "memory"


class Trials:
    """A searcher whose trials end as a test says."""

    def __init__(self, made: Plan, store: Store, slices: Allocations) -> None:
        self.store, self.told, self.asked = store, list[str](), list[dict[str, Any]]()
        self.units = scheduler.Units(
            made, made.units, store, lambda event, unit: self.told.append(event), slices
        )

    def run(self, end: Callable[[int], tuple[str, str] | None]) -> None:
        """`end` gives how the n-th trial breaks, or None where the store says how it ended."""
        while isinstance(config := self.units.suggest(f"{len(self.asked)}"), dict):
            self.asked.append(config)
            trial = f"{len(self.asked) - 1}"
            broken = end(len(self.asked))
            self.units.on_trial_complete(trial, error=broken is not None)
            if broken:
                self.units.broke(trial, *broken)


def test_lost_work_is_tried_four_times_and_then_said(store: Store) -> None:
    trials = Trials(plan("unet"), store, Allocations())
    trials.run(lambda turn: ("infrastructure", f"node {turn} was lost"))
    assert trials.told == ["started", "again"] * 3 + ["started", "failed"]
    (name,) = store.failures()
    assert store.failure(name)["reason"].startswith("node 4 was lost; ")


def test_too_little_memory_is_tried_once_with_twice_the_share(store: Store) -> None:
    made = plan("unet")
    (name,) = made.units

    def end(turn: int) -> None:
        store.fail(name, "memory", f"not enough, {turn}")

    trials = Trials(made, store, Allocations(gpus=1.0))
    trials.run(end)
    assert [config["gpu"] for config in trials.asked] == [0.25, 0.5]
    assert trials.told == ["started", "again", "started", "failed"]
    assert store.failure(name) | {"time": 0, "log": 0} == {
        "cause": "memory",
        "reason": "not enough, 2",
        "time": 0,
        "log": 0,
    }


def test_a_machine_that_ran_out_gives_the_unit_all_of_it(store: Store) -> None:
    trials = Trials(plan("unet"), store, Allocations(largest_node=lambda: 4))
    trials.run(lambda turn: ("memory", failures.KILLED))
    assert [config["cpus"] for config in trials.asked] == [1, 4]


def test_where_there_is_no_more_it_fails_at_once(store: Store) -> None:
    trials = Trials(plan("unet"), store, Allocations(largest_node=lambda: 1))
    trials.run(lambda turn: ("memory", failures.KILLED))
    assert trials.told == ["started", "failed"]


@pytest.mark.parametrize("cause", ["diverged", "data", "error"])
def test_what_would_end_the_same_way_is_never_tried_again(store: Store, cause: str) -> None:
    made = plan("unet")
    (name,) = made.units
    trials = Trials(made, store, Allocations())
    trials.run(lambda turn: store.fail(name, cause, "no"))
    assert trials.told == ["started", "failed"]


def test_the_search_is_not_over_while_a_unit_may_come_back(store: Store) -> None:
    units = scheduler.Units(made := plan("unet"), made.units, store, lambda event, unit: None)
    assert units.suggest("first") == {"digest": next(iter(made.units)), "cpus": 1, "gpu": 0.0}
    assert units.suggest("second") is None
    units.broke("first", "infrastructure", "lost")
    assert isinstance(units.suggest("third"), dict)


def trainable(config: dict[str, Any], **sent: Any) -> None:
    """The worker's own, where fine-tuning only holds its share; a unet's first time, that is too little."""
    from unittest import mock

    import torch

    from grid.execution import worker

    def hold(
        unit: Unit, store: Store, options: RunOptions, gpu_share: float, folder: Path
    ) -> dict[str, float]:
        began = time.time()
        time.sleep(0.5)
        row = {"share": gpu_share, "began": began, "ended": time.time()}
        row |= {"label": unit.label, "pid": os.getpid()}
        with (store.root / "held.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
        if gpu_share < 0.5 and unit.label.startswith(("unet", "cenet")):
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        if unit.label.startswith("cenet"):
            raise torch.cuda.OutOfMemoryError("still too little")
        return {"share": gpu_share}

    with mock.patch.dict(worker.RUNNERS, finetune=hold):
        worker.trainable(config, **sent)


def carried_out(made: Plan, store: Store, room: Capacity, patience: StallNotice) -> list[tuple[str, str]]:
    store.write_plan(made.space.name, made.plain())
    options = RunOptions(made.space.name, store.out, cache_bytes=0)
    told: list[tuple[str, str]] = []

    def tell(event: str, unit: Unit) -> None:
        told.append((unit.label, event))

    scheduler.run(made, made.units, store, options, {}, tell, lambda images: None, room, patience)
    return told


@pytest.fixture
def by_value(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Processes of Ray cannot import a test."""
    import sys

    from ray import cloudpickle

    monkeypatch.setattr(scheduler, "trainable", trainable)
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def test_units_that_run_out_on_a_gpu_get_more_of_it_and_never_more_than_all(
    store: Store, by_value: None
) -> None:
    made = plan("unet", "unet", "cenet", "deeplabv3plus", "deeplabv3plus", "deeplabv3plus")
    patience = StallNotice(3600, pytest.fail)
    with local_ray(cpus=4, gpus=1):
        told = carried_out(made, store, Capacity(4, 1), patience)
    labels = {name: unit.label for name, unit in made.units.items()}
    shares = {labels[name]: store.marker(name)["metrics"]["share"] for name in store.finished()}
    assert shares == {"unet 0": 0.5, "unet 1": 0.5} | {f"deeplabv3plus {n}": 0.25 for n in (3, 4, 5)}
    (failed,) = store.failures()
    assert labels[failed] == "cenet 2"
    assert store.failure(failed)["cause"] == "memory"
    assert "still too little" in store.failure(failed)["reason"]
    assert [event for label, event in told if label == "cenet 2"] == ["started", "again", "started", "failed"]
    assert store.marker(next(iter(store.finished())))["peak"]["resident"] > 2**20
    assert heaviest(store) <= 1.0


def heaviest(store: Store) -> float:
    """The largest sum of shares that were held at one time."""
    rows = [json.loads(line) for line in (store.root / "held.jsonl").read_text().splitlines()]
    assert len(rows) == 9  # three units twice, three once
    return max(
        sum(row["share"] for row in rows if row["began"] <= moment["began"] < row["ended"]) for moment in rows
    )


@pytest.mark.fault
def test_a_gpu_that_is_counted_on_is_waited_for_and_said(store: Store, by_value: None) -> None:
    """The fault: a spot machine that never comes. It comes here, once the driver has said what it lacks."""
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 0})
    heard: list[str] = []

    def say(text: str) -> None:
        heard.append(text)
        if len(heard) == 1:
            cluster.add_node(num_cpus=1, num_gpus=1)

    try:
        with local_ray(cluster.address):
            carried_out(made := plan("deeplabv3plus"), store, Capacity(0, 1), StallNotice(2, say))
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert store.finished() == set(made.units)
    assert "1 CPU and 0.25 GPU each: none of the cluster's 1 machines has as much GPU" in heard[0]


def test_a_starved_unit_ends_after_bounded_retries_with_that_sentence(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The measured deadlock: data tasks ask for a CPU, as they do unless told not to; the trial holds it."""
    from grid.execution import worker
    from grid.preparation import streaming

    files.write_text(store.root / "shard", "")

    def starved(config: dict[str, Any], **sent: Any) -> None:
        from unittest import mock

        from ray.data import Dataset

        ours = Dataset.map_batches

        def greedy(data: Any, *arguments: Any, **options: Any) -> Any:
            return ours(data, *arguments, **options | {"num_cpus": 1})

        def read(
            unit: Unit, store: Store, options: RunOptions, gpu_share: float, folder: Path
        ) -> dict[str, float]:
            with mock.patch.object(Dataset, "map_batches", greedy):
                batches = streaming.stream([store.root / "shard"], lambda table, position: {})
                return {"batches": float(len(list(streaming.watched(batches, silence=1.5))))}

        with mock.patch.dict(worker.RUNNERS, finetune=read):
            worker.trainable(config, **sent)

    monkeypatch.setattr(scheduler, "trainable", starved)
    monkeypatch.setitem(failures.RETRIES, "infrastructure", 1)
    made = plan("unet")
    (name,) = made.units
    with local_ray(cpus=1):
        told = carried_out(made, store, Capacity(1, 0), StallNotice(3600, pytest.fail))
    assert [event for _, event in told] == ["started", "again", "started", "failed"]
    failure = store.failure(name)
    assert failure["cause"] == "infrastructure"
    assert "Ray Data's tasks get no room on this machine beside the trials" in failure["reason"]
    assert "fewer trials leave more room: --cpus, --gpus" in failure["reason"]
    where = store.log_of(name) or ""
    assert "in watched" in where
    assert "\x1b" not in where
