"""Finished work as a table: one row a trial, from the plan of a space and MLflow's record."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from grid.store import Store
from medpt.errors import InputError, did_you_mean
from medpt.files import read_json

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
STATES = {"FINISHED": "finished", "FAILED": "failed", "RUNNING": "running"}


def load(space: str, out: str | Path = "runs", tracking_uri: str | None = None) -> "pd.DataFrame":
    """One row a trial of a space that was run into `out`.

    Columns: the factors; `status` ("finished", "failed", "running", "missing"); the metrics of the test part
    as fractions (auc, miou, ...; nan where the trial is not finished or has another task); `seconds`;
    `failure`; `digest` and `run_id` of its fine-tuning. Raises InputError where the space was never run.
    """
    import pandas as pd

    plan = read_plan(space, Path(out))
    runs = _runs(Path(out), tracking_uri)
    rows = [trial | _result(runs.get(trial["digest"])) for trial in plan["trials"]]
    frame = pd.DataFrame(rows)
    first = [*FACTORS, "status"]
    last = ["seconds", "failure", "digest", "run_id"]
    metrics = sorted(set(frame.columns) - set(first) - set(last))
    return frame[[*first, *metrics, *last]]


def read_plan(space: str, out: Path) -> dict[str, Any]:
    """What the space consisted of when it was last run into `out`."""
    path = Store(out).plan(Path(space).stem if space.endswith((".yaml", ".yml")) else space)
    if not path.is_file():
        known = sorted(file.stem for file in path.parent.glob("*.json"))
        hint = did_you_mean(space, known) if known else "nothing was"
        raise InputError(f"`{space}` was not run into {out}; {hint}")
    return read_json(path)


def _runs(out: Path, uri: str | None) -> dict[str, Any]:
    """MLflow's runs by digest."""
    from grid import track

    place = uri or track.default_uri(out)
    try:
        connection = track.client(place)
        found = connection.get_experiment_by_name(track.EXPERIMENT)
        runs = track.all_runs(connection, found.experiment_id) if found else []
    except Exception as error:  # MLflow's clients raise what their transports do
        raise InputError(f"{place}: the tracker does not answer ({type(error).__name__})") from error
    return {run.data.tags[track.DIGEST]: run for run in runs if track.DIGEST in run.data.tags}


def _result(run: Any) -> dict[str, Any]:
    if run is None:
        return {"status": "missing", "seconds": None, "failure": None, "run_id": None}
    prefix = "result."
    values = {
        name.removeprefix(prefix): value
        for name, value in run.data.metrics.items()
        if name.startswith(prefix)
    }
    return {
        "status": STATES.get(run.info.status, "missing"),
        "seconds": None,
        "failure": run.data.tags.get("medpt.failure"),
        "run_id": run.info.run_id,
    } | values
