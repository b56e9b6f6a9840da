"""The experiments of this project in MLflow, and where their artifacts are kept."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from grid.tracking.client import CONNECT_SECONDS, SQLITE, RecordError, exclusive_access, sqlite_file
from grid.tracking.names import DATA, EXPERIMENT, PLANS, experiment_name

EXPERIMENT_KIND = "mlflow.experimentKind"
TRAINING = "custom_model_development"  # with it MLflow's page opens on the list of runs
INDEX = "CREATE INDEX IF NOT EXISTS medpt_tags ON tags (key, value)"  # for TAGGED; MLflow has none by value
NOTE = "mlflow.note.content"  # Markdown that MLflow's page shows as the description


@dataclass(frozen=True)
class Experiments:
    """The ids of the experiment of a space, of that of prepared data, and of all that have runs of units."""

    space: str
    data: str
    known: tuple[str, ...]


@dataclass(frozen=True)
class NewRun:
    """A run to be created; `start` in milliseconds, None for now."""

    experiment: str
    name: str
    tags: dict[str, str]
    start: int | None = None


def open_experiments(connection: Any, out: Path, space: str, note: str = "") -> Experiments:
    """Return the experiments that the units of a space are recorded in; create those that are missing."""
    own = experiment_id(connection, out, experiment_name(space), note)
    data = experiment_id(connection, out, DATA)
    found = connection.search_experiments(filter_string=f"name LIKE '{EXPERIMENT}%'")
    known = [one for one in found if one.name != PLANS]
    if file := database_file(connection):
        with closing(sqlite3.connect(file, timeout=CONNECT_SECONDS)) as database:
            database.execute(INDEX)
    for one in known:
        if file:
            relocate_artifacts(file, one.artifact_location, out)
        if one.tags.get(EXPERIMENT_KIND) != TRAINING:  # created by version 0.3.1
            connection.set_experiment_tag(one.experiment_id, EXPERIMENT_KIND, TRAINING)
    return Experiments(own, data, tuple(str(one.experiment_id) for one in known))


def experiment_id(connection: Any, out: Path, name: str, note: str = "") -> str:
    """Return the id of an experiment; create it, with a description, if it is missing.

    In a SQLite file its artifacts are kept in `out`. Raises RecordError if it was deleted in MLflow.
    """
    from mlflow.exceptions import MlflowException

    location = artifact_folder(out).as_uri() if database_file(connection) else None
    if found := connection.get_experiment_by_name(name):
        if found.lifecycle_stage == "deleted":
            raise RecordError(
                f"the experiment `{name}` was deleted in MLflow. Restore it (`mlflow experiments restore "
                f"--experiment-id {found.experiment_id}` with MLFLOW_TRACKING_URI set) or remove it for good "
                f"(`mlflow gc`), then run the same command"
            )
        return str(found.experiment_id)
    tags = {EXPERIMENT_KIND: TRAINING} | ({NOTE: note} if note else {})
    try:
        return str(connection.create_experiment(name, location, tags))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":  # otherwise another process created it meanwhile
            raise
    return str(connection.get_experiment_by_name(name).experiment_id)


def database_file(connection: Any) -> Path | None:
    """Return the SQLite file that a client writes; None for a server or another database."""
    uri = str(connection.tracking_uri)
    return sqlite_file(uri) if uri.startswith(SQLITE) else None


def artifact_folder(out: Path) -> Path:
    """Return where the artifacts of a SQLite file are kept."""
    return out.absolute() / "mlartifacts"


def relocate_artifacts(database: Path, recorded: str, out: Path) -> None:
    """Replace the recorded address of artifacts by the one in `out`, after `out` was moved or copied.

    An address is kept where the database lies elsewhere and the recorded folder is still there.
    """
    folder = artifact_folder(out)
    old, new = recorded.rstrip("/"), folder.as_uri()
    is_moved = database.absolute().parent == out.absolute() or (
        folder.is_dir() and not Path(unquote(urlsplit(old).path)).is_dir()
    )
    if old == new or not old.startswith("file:") or not is_moved:
        return
    with closing(sqlite3.connect(database, timeout=CONNECT_SECONDS)) as connection, connection:
        for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
            connection.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608 - names from here
                f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                (new, len(old) + 1, old, len(old) + 1, f"{old}/"),
            )


TAGGED = """
SELECT run_uuid FROM tags JOIN runs USING (run_uuid)
WHERE key = ? AND value = ? AND lifecycle_stage = 'active'
"""


def find_runs(connection: Any, experiments: Sequence[str], tag: str, value: str) -> list[Any]:
    """Return the runs with this value of a tag; of a SQLite file without MLflow's slow search."""
    if file := database_file(connection):
        with closing(sqlite3.connect(file, timeout=CONNECT_SECONDS)) as database:
            found = database.execute(TAGGED, (tag, value)).fetchall()
        return [connection.get_run(run_id) for (run_id,) in found]
    return list(connection.search_runs(list(experiments), f"tags.`{tag}` = '{value}'"))


def find_or_create_run(connection: Any, new: NewRun, find: Callable[[], list[Any]]) -> tuple[Any, bool]:
    """Return the oldest run that `find` returns, and whether it was created here.

    If there is none, create `new`. Processes that share a database take turns. Two that ask a server at the
    same moment may both create a run; the later one deletes its own.
    """
    with exclusive_access(str(connection.tracking_uri)) as is_alone:
        if known := find():
            return min(known, key=_age), False
        created = connection.create_run(new.experiment, new.start, new.tags, new.name)
        oldest = created if is_alone else min(find(), key=_age)
    if oldest.info.run_id == created.info.run_id:
        return oldest, True
    connection.delete_run(created.info.run_id)
    return oldest, False


def _age(run: Any) -> tuple[int, str]:
    return run.info.start_time, run.info.run_id
