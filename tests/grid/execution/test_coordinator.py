"""The coordinator with a store in memory: retries, failures, other drivers, and several threads at once."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from made_units import data_unit, plan_of, trial_unit

from grid.execution import coordinator as coordination
from grid.execution import failures
from grid.execution.allocation import Allocations
from grid.execution.coordinator import Coordinator
from grid.execution.failures import RetryPolicy, TrialFailure
from grid.plan.plan import Unit
from grid.store.leases import Lease
from grid.store.records import Cause, Failure

LOST = TrialFailure("infrastructure", "the node was lost")


class MemoryStore:
    """The part of a store that a coordinator uses."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.done: set[str] = set()
        self.failed: dict[str, Failure] = {}
        self.held: set[str] = set()  # by other drivers
        self.error: OSError | None = None  # raised by every write

    def finished(self) -> set[str]:
        return set(self.done)

    def is_finished(self, digest: str) -> bool:
        return digest in self.done

    def failure(self, digest: str) -> Failure:
        return self.failed[digest]

    def fail(self, digest: str, cause: Cause, reason: str, trace: str | None = None) -> None:
        if self.error:
            raise self.error
        self.failed[digest] = Failure(cause, reason, trace, 0.0)

    def claim(self, digest: str) -> Lease | None:
        if self.error:
            raise self.error
        return None if digest in self.held | self.done else Lease(digest, 1)


class Made:
    """A coordinator, its store, and the events that a listener heard."""

    def __init__(
        self,
        folder: Path,
        units: Iterable[Unit],
        todo: Iterable[Unit] | None = None,
        allocations: Allocations | None = None,
    ) -> None:
        plan = plan_of(units)
        names = set(plan.units) if todo is None else {unit.digest for unit in todo}
        self.store, self.events = MemoryStore(folder), list[tuple[str, str]]()
        store: Any = self.store
        policy = RetryPolicy(allocations or Allocations())
        self.coordinator = Coordinator(plan, names, store, policy, [self.hear])

    def hear(self, event: str, unit: Unit) -> None:
        self.events.append((event, unit.label))

    def run(self, end: Callable[[int], TrialFailure | None]) -> list[dict[str, Any]]:
        """Run all trials; `end` gives how the n-th is lost, or None where the store says how it ended."""
        configs: list[dict[str, Any]] = []
        while config := self.coordinator.next_trial(str(len(configs))):
            configs.append(config)
            lost = end(len(configs))
            if lost:
                self.coordinator.trial_lost(str(len(configs) - 1), lost)
            else:
                self.coordinator.trial_ended(str(len(configs) - 1), "failed")
        assert self.coordinator.is_done
        return configs


def test_lost_work_is_retried_three_times_and_then_recorded(tmp_path: Path) -> None:
    made = Made(tmp_path, [unit := trial_unit(0)])
    made.run(lambda turn: TrialFailure("infrastructure", f"node {turn} was lost"))
    assert [event for event, _ in made.events] == ["started", "retried"] * 3 + ["started", "failed"]
    assert made.store.failed[unit.digest].reason.startswith("node 4 was lost; ")
    assert "MB free in" in made.store.failed[unit.digest].reason


def test_memory_is_retried_once_with_twice_the_share(tmp_path: Path) -> None:
    made = Made(tmp_path, [unit := trial_unit(0)], allocations=Allocations(gpus=1.0))
    configs = made.run(lambda turn: made.store.fail(unit.digest, "memory", f"not enough, {turn}"))
    assert [config["gpu"] for config in configs] == [0.25, 0.5]
    assert [event for event, _ in made.events] == ["started", "retried", "started", "failed"]
    assert made.store.failed[unit.digest].reason == "not enough, 2"


def test_unit_that_ray_killed_gets_the_largest_machine_alone(tmp_path: Path) -> None:
    made = Made(tmp_path, [trial_unit(0)], allocations=Allocations(largest_node=lambda: 4))
    configs = made.run(lambda turn: TrialFailure("memory", failures.KILLED))
    assert [config["cpus"] for config in configs] == [1, 4]


@pytest.mark.parametrize("cause", ["diverged", "data", "error"])
def test_failures_that_would_repeat_are_not_retried(tmp_path: Path, cause: str) -> None:
    made = Made(tmp_path, [unit := trial_unit(0)])
    made.run(lambda turn: made.store.fail(unit.digest, cause, "no"))
    assert [event for event, _ in made.events] == ["started", "failed"]


