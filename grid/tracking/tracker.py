"""Copy units from the store to MLflow: one run per unit, found by the unit's digest.

Nothing is sent twice. A run gets only the metrics of steps that it lacks, and a result only until MLflow has
it as finished.
"""

import getpass
import json
import time
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from grid import package_data
from grid.plan.plan import Plan, Unit, merge
from grid.plan.stored_plans import read_space, recorded_digests
from grid.space.protocols import PROTOCOL_FIELDS
from grid.store.store import Store
from grid.tracking.client import all_runs, experiment_id, find_or_create_run
from grid.tracking.names import metric_name, run_name
from grid.tracking.runs import (
    DIGEST,
    EXPERIMENT,
    KIND,
    PARTS,
    PLANS,
    SPACE,
    SUPERSEDED,
    decode_plan,
    encode_plan,
)
from medpt import files
from medpt.protocol import TrainingProtocol
from medpt.specs import PUBLISHED_WEIGHTS, Finetune, Prepare, Pretrain

HISTORY = "history.json"
MAX_METRICS, MAX_TAGS = 1_000, 100  # in one request, MLflow's limits
MAX_PARAM, MAX_TAG = 6_000, 5_000  # characters
DATASET_DIGEST = 36  # characters that MLflow keeps
LABEL, LAST_STEP = "medpt.label", "medpt.last_step"


