"""Units to processes: Ray Data prepares, Ray Tune trains, each unit as soon as all it needs is finished.

Tune only schedules. What is finished is asked of the store, so a run that was killed is simply started
again over what is left; Tune's own state is never read. A unit that is tried again is a new trial, as it may
need more of a machine.
"""

import logging
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from ray import tune
from ray.tune.search import Searcher

from grid.cluster.temp_folders import scratch
from grid.execution import failures, peaks
from grid.execution.allocation import Allocations, Capacity, largest_node
from grid.execution.data_units import supply
from grid.execution.stalled import StallNotice
from grid.execution.worker import trainable
from grid.options import RunOptions
from grid.plan.plan import Plan, Unit
from grid.store.store import Store
from medpt.data.dataset import Dataset
from medpt.files import free_space as room_left
from medpt.specs import DATA_KINDS

log = logging.getLogger(__name__)

AHEAD = 2  # trials that wait beside the running ones, so that a freed process goes on at once
ASIDE = 10.0  # seconds that a unit waits which another driver works on; the others go first
NEWS = 5.0  # seconds after which the store is asked what other drivers have finished

Listener = Callable[[str, Unit], object]  # (one of EVENTS, unit)
EVENTS = ("started", "finished", "failed", "blocked", "again", "busy")  # busy: another driver works on it


class Units(Searcher):
    """Hands Ray Tune the units whose needs are finished, those that others wait for first.

    While the first data are prepared it hands out `warm_ups`: trials that only load what training needs.
    """

    def __init__(
        self, plan: Plan, todo: Iterable[str], store: Store, tell: Listener, slices: Allocations | None = None
    ) -> None:
        super().__init__(metric="finished", mode="max")
        self.plan, self.store, self.tell = plan, store, tell
        self.slices = slices or Allocations()
        self.retried: Counter[tuple[str, str]] = Counter()  # by unit and cause
        self.waiting = {name: self.plan.units[name] for name in plan.units if name in set(todo)}
        self.running: dict[str, str] = {}
        self.finished, self.asked = store.finished(), time.monotonic()
        self.lost = {name for name in plan.units if name not in self.waiting} - self.finished
        self.aside: dict[str, float] = {}  # until when, of units that another driver works on
        self.warm_ups: list[str] = []  # units in whose place processes warm up
        self.warming: set[str] = set()
        self.lock = threading.Condition()

    def suggest(self, trial_id: str) -> Any:
        with self.lock:
            name = self.next_ready()
            if name is None and self.warm_ups:
                self.warming.add(trial_id)
                return self.config(self.warm_ups.pop()) | {"warm_up": True}
            while name is None and self.waiting and not self.running and not self.warming:
                self.lock.wait(1)  # Tune itself would look once a second
                name = self.next_ready()
            if name is None:
                return (
                    None if self.waiting or self.running else Searcher.FINISHED
                )  # a running one may come back
            unit = self.waiting.pop(name)
            self.running[trial_id] = name
        self.tell("started", unit)
        return self.config(name)

    def config(self, name: str) -> dict[str, Any]:
        """A trial, as plain values: its unit and what of a machine it gets."""
        slice_ = self.slices.of(self.plan.units[name])
        return {"digest": name, "cpus": slice_["CPU"], "gpu": slice_.get("GPU", 0.0)}

    def next_ready(self) -> str | None:
        self.drop_blocked()
        return next((name for name, unit in self.waiting.items() if self.is_ready(unit)), None)

    def is_ready(self, unit: Unit) -> bool:
        now = time.monotonic()
        if now - self.asked > NEWS:
            self.finished, self.asked = self.finished | self.store.finished(), now
        is_aside = self.aside.get(unit.digest, 0.0) > now
        return unit.kind not in DATA_KINDS and not is_aside and self.finished.issuperset(unit.needs)

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """Of a trial that broke, `broke` tells more in the same turn of Tune's loop."""
        name = None if error else self.leave(trial_id)
        if name is not None and (result or {}).get("outcome") == "busy":
            self.put_aside(name)
        elif name is not None:
            self.settle(name)

    def broke(self, trial_id: str, cause: str, reason: str, trace: str | None = None) -> None:
        name = self.leave(trial_id)
        if name is not None:
            self.settle(name, cause, reason, trace)

    def leave(self, trial_id: str) -> str | None:
        with self.lock:
            self.warming.discard(trial_id)
            return self.running.pop(trial_id, None)

    def put_aside(self, name: str) -> None:
        """Another driver works on the unit: the others first."""
        unit = self.plan.units[name]
        with self.lock:
            self.aside[name] = time.monotonic() + ASIDE
            self.waiting[name] = unit
        self.tell("busy", unit)

    def settle(self, name: str, cause: str = "", reason: str = "", trace: str | None = None) -> None:
        """Notes how a unit ended: what the store says, or what is given here where it says nothing."""
        unit = self.plan.units[name]
        finished = self.store.is_finished(name)
        if not finished:
            cause = self.noted(unit, cause, reason, trace)
        again = not finished and self.is_tried_again(unit, cause)
        self.tell("finished" if finished else "again" if again else "failed", unit)
        with self.lock:
            self.waiting.pop(name, None)
            if again:
                self.waiting = {name: unit, **self.waiting}
            else:
                (self.finished if finished else self.lost).add(name)
            self.drop_blocked()
            self.lock.notify_all()

    def noted(self, unit: Unit, cause: str, reason: str, trace: str | None) -> str:
        """The cause of a failure, on record; without one it is what the unit's process put there."""
        if not cause:
            return str(self.store.failure(unit.digest)["cause"])
        if cause == "infrastructure":
            reason = f"{reason}; {room_left(self.store.root)}"
        try:
            self.store.fail(unit.digest, cause, reason, trace)
        except OSError as error:  # the disk is full: the others that wait must still come to their end
            log.error("%s: %s (not on record: %s)", unit.label, reason, error)
        return cause

    def is_tried_again(self, unit: Unit, cause: str) -> bool:
        """Whether the same may end otherwise; where memory was too little, only with more of it."""
        if self.retried[unit.digest, cause] >= failures.RETRIES.get(cause, 0):
            return False
        self.retried[unit.digest, cause] += 1
        return cause != "memory" or self.slices.enlarge(unit)

    def drop_blocked(self) -> None:
        """Units that need what will never be finished in this run do not wait for it."""
        for name, unit in list(self.waiting.items()):
            if self.lost.intersection(unit.needs):
                del self.waiting[name]
                self.lost.add(name)
                self.tell("blocked", unit)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing for Tune's own file: the store is the state."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the store is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the store is the state."""


