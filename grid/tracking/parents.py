"""Runs that summarize others in MLflow: one per cell, above its trials, and one per comparison group.

MLflow's page shows the newest runs first and those below another one only on a click. So the run of a group
is created anew when its numbers changed, and its name is the answer: what is best, by how much.
"""

import base64
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from grid.plan.plan import Plan
from grid.space.protocols import protocol_hash, without_fields
from grid.space.trials import Trial
from grid.tracking.experiments import NOTE, Experiments, NewRun, find_or_create_run, find_runs
from grid.tracking.names import TEST, cell_name
from grid.tracking.runs import KIND, SPACE
from medpt import identity

CELL, GROUP, SUMMARY = "medpt.cell", "medpt.group", "medpt.summary"
PARENT = "mlflow.parentRunId"
SHARED_VIEW, VIEW = "mlflow.sharedViewState.", "answers"  # of the list of runs
BEST, MAX_NOTE = "**Best for**", 5_000  # begins the description of an experiment; its characters
FILE = "summary.json"  # of a cell or a group: all of its numbers, and the answer
LONGEST_NAME = 250  # characters of the name of a run in PostgreSQL
FACTORS = (  # of a cell; those of CellKey in grid.results.cells that name one, in this order
    *("initialization", "backbone", "architecture", "target", "target_size", "protocol", "source_protocol"),
)


@dataclass(frozen=True)
class CellSummary:
    """What the run of a cell shows; `factors` are those of FACTORS, `params` what queries ask for."""

    name: str
    factors: tuple[object, ...]
    params: Mapping[str, str]
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class GroupSummary:
    """What the run of a comparison group shows: its answer as the name, a description, its cells.

    `short` is the answer in the description of the experiment.
    """

    key: str
    name: str
    short: str
    text: str
    metrics: Mapping[str, float]
    cells: tuple[CellSummary, ...]


