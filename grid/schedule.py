"""Units to processes: Ray Data prepares, Ray Tune trains, each unit as soon as all it needs is finished.

Tune only schedules. What is finished is asked of the store, so a run that was killed is simply started
again over what is left; Tune's own state is never read.
"""

import logging
import tempfile
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.search import Searcher

from grid import feed, resources
from grid.plan import Plan, Unit
from grid.prepare import Job, prepare_all
from grid.store import Store
from grid.worker import Site, facts, trainable
from medpt.data.dataset import Dataset
from medpt.data.manifest import Manifest
from medpt.errors import InputError
from medpt.spec import Prepare

MAX_RETRIES = 3  # of one unit after infrastructure faults in one run
AHEAD = 2  # trials that wait beside the running ones, so that a freed process goes on at once

Listener = Callable[[str, Unit], object]  # ("started" | "finished" | "failed" | "blocked", unit)


class Units(Searcher):
    """Hands Ray Tune the units whose needs are finished, those that others wait for first."""

    def __init__(self, plan: Plan, todo: Iterable[str], store: Store, tell: Listener) -> None:
        super().__init__(metric="finished", mode="max")
        self.plan, self.store, self.tell = plan, store, tell
        self.waiting = {name: self.plan.units[name] for name in plan.units if name in set(todo)}
        self.running: dict[str, str] = {}
        self.lost: set[str] = set()
        self.lock = threading.Condition()

    def suggest(self, trial_id: str) -> Any:
        with self.lock:
            self.drop_blocked()
            name = next((name for name, unit in self.waiting.items() if self.is_ready(unit)), None)
            if name is None:
                return None if self.waiting else Searcher.FINISHED
            unit = self.waiting.pop(name)
            self.running[trial_id] = name
        self.tell("started", unit)
        return {"digest": name}

    def is_ready(self, unit: Unit) -> bool:
        return unit.kind != "prepare" and all(self.store.is_finished(need) for need in unit.needs)

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        with self.lock:
            name = self.running.pop(trial_id, None)
        if name is not None:
            self.settle(name, "infrastructure: the process died or a file could not be written" * error)

    def settle(self, name: str, reason: str = "") -> None:
        """Notes how a unit ended: what the store says, or `reason` where it says nothing."""
        unit = self.plan.units[name]
        finished = self.store.is_finished(name)
        if not finished and reason:
            self.store.fail(name, "infrastructure", reason)
        self.tell("finished" if finished else "failed", unit)
        with self.lock:
            self.waiting.pop(name, None)
            if not finished:
                self.lost.add(name)
            self.drop_blocked()
            self.lock.notify_all()

    def drop_blocked(self) -> None:
        """Units that need what will never be finished in this run do not wait for it."""
        for name, unit in list(self.waiting.items()):
            if self.lost.intersection(unit.needs):
                del self.waiting[name]
                self.lost.add(name)
                self.tell("blocked", unit)

    def wait_for_work(self) -> bool:
        """Waits until a unit can train; False where none ever will."""
        with self.lock:
            trains = [unit for unit in self.waiting.values() if unit.kind != "prepare"]
            while trains and not any(self.is_ready(unit) for unit in trains):
                self.lock.wait(1)
                trains = [unit for unit in self.waiting.values() if unit.kind != "prepare"]
        return bool(trains)

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
    preparing = threading.Thread(target=_prepare, args=(units, site, opened, on_images), daemon=True)
    preparing.start()
    if units.wait_for_work():
        _train(units, site)
    preparing.join()


def _prepare(
    units: Units, site: Site, opened: dict[str, Dataset], on_images: Callable[[int], object]
) -> None:
    store = units.store
    mine = {name: unit for name, unit in units.waiting.items() if unit.kind == "prepare"}
    started = {name: (store.attempt(name), _now()) for name in mine}
    jobs = []
    for name, unit in mine.items():
        assert isinstance(unit.spec, Prepare)  # noqa: S101 - for the type checker
        units.tell("started", unit)
        jobs.append(Job(name, unit.spec, opened[unit.spec.dataset], store.checkpoints(name)))
    try:
        for name, ended in prepare_all(jobs, on_images):
            attempt, begun = started[name]
            _publish(units, site, mine[name], ended, begun, attempt)
    except Exception as error:
        logging.getLogger(__name__).exception("preparing stopped")
        for name in [name for name in mine if name in units.waiting]:
            units.settle(name, f"infrastructure: {type(error).__name__}: {error}")


def _publish(
    units: Units, site: Site, unit: Unit, ended: Manifest | Exception, begun: float, attempt: int
) -> None:
    store = units.store
    if isinstance(ended, Manifest):
        metrics = {"images": float(ended.rows), "shards": float(len(ended.shards))}
        store.publish(unit.digest, store.checkpoints(unit.digest), facts(unit, metrics, begun, attempt))
        _warm(store, site, unit.digest, ended)
    else:
        store.fail(unit.digest, "data" if isinstance(ended, InputError) else "infrastructure", str(ended))
    units.settle(unit.digest)


def _warm(store: Store, site: Site, digest: str, manifest: Manifest) -> None:
    """Fills this node's cache while the shards are still in memory."""
    if feed.arrays.nbytes(manifest) <= site.cache_bytes:
        feed.fill_cache(store.folder(digest), Path(site.cache) / digest, manifest)


def _train(units: Units, site: Site) -> None:
    import ray

    available = ray.cluster_resources()
    gpus = available.get("GPU", 0)

    trained = {name: unit.spec for name, unit in units.waiting.items() if unit.kind != "prepare"}
    bundles = {name: resources.bundle(spec, gpus) for name, spec in trained.items()}

    def request(config: dict[str, Any]) -> tune.PlacementGroupFactory:
        return tune.PlacementGroupFactory([bundles[config["digest"]]])

    shares = [resources.gpu_share(spec) for spec in trained.values()]
    share = min(shares) if gpus else 0.0
    slots = int(gpus / share) if gpus else int(available.get("CPU", 1))
    site = replace(site, gpu_share=max(shares) if gpus else 0.0)
    with tempfile.TemporaryDirectory(prefix="medpt-tune-") as scratch:
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
                storage_path=scratch,
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=MAX_RETRIES),
            ),
        ).fit()


def _now() -> float:
    import time

    return time.time()
