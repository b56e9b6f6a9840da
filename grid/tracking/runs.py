"""Read MLflow's record: the run of each unit, and the trials of each space.

A SQLite file is read directly, in a tenth of the time that MLflow's client takes to start; its tables are
those of the version of MLflow in requirements.lock. Databases and servers are read through the client.
Nothing is written, and a missing file is not created.
"""

import base64
import json
import sqlite3
import zlib
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grid.addresses import hide_passwords
from grid.plan.plan import Plan
from grid.tracking.client import SQLITE, all_runs, client, damage_of, repair_needed, sqlite_file
from grid.tracking.names import EXPERIMENT, PLANS
from medpt.errors import InputError

DIGEST, KIND, SPACE = "medpt.digest", "medpt.kind", "medpt.space"
SUPERSEDED = "medpt.superseded"  # on runs of replaced units: the digest of the unit that counts now
PART, PARTS = "medpt.plan.{:04d}", "medpt.plan.parts"
PART_LENGTH = 5_000  # characters; every version of MLflow accepts them in one tag


@dataclass(frozen=True)
class Run:
    """A run of MLflow, with its own word for the status and the last value of each metric."""

    run_id: str
    status: str
    tags: dict[str, str]
    metrics: dict[str, float]


def by_digest(uri: str) -> dict[str, Run]:
    """Return the runs of all units that MLflow knows, by digest.

    Raises InputError if it does not answer or the file is not a database of MLflow.
    """
    return {run.tags[DIGEST]: run for run in _runs(uri, _has_units) if DIGEST in run.tags}


def plans(uri: str) -> dict[str, Plan]:
    """Return what was run under the name of each space, as plans without units."""
    found = {run.tags[SPACE]: run.tags for run in _runs(uri, PLANS.__eq__) if PARTS in run.tags}
    return {space: decode_plan(tags) for space, tags in found.items()}


def encode_plan(plan: Plan) -> dict[str, str]:
    """Return a plan's trials and protocols as tags of a run."""
    stored = {key: value for key, value in plan.to_json().items() if key not in ("units", "analyses")}
    text = base64.b64encode(zlib.compress(json.dumps(stored).encode())).decode()
    parts = [text[start : start + PART_LENGTH] for start in range(0, len(text), PART_LENGTH)]
    return {PART.format(n): part for n, part in enumerate(parts)} | {PARTS: str(len(parts))}


def decode_plan(tags: dict[str, str]) -> Plan:
    """Return the plan of a run's tags, without units."""
    text = "".join(tags[PART.format(n)] for n in range(int(tags[PARTS])))
    return Plan.from_json(json.loads(zlib.decompress(base64.b64decode(text))))


def _has_units(experiment: str) -> bool:
    return experiment.startswith(EXPERIMENT) and experiment != PLANS


def _runs(uri: str, is_wanted: Callable[[str], bool]) -> list[Run]:
    """Return the runs of the experiments with wanted names, the latest first."""
    if uri.startswith(SQLITE):
        return _read_file(sqlite_file(uri), is_wanted)
    try:
        connection = client(uri)
        found = [one.experiment_id for one in connection.search_experiments() if is_wanted(one.name)]
        runs = all_runs(connection, found) if found else []
    except Exception as error:  # MLflow's clients raise the errors of their transports
        reason = repair_needed(error) or f"MLflow does not answer ({type(error).__name__})"
        raise InputError(f"{hide_passwords(uri)}: {hide_passwords(reason)}") from None
    return [Run(run.info.run_id, run.info.status, run.data.tags, run.data.metrics) for run in runs]


RUNS = """
SELECT run_uuid, status FROM runs
WHERE experiment_id IN ({0}) AND lifecycle_stage = 'active' ORDER BY start_time DESC, run_uuid
"""
OF_RUNS = """
SELECT run_uuid, {1}.key, {2} FROM {1} JOIN runs USING (run_uuid)
WHERE runs.experiment_id IN ({0}) AND lifecycle_stage = 'active'
"""


def _read_file(path: Path, is_wanted: Callable[[str], bool]) -> list[Run]:
    if not path.is_file():
        raise InputError(f"{path}: no such database of MLflow; --tracking-uri names another")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            known = connection.execute("SELECT experiment_id, name FROM experiments").fetchall()
            ids = ", ".join(str(int(number)) for number, name in known if is_wanted(name))
            runs = connection.execute(RUNS.format(ids)).fetchall()
            tags = _by_run(connection.execute(OF_RUNS.format(ids, "tags", "value")))
            value = "CASE is_nan WHEN 0 THEN value END"
            metrics = _by_run(connection.execute(OF_RUNS.format(ids, "latest_metrics", value)))
    except sqlite3.OperationalError as error:
        raise InputError(f"{path}: not a database of MLflow, or in use ({error})") from error
    except sqlite3.DatabaseError as error:
        raise InputError(damage_of(path, str(error))) from error
    return [Run(name, status, tags.get(name, {}), _values(metrics.get(name, {}))) for name, status in runs]


def _by_run(rows: Iterable[tuple[str, str, Any]]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for run, key, value in rows:
        found.setdefault(run, {})[key] = value
    return found


def _values(values: dict[str, float | None]) -> dict[str, float]:
    return {key: float("nan") if value is None else value for key, value in values.items()}