class Parents:
    """The summarizing runs of a plan; `runs` are those that MLflow has."""

    def __init__(self, connection: Any, experiments: Experiments, plan: Plan, runs: Sequence[Any]) -> None:
        self.connection, self.experiments, self.space = connection, experiments, plan.space
        self.title = plan.title
        self.compared = {  # of a protocol with selected fields: the one under which its cell is compared
            name: protocol_hash(without_fields(values, plan.select))
            for name, values in (plan.protocols if plan.select else {}).items()
        }
        self.trials = {digest: trial for trial, digest in reversed(plan.trials)}
        own = [run for run in runs if run.data.tags.get(SPACE) == plan.space]
        self.cells = {run.data.tags[CELL]: run.info.run_id for run in own if CELL in run.data.tags}
        self.groups: dict[str, list[Any]] = {}  # the runs of each group, also those of failed attempts
        for run in own:
            if GROUP in run.data.tags:
                self.groups.setdefault(run.data.tags[GROUP], []).append(run)

    def tags(self, digest: str) -> dict[str, str]:
        """Return the tags that place the run of a unit below that of its cell; none where it has no cell."""
        return {PARENT: self._cell_of(self.trials[digest])} if digest in self.trials else {}

    def _cell_of(self, trial: Trial) -> str:
        known = {"initialization": trial.label, "protocol": self.compared.get(trial.protocol, trial.protocol)}
        factors = [known.get(name, getattr(trial, name)) for name in FACTORS]
        return self._cell(factors, cell_name(trial))

    def _cell(self, factors: Sequence[object], name: str) -> str:
        """Return the id of the run of a cell; create it if it is missing."""
        key = identity.digest([self.space, *factors])[:16]
        if key not in self.cells:
            new = NewRun(self.experiments.space, name, self._tags(CELL, key))
            run, _ = find_or_create_run(
                self.connection, new, lambda: find_runs(self.connection, self.experiments.known, CELL, key)
            )
            self.cells[key] = run.info.run_id
        return self.cells[key]

    def _tags(self, kind: str, key: str) -> dict[str, str]:
        return {kind: key, KIND: kind.removeprefix("medpt."), SPACE: self.space}

    def record(self, groups: Sequence[GroupSummary], on_answer: Callable[[], object]) -> None:
        """Write the summaries that changed, the last one first, so that the first is the newest run."""
        for group in reversed(groups):
            self._replace(group, on_answer)
        if groups:
            self._describe_experiment(groups)
            self._save_view(sorted({name for group in groups for name in group.metrics}))

    def _replace(self, group: GroupSummary, on_answer: Callable[[], object]) -> None:
        """Write the run of a group if its summary changed, and delete those that it replaces.

        Runs that attempts left unfinished are deleted first, so that the list never has two of them.
        """
        summary, runs = identity.digest(asdict(group)), self.groups.setdefault(group.key, [])
        self._delete(runs, [run for run in runs if run.info.status != "FINISHED"])
        outdated = [run for run in runs if run.data.tags.get(SUMMARY) != summary]
        if len(outdated) == len(runs):
            self._write(group, summary, on_answer)
        self._delete(runs, outdated)

    def _delete(self, runs: list[Any], outdated: Sequence[Any]) -> None:
        for run in outdated:
            self.connection.delete_run(run.info.run_id)
            runs.remove(run)

    def _describe_experiment(self, groups: Sequence[GroupSummary]) -> None:
        """Write the answers into the description above the list; one that a user wrote is kept."""
        text = f"{BEST} {'; '.join(group.short for group in groups)}"
        text += "".join(f"\n- {group.name}" for group in groups)
        known = self.connection.get_experiment(self.experiments.space).tags.get(NOTE, "")
        if known != text[:MAX_NOTE] and (known in ("", self.title) or known.startswith(BEST)):
            self.connection.set_experiment_tag(self.experiments.space, NOTE, text[:MAX_NOTE])

    def _save_view(self, metrics: Sequence[str]) -> None:
        """Save the view of the list that has scores and gains as columns; VIEW in an address opens it.

        The format is that of MLflow 3.17's own shared views.
        """
        shown = [name for name in metrics if name.startswith(TEST) and not name.endswith(("_low", "_high"))]
        state = {
            "orderByKey": "attributes.start_time",
            "orderByAsc": False,
            "selectedColumns": [f"metrics.`{name}`" for name in shown],
        }
        text = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
        tag = f"{SHARED_VIEW}{VIEW}"
        self.connection.set_experiment_tag(self.experiments.space, tag, f"deflate;{text}")

    def _write(self, group: GroupSummary, summary: str, on_answer: Callable[[], object]) -> None:
        tags = self._tags(GROUP, group.key) | {NOTE: group.text}
        created = self.connection.create_run(
            self.experiments.space, run_name=group.name[:LONGEST_NAME], tags=tags
        )
        self.groups[group.key].append(created)  # a later attempt deletes it if this one fails
        group_id = created.info.run_id
        for cell in reversed(group.cells):
            self._write_cell(cell, group_id)
            on_answer()
        self.connection.log_dict(group_id, asdict(group), FILE)
        self._log(group_id, group.metrics, {SUMMARY: summary})  # last: shows that all of it arrived
        self.connection.set_terminated(group_id)
        self.groups[group.key][-1] = self.connection.get_run(group_id)

    def _write_cell(self, cell: CellSummary, group_id: str) -> None:
        run_id = self._cell(cell.factors, cell.name)
        self._log(run_id, cell.metrics, {PARENT: group_id}, cell.params)
        self.connection.log_dict(run_id, asdict(cell), FILE)
        self.connection.update_run(run_id, status="FINISHED", name=cell.name[:LONGEST_NAME])

    def _log(
        self,
        run_id: str,
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        params: Mapping[str, str] | None = None,
    ) -> None:
        from mlflow.entities import Metric, Param, RunTag
        from mlflow.utils.time import get_current_time_millis

        now = get_current_time_millis()
        self.connection.log_batch(
            run_id,
            metrics=[Metric(name, value, now, 1) for name, value in metrics.items()],
            params=[Param(name, value) for name, value in (params or {}).items()],
            tags=[RunTag(name, value) for name, value in tags.items()],
        )
