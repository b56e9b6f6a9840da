"""Keep MLflow up to date while units run, without delaying them.

The store and the live metrics of each unit are the results; MLflow gets copies. While it cannot be reached,
the units continue, and what it missed is sent when the same command is run again.
"""

import logging
import math
import threading
import time
from collections.abc import Sequence
from textwrap import shorten
from typing import Any

from grid.addresses import hide_passwords
from grid.plan.plan import Plan, Unit
from grid.store.store import Store
from grid.tracking.client import client, repair_needed
from grid.tracking.parents import GroupSummary
from grid.tracking.tracker import Tracker
from medpt.errors import InputError

log = logging.getLogger(__name__)

PERIOD = 5.0  # seconds from the start of an update to the next; one that takes longer is followed at once
PATIENCE = 15.0  # seconds without an answer after which the end of a run waits no longer
WIDTH = 160  # characters of an error that are printed


class BackgroundTracker:
    """Sends the units of a plan to MLflow from a thread.

    `problem` is why the last update failed, or None. It `needs_repair` where trying again does not help.
    """

    def __init__(self, uri: str, store: Store, plan: Plan) -> None:
        self.uri, self.store, self.plan = uri, store, plan
        self.problem: str | None = None
        self.needs_repair = False
        self.connection: Any = None
        self.tracker: Tracker | None = None
        self.unsent = [digest for digest in plan.units if store.is_finished(digest)]
        self._damaged: dict[str, str] = {}  # results that cannot be sent, by digest
        self._running: set[str] = set()
        self._summaries: Sequence[GroupSummary] = ()
        self._lock = threading.Lock()  # of `unsent` and `_running`
        self._stopping = threading.Event()
        self._connecting = False
        self._last_answer = 0.0
        self._first_failure = math.inf  # of the updates since the last one that sent a unit or succeeded
        self._abandoned = False
        self._thread = threading.Thread(target=self._follow, name="tracker", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def on_event(self, event: str, unit: Unit) -> None:
        """Handle an event of a unit; a unit that never ran gets no run in MLflow."""
        with self._lock:
            if event == "started":
                self._running.add(unit.digest)
            else:
                self._running.discard(unit.digest)
                if event in ("finished", "failed"):
                    self.unsent.append(unit.digest)

    def finish(self, summaries: Sequence[GroupSummary] = ()) -> int:
        """Wait for the last update, which has the summaries; return the number of units that MLflow lacks.

        After PATIENCE seconds without an answer the thread is left behind, as a request may hang for longer.
        Loading MLflow and creating its schema do not count as waiting. The thread itself ends after PATIENCE
        seconds of updates that were answered, but failed and sent no unit.
        """
        since = time.monotonic()
        self._summaries, self._first_failure = summaries, math.inf
        self._stopping.set()
        while self._thread.is_alive() and not self._abandoned:
            self._thread.join(0.1)
            waited = time.monotonic() - max(since, self._last_answer)
            self._abandoned = not self._connecting and waited > PATIENCE
        with self._lock:
            if self.unsent and self.problem is None:
                damage = next(iter(self._damaged.values()), None)
                self.needs_repair = damage is not None
                self.problem = damage or f"no answer within {PATIENCE:.0f} s"
            return len(self.unsent)

    def _follow(self) -> None:
        while True:
            stopping, begun = self._stopping.is_set(), time.monotonic()
            try:
                self._update()
                self.problem, self.needs_repair, self._first_failure = None, False, math.inf
            except Exception as error:  # no fault of MLflow may stop the run
                repair = repair_needed(error)
                self.needs_repair = repair is not None
                short = shorten(hide_passwords(error), WIDTH, placeholder=" …")
                self._report(hide_passwords(repair) if repair else short)
                self._first_failure = min(self._first_failure, time.monotonic())
            failing = time.monotonic() - self._first_failure
            if self._abandoned or (stopping and (self.problem is None or failing > PATIENCE)):
                return
            if stopping:
                time.sleep(1)
            else:
                self._stopping.wait(begun + PERIOD - time.monotonic())

    def _report(self, problem: str) -> None:
        """Log a problem once for as long as it stays the same."""
        if problem != self.problem:
            log.warning("%s: %s", hide_passwords(self.uri), problem)
        self.problem = problem

    def _update(self) -> None:
        tracker = self._connected()
        with self._lock:
            running = sorted(self._running)
            unsent = [digest for digest in self.unsent if digest not in self._damaged]
        for digest in unsent:
            try:
                tracker.record(digest)
            except InputError as error:  # a result that is damaged must not keep the others back
                self._damaged[digest] = str(error)
                continue
            with self._lock:
                self.unsent.remove(digest)
            self._first_failure = math.inf
            self._answered()
        for digest in running:
            tracker.send_metrics(digest)
        tracker.parents.record(self._summaries, self._answered)

    def _connected(self) -> Tracker:
        """Return the tracker; connect to MLflow first if that has not succeeded yet."""
        if self.connection is None:
            self._connecting = True
            try:
                self.connection = client(self.uri)
                self._answered()
            finally:
                self._connecting = False
        if self.tracker is None:
            self.tracker = Tracker(self.connection, self.store, self.plan, self._answered)
        return self.tracker

    def _answered(self) -> None:
        self._last_answer = time.monotonic()
