"""MLflow's record of the store: one run a unit, found by its digest, brought up to date from outside.

The store and each unit's file of live metrics are the truth; this room copies them. A tracker that is away
costs nothing but the delay: what it missed is sent by the same command later. Nothing is sent twice, because
a run is found by its digest and takes only rows of steps that it does not have.
"""

import json
import logging
import threading
import time
from pathlib import Path
from textwrap import shorten
from typing import Any

from grid.addresses import hide_passwords
from grid.plan.plan import Plan, Unit
from grid.store.store import Store
from grid.tracking.client import all_runs, client, experiment, one_run
from grid.tracking.runs import DIGEST, EXPERIMENT, PLANS, SPACE, encode_plan
from medpt import files
from medpt.specs import Finetune, Pretrain

log = logging.getLogger(__name__)

PERIOD = 5.0  # seconds between looks at running units
PATIENCE = 15.0  # seconds without an answer after which the end of a run waits no longer
WIDTH = 160  # characters of a transport's words that are shown
HISTORY = "history.json"
BATCH, TAGS = 1_000, 100  # metrics and tags in one request, MLflow's limits


def default_uri(out: Path) -> str:
    return f"sqlite:///{out.absolute() / 'mlflow.db'}"


class Tracker:
    """Follows a run in a thread of its own; `note` is called by whoever sees a unit start or end."""

    def __init__(self, uri: str, store: Store, plan: Plan) -> None:
        self.uri, self.store, self.plan = uri, store, plan
        self.running: set[str] = set()
        self.unsent = [name for name in plan.units if store.is_finished(name)]
        self.runs: dict[str, tuple[str, str]] = {}  # digest: (run id, status)
        self.sent: dict[str, int] = {}  # digest: last step sent
        self.connection: Any = None
        self.lock = threading.Lock()
        self.stop = threading.Event()
        self.experiment = ""
        self.connecting = False
        self.heard = 0.0  # when the tracker last answered
        self.left = False
        self.problem: str | None = None
        self.thread = threading.Thread(target=self._follow, name="tracker", daemon=True)

    def start(self) -> None:
        self.thread.start()

    def note(self, event: str, unit: Unit) -> None:
        with self.lock:
            if event == "started":
                self.running.add(unit.digest)
            else:
                self.running.discard(unit.digest)
                if event in ("finished", "failed"):  # what never ran has no run
                    self.unsent.append(unit.digest)

    def finish(self) -> int:
        """Waits for the last records; the number of units that the tracker does not know yet.

        A request may hang for longer than anyone wants to wait: its thread is left to end with the process.
        Loading MLflow and making a database's schema are work, not waiting.
        """
        since = time.monotonic()
        self.stop.set()
        while self.thread.is_alive() and not self.left:
            self.thread.join(0.1)
            waited = time.monotonic() - max(since, self.heard)
            self.left = not self.connecting and waited > PATIENCE
        with self.lock:
            if self.unsent and self.problem is None:
                self.problem = f"no answer within {PATIENCE:.0f} s"
            return len(self.unsent)

    def _follow(self) -> None:
        while True:
            stopping = self.stop.is_set()
            try:
                self._update()
                self.problem = None
            except Exception as error:  # any: no fault of a tracker may touch the run
                self._complain(shorten(hide_passwords(error), WIDTH, placeholder=" …"))
            if self.left or (stopping and self.problem is None):
                return
            if stopping:
                time.sleep(1)
            else:
                self.stop.wait(PERIOD)

    def _complain(self, problem: str) -> None:
        """Once for as long as it stays the same."""
        if problem != self.problem:
            log.warning("%s: %s", hide_passwords(self.uri), problem)
        self.problem = problem

    def _update(self) -> None:
        if self.connection is None:
            self._connect()
        if not self.experiment:
            self._learn()
        with self.lock:
            running, unsent = sorted(self.running), list(self.unsent)
        for name in unsent:
            self._record(name)
            with self.lock:
                self.unsent.remove(name)
            self.heard = time.monotonic()
        for name in running:
            self._send_rows(name, self._run(name))

    def _connect(self) -> None:
        self.connecting = True
        try:
            self.connection = client(self.uri)
            self.heard = time.monotonic()
        finally:
            self.connecting = False

    def _learn(self) -> None:
        """What the tracker knows of the plan."""
        place = experiment(self.connection, self.store.root, EXPERIMENT)
        record_plan(self.connection, self.store.root, self.plan)
        for run in all_runs(self.connection, place):
            if DIGEST in run.data.tags:
                self._know(run)
        self.experiment = place

    def _know(self, run: Any) -> None:
        name = run.data.tags[DIGEST]
        self.runs[name] = (run.info.run_id, run.info.status)
        self.sent[name] = int(run.data.metrics.get("step", -1))

    def _run(self, name: str) -> str:
        """The unit's run, made where it is missing."""
        if name not in self.runs:
            unit = self.plan.units[name]
            tags = {DIGEST: name, "medpt.kind": unit.kind, SPACE: self.plan.space.name}
            run, made = one_run(self.connection, self.experiment, unit.label, tags, lambda: self._runs(name))
            self._know(run)
            if made:
                self.connection.log_batch(run.info.run_id, params=_params(unit))
        return self.runs[name][0]

    def _runs(self, name: str) -> list[Any]:
        return list(self.connection.search_runs([self.experiment], f"tags.`{DIGEST}` = '{name}'"))

    def _record(self, name: str) -> None:
        """Everything about a unit that ended."""
        finished, run_id = self.store.is_finished(name), self._run(name)
        if self.runs[name][1] == "FINISHED":
            return
        if finished:
            self._send_rows(name, run_id)
            self._send_result(name, run_id)
        elif name in self.store.failures():
            failure = self.store.failure(name)
            self.connection.set_tag(
                run_id, "medpt.failure", f"{failure['cause']}: {failure['reason']}"[:5000]
            )
        status = "FINISHED" if finished else "FAILED"
        self.connection.set_terminated(run_id, status, _milliseconds(self._ended(name)))
        self.runs[name] = (run_id, status)

    def _ended(self, name: str) -> float:
        return float(self.store.marker(name)["ended"]) if self.store.is_finished(name) else time.time()

    def _send_rows(self, name: str, run_id: str) -> None:
        """Metrics by step that the run does not have yet; "step" itself last, as the receipt."""
        from mlflow.entities import Metric

        last = self.sent.get(name, -1)
        rows = [row for row in self._history(name) if row["step"] > last]
        metrics = [
            Metric(key, value, _milliseconds(row["time"]), int(row["step"]))
            for row in rows
            for key, value in sorted(row.items(), key=lambda item: item[0] == "step")
            if key != "time"
        ]
        for start in range(0, len(metrics), BATCH):
            self.connection.log_batch(run_id, metrics=metrics[start : start + BATCH])
            self.heard = time.monotonic()
        if rows:
            self.sent[name] = int(rows[-1]["step"])

    def _history(self, name: str) -> list[dict[str, float]]:
        if not self.store.is_finished(name):
            return _rows(self.store.live_rows(name))
        if HISTORY not in self.store.marker(name)["artifacts"]:
            return []
        return files.read_json(self.store.artifact(name, HISTORY))

    def _send_result(self, name: str, run_id: str) -> None:
        from mlflow.entities import Metric, RunTag

        marker = self.store.marker(name)
        ended = _milliseconds(marker["ended"])
        results = marker["metrics"] | {"seconds": marker["ended"] - marker["started"]}
        metrics = [Metric(f"result.{key}", float(value), ended, 0) for key, value in results.items()]
        tags = [RunTag("medpt.version", str(marker["version"])), RunTag("medpt.host", marker["host"])]
        # parameters again: a kill may have come between the run and them
        params = _params(self.plan.units[name])
        self.connection.log_batch(run_id, metrics=metrics, params=params, tags=tags)
        for file in self.store.notes(name):  # weights and pixels stay in the store
            self.connection.log_artifact(run_id, str(file))
            self.heard = time.monotonic()