class Tracker:
    """Writes the units of a plan; `on_answer` is called after each of several requests."""

    def __init__(self, connection: Any, store: Store, plan: Plan, on_answer: Callable[[], object]) -> None:
        """Record the plan, and read which units MLflow has already."""
        self.connection, self.store, self.plan, self.on_answer = connection, store, plan, on_answer
        self.runs: dict[str, tuple[str, str]] = {}  # digest: (run id, status)
        self.last_steps: dict[str, int] = {}  # digest: last step that MLflow has
        self.origin = _origin(plan)
        self.experiment = experiment_id(connection, store.root, EXPERIMENT)
        record_plan(connection, store, plan)
        known = [run for run in all_runs(connection, self.experiment) if DIGEST in run.data.tags]
        for run in known:
            self._remember(run)
        self._tag_superseded(known)

    def record(self, digest: str) -> None:
        """Send everything about a unit that has ended."""
        finished, run_id = self.store.is_finished(digest), self._run_id(digest)
        if self.runs[digest][1] == "FINISHED":
            return
        if finished:
            self.send_metrics(digest)
            self._send_result(digest, run_id)
        elif digest in self.store.failures():
            failure = self.store.failure(digest)
            reason = f"{failure.cause}: {failure.reason}"
            self.connection.set_tag(run_id, "medpt.failure", reason[:MAX_TAG])
        status = "FINISHED" if finished else "FAILED"
        self.connection.set_terminated(run_id, status, _milliseconds(self._end_time(digest)))
        self.runs[digest] = (run_id, status)

    def send_metrics(self, digest: str) -> None:
        """Send the metrics of the steps that MLflow lacks.

        The tag LAST_STEP, which a request sets last, shows which rows arrived completely.
        """
        from mlflow.entities import RunTag

        run_id, last = self._run_id(digest), self.last_steps.get(digest, -1)
        rows = [row for row in self._history(digest) if row["step"] > last]
        count = MAX_METRICS // max((len(row) for row in rows), default=1)
        for start in range(0, len(rows), count):
            some = rows[start : start + count]
            metrics, step = [metric for row in some for metric in _metrics(row)], int(some[-1]["step"])
            self.connection.log_batch(run_id, metrics=metrics, tags=[RunTag(LAST_STEP, str(step))])
            self.last_steps[digest] = step
            self.on_answer()

    def _run_id(self, digest: str) -> str:
        """Return the id of the unit's run, and create the run if it is missing."""
        if digest not in self.runs:
            unit = self.plan.units[digest]
            tags = {DIGEST: digest, KIND: unit.kind, SPACE: self.plan.space, LABEL: unit.label}
            tags |= self.origin
            run, created = find_or_create_run(
                self.connection, self.experiment, run_name(unit), tags, lambda: self._find_runs(digest)
            )
            self._remember(run)
            if created:
                self.connection.log_batch(run.info.run_id, params=_params(unit, self.plan))
        return self.runs[digest][0]

    def _tag_superseded(self, runs: list[Any]) -> None:
        """Tag the runs of units that another unit of the same label has replaced.

        That happens when a dataset's card, a setting of the space or the version of an algorithm changed. A
        unit counts as replaced if this store has its result and no recorded plan needs it.
        """
        planned = {(unit.kind, unit.label): digest for digest, unit in self.plan.units.items()}
        others = [run for run in runs if run.data.tags[DIGEST] not in self.plan.units]
        needed: set[str] | None = None
        for run in others:
            tags = run.data.tags
            label = tags.get(LABEL, run.info.run_name)  # up to version 0.3.1 the run's name
            successor = planned.get((tags.get(KIND), label))
            if not successor or tags.get(SPACE) != self.plan.space or tags.get(SUPERSEDED) == successor:
                continue
            needed = recorded_digests(self.store) if needed is None else needed
            if tags[DIGEST] not in needed and self.store.is_finished(tags[DIGEST]):
                self.connection.set_tag(run.info.run_id, SUPERSEDED, successor)
        for run in runs:
            if SUPERSEDED in run.data.tags and run.data.tags[DIGEST] in self.plan.units:
                self.connection.delete_tag(run.info.run_id, SUPERSEDED)

    def _find_runs(self, digest: str) -> list[Any]:
        return list(self.connection.search_runs([self.experiment], f"tags.`{DIGEST}` = '{digest}'"))

    def _remember(self, run: Any) -> None:
        digest = run.data.tags[DIGEST]
        self.runs[digest] = (run.info.run_id, run.info.status)
        last = run.data.tags.get(LAST_STEP, run.data.metrics.get("step", -1))  # up to 0.3.1 a metric
        self.last_steps[digest] = int(last)

    def _end_time(self, digest: str) -> float:
        return self.store.marker(digest).ended if self.store.is_finished(digest) else time.time()

    def _history(self, digest: str) -> list[dict[str, float]]:
        if not self.store.is_finished(digest):
            return _complete_rows(self.store.live_rows(digest))
        if HISTORY not in self.store.marker(digest).artifacts:
            return []
        return files.read_json(self.store.artifact(digest, HISTORY))

    def _send_result(self, digest: str, run_id: str) -> None:
        """Send the final metrics and the small files; weights and pixels stay in the store."""
        from mlflow.entities import Metric, RunTag

        marker, unit = self.store.marker(digest), self.plan.units[digest]
        ended = _milliseconds(marker.ended)
        results = {**marker.metrics, "seconds": marker.seconds}
        metrics = [Metric(metric_name(unit, k), float(v), ended, 0) for k, v in results.items()]
        tags = [RunTag("medpt.version", str(marker.version)), RunTag("medpt.host", marker.host)]
        tags += [RunTag("medpt.origin", marker.origin.publisher)] if marker.origin else []
        # The parameters again: a process may have been killed before it sent them
        self.connection.log_batch(run_id, metrics=metrics, params=_params(unit, self.plan), tags=tags)
        if inputs := _inputs(unit, self.plan):
            self.connection.log_inputs(run_id, datasets=inputs)
        for file in self.store.small_artifacts(digest):
            self.connection.log_artifact(run_id, str(file))
            self.on_answer()


def record_plan(connection: Any, store: Store, plan: Plan) -> None:
    """Record the trials of a space, for those who have MLflow alone; one run per space.

    A selection is added to what MLflow and the store know of the space.
    """
    from mlflow.entities import RunTag

    name, experiment = plan.space, experiment_id(connection, store.root, PLANS)

    def find() -> list[Any]:
        return [run for run in all_runs(connection, experiment) if run.data.tags.get(SPACE) == name]

    run, _ = find_or_create_run(connection, experiment, name, {SPACE: name}, find)
    tags = encode_plan(_with_recorded(plan, store, run.data.tags) if plan.selection else plan)
    if tags.items() <= run.data.tags.items():
        return
    rows = [RunTag(key, value) for key, value in tags.items()]
    for start in range(0, len(rows), MAX_TAGS):
        connection.log_batch(run.info.run_id, tags=rows[start : start + MAX_TAGS])
    connection.set_terminated(run.info.run_id)


