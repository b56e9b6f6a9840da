"""Copy units from the store to MLflow: one run per unit, found by the unit's digest.

The runs of a space are in its experiment, prepared data in another. A unit that several spaces share has one
run, in the experiment of the space that recorded it first; the tag SPACES names all of them. The run of a
fine-tuning is below the run of its cell. Nothing is sent twice: a run gets only the metrics of steps that it
lacks, and a result only until MLflow has it as finished with the network that it kept.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from grid.plan.plan import Plan, merge
from grid.plan.stored_plans import read_space, recorded_digests
from grid.store.store import Store
from grid.tracking import contents
from grid.tracking.client import all_runs
from grid.tracking.experiments import NewRun, experiment_id, find_or_create_run, find_runs, open_experiments
from grid.tracking.models import NETWORK, find_or_create_model, kept_weights
from grid.tracking.names import PLANS, run_name
from grid.tracking.parents import Parents
from grid.tracking.runs import DIGEST, KIND, PARTS, SPACE, SUPERSEDED, decode_plan, encode_plan
from grid.tracking.subgroups import SUBGROUP, subgroup_metrics
from medpt import files

HISTORY = "history.json"
MAX_METRICS, MAX_TAGS = 1_000, 100  # in one request, MLflow's limits
MAX_TAG = 5_000  # characters
LABEL, LAST_STEP, SPACES = "medpt.label", "medpt.last_step", "medpt.spaces"

Rows = Sequence[Mapping[str, float]]  # of a history


class Tracker:
    """Writes the units of a plan; `on_answer` is called after each of several requests."""

    def __init__(self, connection: Any, store: Store, plan: Plan, on_answer: Callable[[], object]) -> None:
        """Record the plan, and read which units MLflow has already."""
        self.connection, self.store, self.plan, self.on_answer = connection, store, plan, on_answer
        self.runs: dict[str, tuple[str, str]] = {}  # digest: (run id, status)
        self.last_steps: dict[str, int] = {}  # digest: last step that MLflow has
        self.subgroups: dict[str, str] = {}  # digest: the column of which MLflow has scores
        self.networks: dict[str, str] = {}  # digest: the checksum of the weights whose model MLflow has
        self.origin = contents.origin(plan)
        self.experiments = open_experiments(connection, store.root, plan.space, plan.title)
        on_answer()
        record_plan(connection, store, plan)
        on_answer()
        found = all_runs(connection, self.experiments.known)
        self.parents = Parents(connection, self.experiments, plan, found)
        known = [run for run in found if DIGEST in run.data.tags]
        for run in known:
            self._remember(run)
        self._tag_superseded(known)
        self._tag_shared(known)

    def record(self, digest: str) -> None:
        """Send everything about a unit that has ended."""
        finished, run_id = self.store.is_finished(digest), self._run_id(digest)
        if finished:
            self._send_subgroups(digest, run_id)
        if self.runs[digest][1] == "FINISHED" and not (finished and self._lacks_network(digest)):
            return
        if finished:
            self._send_result(digest, run_id)
            self._send_files(digest, run_id)
        elif digest in self.store.failures():
            failure = self.store.failure(digest)
            reason = f"{failure.cause}: {failure.reason}"
            self.connection.set_tag(run_id, "medpt.failure", reason[:MAX_TAG])
        status = "FINISHED" if finished else "FAILED"
        ended = self.store.marker(digest).ended if finished else time.time()
        self.connection.set_terminated(run_id, status, contents.milliseconds(ended))
        self.runs[digest] = (run_id, status)

    def _lacks_network(self, digest: str) -> bool:
        """Whether a fine-tuning kept its network in a later run, after MLflow had its result."""
        kept = kept_weights(self.store, self.plan.units[digest])
        return kept is not None and self.networks.get(digest) != kept

    def _send_subgroups(self, digest: str, run_id: str) -> None:
        """Send the scores of subgroups, also to a run that was finished before its target named a column."""
        column = self.plan.subgroups.get(getattr(self.plan.units[digest].spec, "data", ""))
        if column and self.subgroups.get(digest) != column:
            if found := subgroup_metrics(self.plan, self.store, digest):
                self._log(run_id, found, {SUBGROUP: column})
            self.subgroups[digest] = column

    def send_metrics(self, digest: str) -> None:
        """Send the metrics of the steps that MLflow lacks."""
        self._send_rows(digest, self._run_id(digest), self._new_rows(digest))

    def _send_rows(self, digest: str, run_id: str, rows: Rows) -> None:
        """Send rows of a history. The tag LAST_STEP shows which of them arrived completely."""
        count = MAX_METRICS // max((len(row) for row in rows), default=1)
        for start in range(0, len(rows), count):
            some = rows[start : start + count]
            self._log(run_id, contents.metrics(some), {LAST_STEP: str(int(some[-1]["step"]))})
            self.last_steps[digest] = int(some[-1]["step"])
            self.on_answer()

    def _run_id(self, digest: str) -> str:
        """Return the id of the unit's run, and create the run if it is missing."""
        if digest not in self.runs:
            unit, space = self.plan.units[digest], self.plan.space
            tags = {DIGEST: digest, KIND: unit.kind, SPACE: space, SPACES: space, LABEL: unit.label}
            tags |= self.origin | self.parents.tags(digest)
            where = self.experiments.data if unit.spec.makes_data else self.experiments.space
            finished = self.store.is_finished(digest)
            start = contents.milliseconds(self.store.marker(digest).started) if finished else None
            run, created = find_or_create_run(
                self.connection, NewRun(where, run_name(unit), tags, start), lambda: self._find_runs(digest)
            )
            self._remember(run)
            if created and not finished:
                self.connection.log_batch(run.info.run_id, params=contents.params(unit, self.plan))
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

    def _tag_shared(self, runs: list[Any]) -> None:
        """Add this space to the tag SPACES of runs that other spaces recorded and this one needs."""
        for run in runs:
            tags = run.data.tags
            spaces = tags.get(SPACES, tags.get(SPACE, "")).split(", ")
            if tags[DIGEST] in self.plan.units and self.plan.space not in spaces:
                value = ", ".join([*filter(None, spaces), self.plan.space])
                self.connection.set_tag(run.info.run_id, SPACES, value[:MAX_TAG])

    def _find_runs(self, digest: str) -> list[Any]:
        return find_runs(self.connection, self.experiments.known, DIGEST, digest)

    def _remember(self, run: Any) -> None:
        digest = run.data.tags[DIGEST]
        self.runs[digest] = (run.info.run_id, run.info.status)
        self.subgroups |= {digest: run.data.tags[SUBGROUP]} if SUBGROUP in run.data.tags else {}
        self.networks |= {digest: run.data.tags[NETWORK]} if NETWORK in run.data.tags else {}
        last = run.data.tags.get(LAST_STEP, run.data.metrics.get("step", -1))  # up to 0.3.1 a metric
        self.last_steps[digest] = int(last)

    def _new_rows(self, digest: str) -> Rows:
        """Return the rows of the unit's history that MLflow lacks."""
        last = self.last_steps.get(digest, -1)
        return [row for row in self._history(digest) if row["step"] > last]

    def _history(self, digest: str) -> list[dict[str, float]]:
        if not self.store.is_finished(digest):
            return _complete_rows(self.store.live_rows(digest))
        if HISTORY not in self.store.marker(digest).artifacts:
            return []
        return files.read_json(self.store.artifact(digest, HISTORY))

    def _send_result(self, digest: str, run_id: str) -> None:
        """Send the metrics, parameters and inputs; what fits into one request is one."""
        marker, unit = self.store.marker(digest), self.plan.units[digest]
        rows = self._new_rows(digest)
        if sum(map(len, rows)) + len(marker.metrics) >= MAX_METRICS:
            self._send_rows(digest, run_id, rows)
            rows = []
        last = int(rows[-1]["step"]) if rows else self.last_steps.get(digest, 0)
        model = find_or_create_model(self.connection, self.experiments.space, run_id, self.store, unit)
        metrics = [*contents.metrics(rows), *contents.final_metrics(unit, marker, last, model)]
        tags = contents.result_tags(marker) | ({LAST_STEP: str(last)} if rows else {})
        tags |= {NETWORK: kept} if (kept := kept_weights(self.store, unit)) else {}
        # The parameters also of a run that has some: a process may have been killed before it sent them
        self._log(run_id, metrics, tags, contents.params(unit, self.plan))
        self.last_steps[digest] = last
        if inputs := contents.inputs(unit, self.plan):
            self.connection.log_inputs(run_id, datasets=inputs)

    def _send_files(self, digest: str, run_id: str) -> None:
        """Send the small files, and pictures of weights; weights and pixels stay in the store."""
        for file in self.store.small_artifacts(digest):
            self.connection.log_artifact(run_id, str(file))
            self.on_answer()
        for name, picture in contents.pictures(self.plan.units[digest], self.store).items():
            self.connection.log_image(run_id, picture, f"{name}.png")
            self.on_answer()

    def _log(
        self, run_id: str, metrics: Sequence[Any], tags: Mapping[str, str], params: Sequence[Any] = ()
    ) -> None:
        from mlflow.entities import RunTag

        rows = [RunTag(key, value) for key, value in tags.items()]
        self.connection.log_batch(run_id, metrics=metrics, params=params, tags=rows)


def record_plan(connection: Any, store: Store, plan: Plan) -> None:
    """Record the trials of a space, for those who have MLflow alone; one run per space.

    A selection is added to what MLflow and the store know of the space.
    """
    from mlflow.entities import RunTag

    name, experiment = plan.space, experiment_id(connection, store.root, PLANS)

    def find() -> list[Any]:
        return [run for run in all_runs(connection, [experiment]) if run.data.tags.get(SPACE) == name]

    run, _ = find_or_create_run(connection, NewRun(experiment, name, {SPACE: name}), find)
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


def _complete_rows(text: str) -> list[dict[str, float]]:
    """Return the rows of a file to which another process may be appending, less an incomplete last line."""
    return [json.loads(line) for line in text.split("\n")[:-1]]