def test_next_trial_is_none_but_not_done_while_a_unit_may_come_back(tmp_path: Path) -> None:
    made = Made(tmp_path, [unit := trial_unit(0)])
    assert made.coordinator.next_trial("first") == {"digest": unit.digest, "cpus": 1, "gpu": 0.0}
    assert made.coordinator.next_trial("second") is None
    assert not made.coordinator.is_done
    made.coordinator.trial_lost("first", LOST)
    assert made.coordinator.next_trial("third") is not None


def test_stopped_run_starts_nothing_and_records_no_failure(tmp_path: Path) -> None:
    made = Made(tmp_path, [unit := trial_unit(0), trial_unit(1), data_unit(2)])
    assert made.coordinator.next_trial("first") is not None
    made.coordinator.stop()
    assert made.coordinator.next_trial("second") is None
    assert made.coordinator.take_data_units() == []
    made.coordinator.trial_ended("first", None)
    assert made.coordinator.is_done
    assert [event for event, _ in made.events] == ["started"]
    assert unit.digest not in made.store.failed


def test_failed_unit_blocks_what_needs_it(tmp_path: Path) -> None:
    first = trial_unit(0)
    second = trial_unit(1, [first])
    made = Made(tmp_path, [first, second, trial_unit(2, [second])])
    made.run(lambda turn: TrialFailure("error", "a fault of the code"))
    events = ["started", "failed", "blocked", "blocked"]
    assert made.events == list(zip(events, ["unet 0", "unet 0", "unet 1", "unet 2"], strict=True))


def test_unit_that_failed_before_blocks_what_needs_it(tmp_path: Path) -> None:
    failed = trial_unit(0)
    blocked = trial_unit(1, [failed])
    made = Made(tmp_path, [failed, blocked], todo=[blocked])
    assert made.events == [("blocked", "unet 1")]
    assert made.coordinator.next_trial("a") is None
    assert made.coordinator.is_done


def test_full_disk_does_not_stop_the_other_units(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = Made(tmp_path, [trial_unit(0), trial_unit(1)])
    made.store.error = OSError("no space")
    made.run(lambda turn: TrialFailure("error", "a fault of the code"))
    assert [event for event, _ in made.events] == ["started", "failed"] * 2
    assert "could not record the failure of unet 0 (a fault of the code): no space" in caplog.text


def test_unit_of_another_driver_is_deferred_behind_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coordination, "DEFER_SECONDS", 0.05)
    made = Made(tmp_path, [first := trial_unit(0), trial_unit(1)])
    made.coordinator.next_trial("a")
    made.coordinator.trial_ended("a", "taken")
    made.coordinator.next_trial("b")
    assert made.coordinator.next_trial("c") is None
    time.sleep(0.06)
    assert made.coordinator.next_trial("d") == {"digest": first.digest, "cpus": 1, "gpu": 0.0}
    assert [event for event, _ in made.events] == ["started", "taken", "started", "started"]


def test_refresh_finds_what_other_drivers_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = trial_unit(0)
    second = trial_unit(1, [first])
    made = Made(tmp_path, [first, second])
    made.store.done.add(first.digest)
    made.coordinator.refresh()
    assert made.events == []  # asked a moment ago
    monkeypatch.setattr(coordination, "REFRESH_SECONDS", 0)
    made.coordinator.refresh()
    assert made.events == [("finished", "unet 0")]
    config = made.coordinator.next_trial("a")
    assert config is not None
    assert config["digest"] == second.digest


def test_processes_warm_up_while_data_are_prepared(tmp_path: Path) -> None:
    data = data_unit(0)
    made = Made(tmp_path, [data, trial := trial_unit(1, [data])])
    made.coordinator.warm_up([trial.digest])
    expected = {"digest": trial.digest, "cpus": 1, "gpu": 0.0, "warm_up": True}
    assert made.coordinator.next_trial("a") == expected
    assert made.coordinator.next_trial("b") is None  # one trial for each unit, and one runs
    made.coordinator.trial_ended("a", "taken")
    assert made.events == []
    made.coordinator.take_data_units()
    made.store.done.add(data.digest)
    made.coordinator.data_unit_ended(data.digest, "finished")
    assert made.coordinator.next_trial("c") == {"digest": trial.digest, "cpus": 1, "gpu": 0.0}


