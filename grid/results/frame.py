"""Finished work as a table: one row a trial, from the plan of a space and MLflow's record."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grid.space.trials import task_of
from grid.store.store import Store
from grid.tracking import runs as record
from grid.tracking import tracker
from grid.tracking.client import sqlite_file
from grid.tracking.runs import Run
from medpt.data import own
from medpt.errors import InputError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

FACTORS = (
    "experiment",
    "initialization",
    "source",
    "sample_size",
    "backbone",
    "architecture",
    "target",
    "target_size",
    "seed",
)
PROTOCOLS = ("protocol", "source_protocol")
STATES = {"FINISHED": "finished", "FAILED": "failed", "RUNNING": "running"}


def load(space: str, out: str | Path = "runs", tracking_uri: str | None = None) -> "pd.DataFrame":
    """One row a trial of a space that was run into `out`, or with this tracker.

    What the space consists of is read from `out` or, where that knows nothing of it, from MLflow's record;
    what became of each trial, from MLflow's record alone.

    Columns: the factors; `protocol` and `source_protocol`, the hashes of the settings that the trial and its
    pre-training depend on ("" in a store of version 0.3.1, `source_protocol` also where nothing is
    pre-trained); `task`; `status` ("finished", "failed", "running", "missing"); the metrics of the test part
    as fractions (auc, miou, ...; nan where the trial is not finished or has another task); `seconds`;
    `failure`; `digest` and `run_id` of its fine-tuning. `frame.attrs["protocols"]` gives the settings of each
    hash, for grid.space.protocols.describe_difference. Raises InputError where the space was never run.
    """
    import pandas as pd

    uri = tracking_uri or _own_tracker(out)
    plan = _plan(space, out, uri)
    runs = record.by_digest(uri) if uri else {}
    rows = [_row(trial) | _result(runs.get(trial["digest"])) for trial in plan["trials"]]
    frame = pd.DataFrame(rows)
    first = [*FACTORS, *PROTOCOLS, "task", "status"]
    last = ["seconds", "failure", "digest", "run_id"]
    metrics = sorted(set(frame.columns) - set(first) - set(last))
    frame = frame.reindex(columns=[*first, *metrics, *last])  # also of a space without trials
    frame.attrs["protocols"] = plan.get("protocols", {})
    return frame


def _row(trial: dict[str, Any]) -> dict[str, Any]:
    """A trial of version 0.3.1 has no protocols, and its architecture tells its task."""
    return {"protocol": "", "source_protocol": "", "task": task_of(trial["architecture"])} | trial


def _own_tracker(out: str | Path) -> str | None:
    """The database that a run without a tracker of its own leaves; None before it recorded anything."""
    uri = tracker.default_uri(Store(out).root)
    return uri if sqlite_file(uri).is_file() else None


def _plan(space: str, out: str | Path, uri: str | None) -> dict[str, Any]:
    if _name(space) in Store(out).plans():
        return read_plan(space, out)
    recorded = record.plans(uri) if uri else {}
    if _name(space) not in recorded:
        known = sorted({*recorded, *Store(out).plans()})
        raise InputError(f"`{space}` was not run into {out}; {_hint(space, known)}")
    return recorded[_name(space)]


def with_metric(frame: "pd.DataFrame", metric: str, by: Sequence[str] = ()) -> "pd.DataFrame":
    """The trials whose task has the metric, each unit of work once for each combination of `by`.

    InputError where no finished trial has it.
    """
    if metric not in frame.columns:
        known = [name for name in frame.columns if frame[name].dtype == float]
        raise InputError(f"--metric {metric}: no finished trial has it; {did_you_mean(metric, known)}")
    frame = frame[frame["task"].isin(set(frame["task"][frame[metric].notna()]))]
    return frame.drop_duplicates(["digest", *by])


def read_plan(space: str, out: str | Path) -> dict[str, Any]:
    """What the space consisted of when it was last run into `out`."""
    store = Store(out)
    plan = store.plan(_name(space))
    if plan is None:
        raise InputError(f"`{space}` was not run into {out}; {_hint(space, store.plans())}")
    own.recall(store.root)
    return plan


def _name(space: str) -> str:
    return Path(space).stem if space.endswith((".yaml", ".yml")) else space


def _hint(space: str, known: list[str]) -> str:
    return did_you_mean(space, known) if known else "nothing was"


def _result(run: Run | None) -> dict[str, Any]:
    if run is None:
        return {"status": "missing", "seconds": None, "failure": None, "run_id": None}
    prefix = "result."
    values = {
        name.removeprefix(prefix): value for name, value in run.metrics.items() if name.startswith(prefix)
    }
    return {
        "status": STATES.get(run.status, "missing"),
        "seconds": None,
        "failure": run.tags.get("medpt.failure"),
        "run_id": run.run_id,
    } | values