def _with_recorded(selection: Plan, store: Store, tags: dict[str, str]) -> Plan:
    recorded = [decode_plan(tags)] if PARTS in tags else []
    stored = read_space(store, selection.space)
    return merge([*recorded, *([stored] if stored else []), selection])


def _metrics(row: dict[str, float]) -> list[Any]:
    from mlflow.entities import Metric

    when, step = _milliseconds(row["time"]), int(row["step"])
    return [Metric(key, value, when, step) for key, value in row.items() if key not in ("time", "step")]


def _origin(plan: Plan) -> dict[str, str]:
    """Return the tags in which MLflow's page shows who ran what, from which commit."""
    tags = {
        "mlflow.user": _user(),
        "mlflow.source.name": f"python -m grid.run --space {plan.space}",
        "mlflow.source.type": "LOCAL",
    }
    commit = package_data.commit()
    return tags | ({"mlflow.source.git.commit": commit} if commit else {})


def _user() -> str:
    """Return the user's name, or MLflow's word where a container runs as a number without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # OSError from Python 3.13 on
        return "unknown"


def _inputs(unit: Unit, plan: Plan) -> list[Any]:
    """Return the prepared data that a unit reads, each with the digest of its preparation."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    found = []
    for data in (plan.units[name] for name in unit.needs if name in plan.units):
        if isinstance(data.spec, Prepare):
            context = InputTag(
                "mlflow.data.context", "pre-training" if unit.kind == "pretrain" else "training"
            )
            source = json.dumps({"fingerprint": data.spec.fingerprint, "pipeline": data.spec.pipeline})
            dataset = Dataset(data.label, data.digest[:DATASET_DIGEST], "local", source)
            found.append(DatasetInput(dataset, [context]))
    return found


def _complete_rows(text: str) -> list[dict[str, float]]:
    """Return the rows of a file to which another process may be appending, less an incomplete last line."""
    return [json.loads(line) for line in text.split("\n")[:-1]]


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


def _params(unit: Unit, plan: Plan) -> list[Any]:
    from mlflow.entities import Param

    values = unit.spec.to_json()
    values.pop("protocol", None)
    flat = values | _protocol(unit) | _factors(unit, plan)
    return [Param(key, str(value)[:MAX_PARAM]) for key, value in flat.items()]


def _protocol(unit: Unit) -> dict[str, Any]:
    protocol: TrainingProtocol | None = getattr(unit.spec, "protocol", None)
    if protocol is None:
        return {}
    return {f"protocol.{item.name}": protocol.value(item.name) for item in fields(protocol)}


def _factors(unit: Unit, plan: Plan) -> dict[str, str]:
    """Return the factors that a query names differently than the specification."""
    spec = unit.spec
    found: dict[str, str] = {}
    if isinstance(spec, Finetune):
        data = plan.units[spec.data].spec
        found = {"target": spec.dataset, "split_seed": str(getattr(data, "split_seed", 0))}
        varied = {name: spec.protocol.value(name) for name in PROTOCOL_FIELDS if name != "size"}
        found |= {name: str(value) for name, value in (varied | {"size": plan.sizes[spec.data]}).items()}
    if isinstance(spec, Pretrain):
        found = {"source": "+".join(spec.datasets)}
    if getattr(spec, "initialization", "") == PUBLISHED_WEIGHTS:
        found["initialization"] = plan.initialization_of(spec)
    trained = plan.units.get(getattr(spec, "weights", None) or "", unit).spec
    return found | ({"pretrain_seed": str(trained.seed)} if isinstance(trained, Pretrain) else {})
