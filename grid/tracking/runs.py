"""MLflow's record, read: one run a unit by its digest, and what each space consisted of.

A tracker that is a SQLite file is read as the database that it is, in a tenth of the time that MLflow's
client takes to start; the tables are those of the MLflow that requirements.lock pins. Any other tracker is
asked through the client. Nothing is written, and a database that is not there is not made.
"""

import base64
import json
import sqlite3
import zlib
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grid.addresses import hide_passwords
from medpt.errors import InputError

EXPERIMENT = "medpt-grid"
PLANS = "medpt-grid plans"  # an experiment of its own: in EXPERIMENT a run is a unit
DIGEST, SPACE = "medpt.digest", "medpt.space"
PART, PARTS = "medpt.plan.{:04d}", "medpt.plan.parts"
PART_LENGTH = 5_000  # characters, what every MLflow takes in one tag
SQLITE = "sqlite:///"


@dataclass(frozen=True)
class Run:
    """`metrics` holds the last value of each; `status` is MLflow's word."""

    run_id: str
    status: str
    tags: dict[str, str]
    metrics: dict[str, float]


def by_digest(uri: str) -> dict[str, Run]:
    """The runs of all units that the tracker knows. InputError where it does not answer."""
    return {run.tags[DIGEST]: run for run in _runs(uri, EXPERIMENT) if DIGEST in run.tags}


def plans(uri: str) -> dict[str, dict[str, Any]]:
    """By the name of a space: its `space`, `title` and `trials`, as it was last run."""
    found = {run.tags[SPACE]: run.tags for run in _runs(uri, PLANS) if PARTS in run.tags}
    return {space: decode_plan(tags) for space, tags in found.items()}


def encode_plan(plan: dict[str, Any]) -> dict[str, str]:
    """Return a plan's trials and protocols as tags of a run."""
    plain = {key: plan[key] for key in ("space", "title", "trials", "protocols")}
    text = base64.b64encode(zlib.compress(json.dumps(plain).encode())).decode()
    parts = [text[start : start + PART_LENGTH] for start in range(0, len(text), PART_LENGTH)]
    return {PART.format(n): part for n, part in enumerate(parts)} | {PARTS: str(len(parts))}


def decode_plan(tags: dict[str, str]) -> dict[str, Any]:
    text = "".join(tags[PART.format(n)] for n in range(int(tags[PARTS])))
    return json.loads(zlib.decompress(base64.b64decode(text)))


def database(uri: str) -> Path:
    """The file that a URI of SQLite names."""
    return Path(uri.removeprefix(SQLITE).partition("?")[0])


def _runs(uri: str, experiment: str) -> list[Run]:
    """Of an experiment, the latest first; none where the tracker has no such experiment."""
    if uri.startswith(SQLITE):
        return _from_database(database(uri), experiment)
    from grid.tracking.client import all_runs, client

    try:
        connection = client(uri)
        found = connection.get_experiment_by_name(experiment)
        runs = all_runs(connection, found.experiment_id) if found else []
    except Exception as error:  # MLflow's clients raise what their transports do
        raise InputError(
            f"{hide_passwords(uri)}: the tracker does not answer ({type(error).__name__})"
        ) from None
    return [Run(run.info.run_id, run.info.status, run.data.tags, run.data.metrics) for run in runs]


RUNS = """
SELECT run_uuid, status FROM runs JOIN experiments USING (experiment_id)
WHERE experiments.name = ? AND runs.lifecycle_stage = 'active' ORDER BY start_time DESC, run_uuid
"""
OF_RUNS = """
SELECT run_uuid, {0}.key, {1} FROM {0} JOIN runs USING (run_uuid) JOIN experiments USING (experiment_id)
WHERE experiments.name = ? AND runs.lifecycle_stage = 'active'
"""


def _from_database(path: Path, experiment: str) -> list[Run]:
    if not path.is_file():
        raise InputError(f"{path}: no such database of a tracker")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            runs = connection.execute(RUNS, (experiment,)).fetchall()
            tags = _grouped(connection.execute(OF_RUNS.format("tags", "value"), (experiment,)))
            value = "CASE is_nan WHEN 0 THEN value END"
            metrics = _grouped(connection.execute(OF_RUNS.format("latest_metrics", value), (experiment,)))
    except sqlite3.Error as error:
        raise InputError(f"{path}: not a database of MLflow, or one that is in use ({error})") from error
    return [Run(name, status, tags.get(name, {}), _numbers(metrics.get(name, {}))) for name, status in runs]


def _grouped(rows: Iterable[tuple[str, str, Any]]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for run, key, value in rows:
        found.setdefault(run, {})[key] = value
    return found


def _numbers(values: dict[str, float | None]) -> dict[str, float]:
    return {key: float("nan") if value is None else value for key, value in values.items()}