class Reports(tune.Callback):
    """What Tune's loop knows and the searcher is not told: why a trial broke, and that nothing starts."""

    def __init__(self, units: Units, patience: StallNotice) -> None:
        self.units, self.patience = units, patience

    def __getstate__(self) -> dict[str, Any]:
        """Nothing for Tune's own file."""
        return {}

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.units.broke(trial.trial_id, *failures.failure_of_trial(trial))

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self.patience.look(trials)


def run(
    plan: Plan,
    todo: Iterable[str],
    store: Store,
    options: RunOptions,
    opened: dict[str, Dataset],
    tell: Listener,
    on_images: Callable[[int], object],
    room: Capacity,
    patience: StallNotice,
) -> None:
    """Brings every unit of `todo` to its end. Ray must be initialised."""
    todo = set(todo)
    measured = peaks.shares(plan, todo, store) if room.gpus else {}
    units = Units(plan, todo, store, tell, Allocations(room.gpus, measured, largest_node))
    trained = [unit for unit in units.waiting.values() if unit.kind not in DATA_KINDS]
    preparing = threading.Thread(target=supply, args=(units, options, opened, on_images), daemon=True)
    preparing.start()
    if trained:
        _train(units, options, trained, room, patience)
    preparing.join()


def _train(
    units: Units, options: RunOptions, trained: list[Unit], room: Capacity, patience: StallNotice
) -> None:
    slots = room.slots(min(units.slices.of(unit).get("GPU", 1.0) for unit in trained))
    if len(trained) < len(units.waiting):  # data first: processes can load meanwhile what they will need
        units.warm_ups = [unit.digest for unit in trained[:slots]]
    sent = {"options": options.for_worker(), "plan": units.plan.space.name, "run": units.store.leases.run}
    with tempfile.TemporaryDirectory(prefix="medpt-tune-", dir=scratch()) as storage:
        tune.Tuner(
            tune.with_resources(tune.with_parameters(trainable, **sent), bundle),
            tune_config=tune.TuneConfig(
                search_alg=units,
                num_samples=-1,
                reuse_actors=True,
                max_concurrent_trials=slots + AHEAD,
            ),
            run_config=tune.RunConfig(
                name=units.plan.space.name,
                storage_path=storage,
                verbose=0,
                callbacks=[Reports(units, patience)],
            ),
        ).fit()


def bundle(config: dict[str, Any]) -> tune.PlacementGroupFactory:
    """What Ray reserves for a trial."""
    gpu = {"GPU": config["gpu"]} if config["gpu"] else {}
    return tune.PlacementGroupFactory([{"CPU": config["cpus"], **gpu}])
