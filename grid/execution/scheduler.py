"""Run a plan: Ray Data prepares data, Ray Tune trains, and a unit starts once its inputs are finished.

Tune only schedules. The store says what is finished, so a killed run is resumed by running what is left; the
state of Tune is never read. A unit that is retried is a new trial, because it may need more of a machine.
"""

import math
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ray import tune
from ray.tune.execution import class_cache
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from grid.cluster.temp_folders import scratch
from grid.execution import allocation
from grid.execution.allocation import Allocations
from grid.execution.coordinator import Coordinator, Listener
from grid.execution.data_units import data_pipelines, prepare_data_units, publish_data
from grid.execution.failures import RetryPolicy, failure_of_trial
from grid.execution.progress import StallNotice
from grid.execution.worker import run_trial
from grid.options import RunOptions
from grid.plan.plan import Plan
from grid.store.store import Store
from medpt.data.dataset import Dataset

CREDENTIALS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN"}
AHEAD = 2  # trials that wait beside the running ones, so that a process which becomes free starts one at once


class UnitSearcher(Searcher):
    """Gives Ray Tune the trials of a coordinator. It keeps no state: what is finished, the store says."""

    def __init__(self, coordinator: Coordinator) -> None:
        super().__init__(metric="finished", mode="max")
        self.coordinator = coordinator

    def suggest(self, trial_id: str) -> Any:
        config = self.coordinator.next_trial(trial_id)
        if config is None and self.coordinator.is_done:
            return Searcher.FINISHED
        return config  # None: a unit that runs may be retried, or others may need it

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        if not error:  # TuneEvents hears of an error with its reason, in the same turn of Tune's loop
            self.coordinator.trial_ended(trial_id, (result or {}).get("outcome"))

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing for Tune's own file."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Save nothing."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing."""


class LiveTrialScheduler(FIFOScheduler):
    """Starts trials in Tune's order, without a scan of the ended ones before each start.

    That scan made the last thousand of 10,000 short units take 1.4 times as long as the first.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live: dict[Any, None] = {}  # trials in the order in which they came

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        self.live[trial] = None

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        self.live = {trial: None for trial in self.live if not trial.is_finished()}
        return next((trial for trial in self.live if trial.status == Trial.PENDING), None)

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing for Tune's own file."""
        return {}


class TuneEvents(tune.Callback):
    """Reports what Tune does not pass to a searcher: why a trial was lost, and which trials wait."""

    def __init__(self, coordinator: Coordinator, stall_notice: StallNotice) -> None:
        self.coordinator, self.stall_notice = coordinator, stall_notice

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing for Tune's own file."""
        return {}

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.coordinator.trial_lost(trial.trial_id, failure_of_trial(trial))

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self.stall_notice.check(trials)


class Budget(tune.Stopper):
    """Ends a run at a time of time.monotonic(): nothing starts any more, and what runs is stopped."""

    def __init__(self, coordinator: Coordinator, deadline: float) -> None:
        self.coordinator, self.deadline = coordinator, deadline

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing for Tune's own file."""
        return {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        if time.monotonic() < self.deadline:
            return False
        self.coordinator.stop()
        return True


@dataclass(frozen=True)
class RunListeners:
    """Callbacks of a run: for events of units, prepared data, and trials that cannot start."""

    on_event: Sequence[Listener]
    on_images: Callable[[int], object]  # called with a number of images
    on_prepared: Callable[[str], object]  # called with a dataset before what was prepared is published
    on_stall: Callable[[str], object]  # called with what trials wait for
    deadline: float = math.inf  # of time.monotonic(), at which the run ends


def run_units(
    plan: Plan,
    todo: Collection[str],
    store: Store,
    options: RunOptions,
    datasets: Mapping[str, Dataset],
    listeners: RunListeners,
) -> None:
    """Run the units of `todo` until each is finished, failed or blocked. Ray must be initialised."""
    capacity = allocation.capacity(options.cpus, options.gpus)
    measured = allocation.measured_shares(plan, todo, store) if capacity.gpus else {}
    allocations = Allocations(capacity.gpus, measured, allocation.largest_node)
    coordinator = Coordinator(plan, todo, store, RetryPolicy(allocations), listeners.on_event)
    pipelines = data_pipelines(store, datasets, listeners.on_images, listeners.on_prepared)
    preparing = threading.Thread(
        target=prepare_data_units,
        args=(coordinator, store, pipelines, partial(publish_data, store, options)),
        daemon=True,
    )
    preparing.start()
    trials = [unit for name, unit in plan.units.items() if name in todo and not unit.spec.makes_data]
    if trials:
        slots = capacity.slots(min(allocations.allocation_for(unit).gpu or 1.0 for unit in trials))
        if len(trials) < len(todo):  # data come first: meanwhile processes can load what they will need
            coordinator.warm_up(unit.digest for unit in trials[:slots])
        sent = {"options": options.for_worker(), "plan": plan.digest, "run": store.leases.run}
        events = TuneEvents(coordinator, StallNotice(options.stall_seconds, listeners.on_stall))
        _run_tune(coordinator, events, slots, sent, listeners.deadline)
    preparing.join()


def _run_tune(
    coordinator: Coordinator, events: TuneEvents, slots: int, sent: dict[str, Any], deadline: float
) -> None:
    """Let Tune run the trials of a coordinator, `slots` of them at once; workers also get `sent`.

    Trials take credentials from the environment of their node. Tune would put those of the driver into the
    command lines of its processes, which every user of a machine can read.
    """
    class_cache.ENV_VARS_TO_PROPAGATE.difference_update(CREDENTIALS)
    with tempfile.TemporaryDirectory(prefix="medpt-tune-", dir=scratch()) as storage:
        tune.Tuner(
            tune.with_resources(tune.with_parameters(run_trial, **sent), resources),
            tune_config=tune.TuneConfig(
                search_alg=UnitSearcher(coordinator),
                scheduler=LiveTrialScheduler(),
                num_samples=-1,
                reuse_actors=True,
                max_concurrent_trials=slots + AHEAD,
            ),
            run_config=tune.RunConfig(
                storage_path=storage, verbose=0, callbacks=[events], stop=Budget(coordinator, deadline)
            ),
        ).fit()


def resources(config: dict[str, Any]) -> tune.PlacementGroupFactory:
    """Return what Ray reserves for a trial."""
    gpu = {"GPU": config["gpu"]} if config["gpu"] else {}
    return tune.PlacementGroupFactory([{"CPU": config["cpus"], **gpu}])
