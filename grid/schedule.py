"""Units to processes: Ray Data prepares, Ray Tune trains, each unit as soon as all it needs is finished.

Tune only schedules. What is finished is asked of the store, so a run that was killed is simply started
again over what is left; Tune's own state is never read.
"""

import logging
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from ray import tune
from ray.tune.search import Searcher

from grid import resources
from grid.cluster import scratch
from grid.plan import Plan, Unit
from grid.site import Site
from grid.store import Store
from grid.supply import supply
from grid.worker import trainable
from medpt.data.dataset import Dataset
from medpt.files import room
from medpt.spec import DATA_KINDS, Spec

log = logging.getLogger(__name__)

MAX_RETRIES = 3  # of one unit after infrastructure faults in one run
AHEAD = 2  # trials that wait beside the running ones, so that a freed process goes on at once
ASIDE = 10.0  # seconds that a unit waits which another driver works on; the others go first
NEWS = 5.0  # seconds after which the store is asked what other drivers have finished

Listener = Callable[[str, Unit], object]  # (one of EVENTS, unit)
EVENTS = ("started", "finished", "failed", "blocked", "busy")  # busy: another driver works on it


class Units(Searcher):
    """Hands Ray Tune the units whose needs are finished, those that others wait for first.

    While the first data are prepared it hands out `warm_ups`: trials that only load what training needs.
    """

    def __init__(self, plan: Plan, todo: Iterable[str], store: Store, tell: Listener) -> None:
        super().__init__(metric="finished", mode="max")
        self.plan, self.store, self.tell = plan, store, tell
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
                return {"digest": self.warm_ups.pop(), "warm_up": True}
            while name is None and self.waiting and not self.running and not self.warming:
                self.lock.wait(1)  # Tune itself would look once a second
                name = self.next_ready()
            if name is None:
                return None if self.waiting else Searcher.FINISHED
            unit = self.waiting.pop(name)
            self.running[trial_id] = name
        self.tell("started", unit)
        return {"digest": name}

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
        with self.lock:
            self.warming.discard(trial_id)
            name = self.running.pop(trial_id, None)
        if name is not None and (result or {}).get("outcome") == "busy":
            self.put_aside(name)
        elif name is not None:
            lost = f"infrastructure: the process died or a file could not be written; {room(self.store.root)}"
            self.settle(name, lost * error)

    def put_aside(self, name: str) -> None:
        """Another driver works on the unit: the others first."""
        unit = self.plan.units[name]
        with self.lock:
            self.aside[name] = time.monotonic() + ASIDE
            self.waiting[name] = unit
        self.tell("busy", unit)

    def settle(self, name: str, reason: str = "") -> None:
        """Notes how a unit ended: what the store says, or `reason` where it says nothing."""
        unit = self.plan.units[name]
        finished = self.store.is_finished(name)
        if not finished and reason:
            self.note_failure(unit, reason)
        self.tell("finished" if finished else "failed", unit)
        with self.lock:
            self.waiting.pop(name, None)
            (self.finished if finished else self.lost).add(name)
            self.drop_blocked()
            self.lock.notify_all()

    def note_failure(self, unit: Unit, reason: str) -> None:
        try:
            self.store.fail(unit.digest, "infrastructure", reason)
        except OSError as error:  # the disk is full: the others that wait must still come to their end
            log.error("%s: %s (not on record: %s)", unit.label, reason, error)

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


def run(
    plan: Plan,
    todo: Iterable[str],
    store: Store,
    site: Site,
    opened: dict[str, Dataset],
    tell: Listener,
    on_images: Callable[[int], object],
) -> None:
    """Brings every unit of `todo` to its end. Ray must be initialised."""
    units = Units(plan, todo, store, tell)
    trained = {name: unit.spec for name, unit in units.waiting.items() if unit.kind not in DATA_KINDS}
    preparing = threading.Thread(target=supply, args=(units, site, opened, on_images), daemon=True)
    preparing.start()
    if trained:
        _train(units, site, trained)
    preparing.join()


def _train(units: Units, site: Site, trained: dict[str, Spec]) -> None:
    import ray

    available = ray.cluster_resources()
    gpus = available.get("GPU", 0)
    bundles = {name: resources.bundle(spec, gpus) for name, spec in trained.items()}

    def request(config: dict[str, Any]) -> tune.PlacementGroupFactory:
        return tune.PlacementGroupFactory([bundles[config["digest"]]])

    shares = [resources.gpu_share(spec) for spec in trained.values()]
    share = min(shares) if gpus else 0.0
    slots = int(gpus / share) if gpus else int(available.get("CPU", 1))
    site = replace(site, gpu_share=max(shares) if gpus else 0.0)
    if len(trained) < len(units.waiting):  # data first: processes can load meanwhile what they will need
        units.warm_ups = list(trained)[:slots]
    with tempfile.TemporaryDirectory(prefix="medpt-tune-", dir=scratch()) as storage:
        tune.Tuner(
            tune.with_resources(tune.with_parameters(trainable, site=site.plain()), request),
            tune_config=tune.TuneConfig(
                search_alg=units,
                num_samples=-1,
                reuse_actors=True,
                max_concurrent_trials=max(1, slots) + AHEAD,
            ),
            run_config=tune.RunConfig(
                name=units.plan.space.name,
                storage_path=storage,
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=MAX_RETRIES),
            ),
        ).fit()