def record_plan(connection: Any, out: Path, plan: Plan) -> None:
    """What the space consists of, for those who have the tracker alone; one run a space."""
    from mlflow.entities import RunTag

    name, place = plan.space.name, experiment(connection, out, PLANS)
    tags = encode_plan(plan.plain())

    def known() -> list[Any]:
        return [run for run in all_runs(connection, place) if run.data.tags.get(SPACE) == name]

    run, _ = one_run(connection, place, name, {SPACE: name}, known)
    if tags.items() <= run.data.tags.items():
        return
    rows = [RunTag(key, value) for key, value in tags.items()]
    for start in range(0, len(rows), TAGS):
        connection.log_batch(run.info.run_id, tags=rows[start : start + TAGS])
    connection.set_terminated(run.info.run_id)


def _rows(text: str) -> list[dict[str, float]]:
    """The whole lines of what another process may be appending to."""
    return [json.loads(line) for line in text.split("\n")[:-1]]


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


def _params(unit: Unit) -> list[Any]:
    from mlflow.entities import Param

    values = unit.spec.to_json()
    protocol = values.pop("protocol", {})
    flat = values | {f"protocol.{key}": value for key, value in protocol.items()} | _names(unit)
    return [Param(key, str(value)[:6000]) for key, value in flat.items()]


def _names(unit: Unit) -> dict[str, str]:
    """The factors by the names that queries use."""
    if isinstance(unit.spec, Finetune):
        return {"target": unit.spec.dataset}
    if isinstance(unit.spec, Pretrain):
        return {"source": "+".join(unit.spec.datasets)}
    return {}
