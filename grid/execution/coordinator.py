"""The state of every unit of a run, shared by Ray Tune's loop and the thread that prepares data."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Literal

from grid.execution import failures
from grid.execution.failures import Retry, RetryPolicy, TrialFailure
from grid.execution.ready_queue import ReadyQueue
from grid.execution.worker import Outcome
from grid.plan.plan import Plan, Unit
from grid.store.leases import Lease
from grid.store.records import Cause
from grid.store.store import Store
from medpt.files import free_space

log = logging.getLogger(__name__)

REFRESH_SECONDS = 5.0  # between checks of the store for units that other drivers finished
DEFER_SECONDS = 10.0  # that a unit waits on which another driver works
DEFER_DATA_SECONDS = 1.0  # the same for a data unit, which needs no process
WAIT_SECONDS = 1.0  # between checks of what may start; Tune itself checks once a second

Event = Literal["started", "finished", "failed", "blocked", "retried", "taken"]
Listener = Callable[[Event, Unit], object]


class Coordinator:
    """Decides which unit starts next, and what happens when one ends. Any thread may call its methods.

    Only the store says whether a unit is finished. Listeners hear the events of all units in order. They must
    return soon, and must not call the coordinator.
    """

    def __init__(
        self,
        plan: Plan,
        todo: Collection[str],
        store: Store,
        policy: RetryPolicy,
        listeners: Sequence[Listener] = (),
    ) -> None:
        """Take the units of `todo` from the plan. The others are finished, or lost for this run."""
        self._units, self._store, self._policy, self._listeners = plan.units, store, policy, listeners
        self._queue = ReadyQueue(unit for name, unit in plan.units.items() if name in todo)
        self._trials: dict[str, str | None] = {}  # the unit of each trial; None of a trial that warms up
        self._warm_ups: list[str] = []
        self._changed = threading.Condition()
        self._stopped = False
        finished, self._refreshed = store.finished(), time.monotonic()
        with self._changed:
            self._tell("finished", self._queue.add_finished(finished))
            for name in plan.units:
                if name not in todo and name not in finished:
                    self._tell("blocked", self._queue.fail(name))

    @property
    def is_done(self) -> bool:
        """Whether no unit waits or runs, or the run was stopped."""
        with self._changed:
            return self._stopped or self._queue.is_done

    def stop(self) -> None:
        """Start no unit any more. What runs is not recorded as a failure when it ends."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def warm_up(self, digests: Iterable[str]) -> None:
        """Hand out a trial for each of these units that only loads what training needs.

        Such trials start while no unit is ready, that is, while the first data are prepared.
        """
        with self._changed:
            self._warm_ups = list(digests)

    def next_trial(self, trial_id: str) -> dict[str, Any] | None:
        """Return the configuration of a trial: the digest of its unit, and its share of a machine.

        Return None if no unit is ready while trials run. If none runs, wait until one is ready or all ended.
        """
        while True:
            self.refresh()
            with self._changed:
                if self._stopped:
                    return None
                if config := self._start_trial(trial_id):
                    return config
                if self._trials or self._queue.is_done:
                    return None
                self._changed.wait(WAIT_SECONDS)

    def trial_ended(self, trial_id: str, outcome: Outcome | None) -> None:
        """Handle a trial that returned; the store says how its unit ended, unless it was taken."""
        if digest := self._end_trial(trial_id):
            self._end(digest, outcome)

    def trial_lost(self, trial_id: str, failure: TrialFailure) -> None:
        """Handle a trial that raised an error or lost its process."""
        if digest := self._end_trial(trial_id):
            self._end(digest, failure)

    def take_data_units(self) -> list[tuple[Unit, Lease]]:
        """Claim the data units of one kind that can be prepared now, and return them with their leases.

        Wait for the first of them. Return nothing once no data unit waits.
        """
        while True:
            self.refresh()
            with self._changed:
                if self._stopped:
                    return []
                digests = self._queue.next_data_units(time.monotonic())
                if not digests and not self._queue.has_data_units:
                    return []
                if not digests:
                    self._changed.wait(WAIT_SECONDS)
            leases = {digest: lease for digest in digests if (lease := self._claim(digest))}
            if leases:
                with self._changed:
                    self._tell("started", leases)
                return [(self._units[digest], lease) for digest, lease in leases.items()]

    def data_unit_ended(self, digest: str, result: Outcome | TrialFailure) -> None:
        """Handle a data unit that was published, that another driver has taken, or that failed."""
        self._end(digest, result)

    def refresh(self) -> None:
        """Ask the store, at most every REFRESH_SECONDS, which units other drivers have finished."""
        with self._changed:
            if time.monotonic() - self._refreshed < REFRESH_SECONDS:
                return
            self._refreshed = time.monotonic()
        finished = self._store.finished()
        with self._changed:
            self._tell("finished", self._queue.add_finished(finished))
            self._changed.notify_all()

    def _start_trial(self, trial_id: str) -> dict[str, Any] | None:
        digest = self._queue.next_trial(time.monotonic())
        if digest:
            self._trials[trial_id] = digest
            self._tell("started", [digest])
            return self._config(digest)
        if self._warm_ups:
            self._trials[trial_id] = None
            return self._config(self._warm_ups.pop()) | {"warm_up": True}
        return None

    def _config(self, digest: str) -> dict[str, Any]:
        allocation = self._policy.allocation_for(self._units[digest])
        return {"digest": digest, "cpus": allocation.cpus, "gpu": allocation.gpu}

    def _end_trial(self, trial_id: str) -> str | None:
        with self._changed:
            return self._trials.pop(trial_id, None)

    def _claim(self, digest: str) -> Lease | None:
        """Return the lease of a data unit; without one, end the unit or let it wait."""
        try:
            lease = self._store.claim(digest)
        except OSError as error:
            self._end(digest, TrialFailure(failures.classify(error), failures.describe(error)))
            return None
        if lease is None and self._store.is_finished(digest):
            self._end(digest, "finished")
        elif lease is None:
            with self._changed:
                self._queue.defer(digest, time.monotonic() + DEFER_DATA_SECONDS)
        return lease

    def _end(self, digest: str, result: Outcome | TrialFailure | None) -> None:
        if result == "taken":
            self._defer(digest)
            return
        if self._stopped and not self._store.is_finished(digest):
            return
        cause = None if self._store.is_finished(digest) else self._record_failure(digest, result)
        with self._changed:
            if cause is None:
                self._queue.finish(digest)
                self._tell("finished", [digest])
            elif isinstance(self._policy.decide(self._units[digest], cause), Retry):
                self._queue.retry(digest)
                self._tell("retried", [digest])
            else:
                self._tell("failed", [digest])
                self._tell("blocked", self._queue.fail(digest))
            self._changed.notify_all()

    def _defer(self, digest: str) -> None:
        """Let the other units go first, as another driver works on this one."""
        with self._changed:
            self._queue.defer(digest, time.monotonic() + DEFER_SECONDS)
            self._tell("taken", [digest])

    def _record_failure(self, digest: str, failure: Outcome | TrialFailure | None) -> Cause:
        """Write a failure to the store and return its cause; else return the one that the worker recorded."""
        if not isinstance(failure, TrialFailure):
            return self._store.failure(digest).cause
        reason = failure.reason
        if failure.cause == "infrastructure":
            reason = f"{reason}; {free_space(self._store.root)}"
        try:
            self._store.fail(digest, failure.cause, reason, failure.trace)
        except OSError as error:  # the disk is full: the units that wait must still come to their end
            log.error("could not record the failure of %s (%s): %s", self._units[digest].label, reason, error)
        return failure.cause

    def _tell(self, event: Event, digests: Iterable[str]) -> None:
        """Tell all listeners; the caller holds the lock, so that events come in the order of the changes."""
        for digest in digests:
            for listener in self._listeners:
                listener(event, self._units[digest])