def test_data_units_come_with_leases_and_end_as_the_store_says(tmp_path: Path) -> None:
    made = Made(tmp_path, units := [data_unit(0), data_unit(1), data_unit(2)])
    taken = made.coordinator.take_data_units()
    assert taken == [(unit, Lease(unit.digest, 1)) for unit in units]
    made.store.done.add(units[0].digest)
    made.coordinator.data_unit_ended(units[0].digest, "finished")
    made.coordinator.data_unit_ended(units[1].digest, TrialFailure("data", "a bad image"))
    made.coordinator.data_unit_ended(units[2].digest, LOST)
    ends = [event for event, _ in made.events[3:]]
    assert ends == ["finished", "failed", "retried"]
    assert [unit for unit, _ in made.coordinator.take_data_units()] == [units[2]]


def test_data_unit_of_another_driver_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coordination, "WAIT_SECONDS", 0.01)
    monkeypatch.setattr(coordination, "DEFER_DATA_SECONDS", 0.01)
    made = Made(tmp_path, units := [data_unit(0), data_unit(1)])
    made.store.held.update(unit.digest for unit in units)
    taken = list[list[str]]()
    thread = threading.Thread(
        target=lambda: taken.append([unit.label for unit, _ in made.coordinator.take_data_units()])
    )
    thread.start()
    time.sleep(0.1)
    assert not taken
    made.store.done.add(units[0].digest)
    made.store.held.clear()
    thread.join(10)
    assert taken == [["prepare 1"]]
    assert made.events == [("finished", "prepare 0"), ("started", "prepare 1")]


def test_data_unit_that_cannot_be_claimed_fails_after_retries(tmp_path: Path) -> None:
    data = data_unit(0)
    made = Made(tmp_path, [data, trial_unit(1, [data])])
    made.store.error = OSError("no space")
    assert made.coordinator.take_data_units() == []
    assert [event for event, _ in made.events] == ["retried"] * 3 + ["failed", "blocked"]


@pytest.mark.parametrize("seed", range(4))
def test_several_threads_run_each_unit_once_after_its_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Three threads take trials and one takes data units; some fail, some are lost once and retried."""
    monkeypatch.setattr(coordination, "WAIT_SECONDS", 0.01)
    rng = random.Random(seed)
    units: list[Unit] = []
    for number in range(60):
        needs = rng.sample(units, min(len(units), rng.choice([0, 1, 2])))
        units.append((data_unit if number % 5 == 0 else trial_unit)(number, needs))
    ends = {unit.digest: rng.choice(["finish"] * 8 + ["fail", "lose"]) for unit in units}
    made, runs, lock = Made(tmp_path, units), Counter[str](), threading.Lock()
    by_digest = {unit.digest: unit for unit in units}

    def run(digest: str) -> TrialFailure | None:
        assert made.store.done.issuperset(by_digest[digest].needs)
        with lock:
            runs[digest] += 1
        time.sleep(0.001)
        if ends[digest] == "lose" and runs[digest] == 1:
            return LOST
        if ends[digest] == "fail":
            return TrialFailure("error", "a fault of the code")
        made.store.done.add(digest)
        return None

    def train(name: str) -> None:
        number = 0
        while not made.coordinator.is_done:
            number += 1
            if config := made.coordinator.next_trial(f"{name} {number}"):
                lost = run(config["digest"])
                if lost:
                    made.coordinator.trial_lost(f"{name} {number}", lost)
                else:
                    made.coordinator.trial_ended(f"{name} {number}", "finished")

    def prepare() -> None:
        while taken := made.coordinator.take_data_units():
            for unit, _ in taken:
                made.coordinator.data_unit_ended(unit.digest, run(unit.digest) or "finished")

    threads = [threading.Thread(target=train, args=(name,)) for name in "abc"]
    threads.append(threading.Thread(target=prepare))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    events = Counter(event for event, _ in made.events)
    last = {label: event for event, label in made.events}
    assert set(last.values()) <= {"finished", "failed", "blocked"}
    assert events["finished"] + events["failed"] + events["blocked"] == len(last) == len(units)
    for unit in units:
        blocked = last[unit.label] == "blocked"
        assert runs[unit.digest] == (0 if blocked else 2 if ends[unit.digest] == "lose" else 1)
        assert blocked == any(last[by_digest[need].label] != "finished" for need in unit.needs)
