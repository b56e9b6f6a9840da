"""MLflow's client for a SQLite file, a PostgreSQL database or a server.

The first client of an empty database creates MLflow's schema, and the first run of each kind its experiment.
MLflow does not lock either step: of several processes that try at the same time all but one fail. Here they
take turns.
"""

import fcntl
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from medpt import files
from medpt.errors import InputError

SQLITE = "sqlite:///"
EXPERIMENT_KIND = "mlflow.experimentKind"
TRAINING = "custom_model_development"  # with it MLflow's page opens on the list of runs
ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}
CONNECT_SECONDS = 10  # for PostgreSQL to answer
LOCK_NUMBER = 0x6D656470742D6772  # of PostgreSQL's advisory lock: "medpt-gr"


class RecordError(Exception):
    """MLflow answers, but its record cannot be used until somebody repairs it; the message has the remedy."""


def client(uri: str) -> Any:
    """Return MLflow's client for `uri`, with short timeouts and few log messages.

    Raises RecordError for a SQLite file that is damaged.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # It logs the traceback of every error that it raises
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    with exclusive_access(uri):
        if uri.startswith(SQLITE):
            check_file(sqlite_file(uri))
            create_schema(sqlite_file(uri))
        return MlflowClient(tracking_uri=uri)


def default_uri(out: Path) -> str:
    """Return the address of the SQLite file in the folder `out`.

    Raises InputError where the path has characters that have a meaning of their own in an address.
    """
    if set("?%") & set(str(out.absolute())):
        raise InputError(
            f"--out {out}: MLflow cannot open its database below a path with ? or %; rename the folder, or "
            "name a tracking server with --tracking-uri"
        )
    return f"{SQLITE}{out.absolute() / 'mlflow.db'}"


def sqlite_file(uri: str) -> Path:
    """Return the file that a SQLite address names."""
    return Path(uri.removeprefix(SQLITE).partition("?")[0])


def check_file(path: Path) -> None:
    """Raise RecordError if a SQLite file is damaged. A missing and an empty file are accepted."""
    if not path.is_file():
        return
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError:  # as when another process has it locked: its next user waits
        return
    except sqlite3.DatabaseError as error:
        found = str(error)
    if found != "ok":
        raise RecordError(damage_of(path, found))


def damage_of(path: Path, reason: str) -> str:
    """Return what is wrong with a damaged SQLite file, and what to do."""
    return (
        f"the database {path} is damaged ({reason.splitlines()[0]}). Move it away and run the same command: "
        f"the record is made again from the results"
    )


def repair_needed(error: Exception) -> str | None:
    """Return what is wrong and the remedy if MLflow needs a repair; None for an error that may pass."""
    text = str(error).strip()
    if isinstance(error, RecordError) or "mlflow db upgrade" in text:
        return text
    if "Can't locate revision" in text:
        return (
            "its database was made by a newer version of MLflow; install that version, or name another record"
        )
    if "error code 401" in text or "error code 403" in text:
        first = text.splitlines()[0]
        return f"the server refuses this user: set MLFLOW_TRACKING_USERNAME and _PASSWORD ({first})"
    return None


def create_schema(path: Path) -> None:
    """Create MLflow's schema in a SQLite file that is missing or empty.

    The file appears when it is complete: MLflow can neither use nor repair a schema that is half there.
    """
    if path.is_file() and path.stat().st_size:
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    for leftover in path.parent.glob(f"{files.TEMPORARY}{path.name}-*"):  # of a process that was killed
        files.remove(leftover)
    with files.replacing(path) as temporary:
        SqlAlchemyStore(f"{SQLITE}{temporary}", (path.parent / "mlartifacts").as_uri()).engine.dispose()


def exclusive_access(uri: str) -> AbstractContextManager[None]:
    """Return a lock on a database that one process holds at a time.

    A server needs none, as it creates its schema before it answers.
    """
    if uri.startswith(SQLITE):
        return _lock_file(sqlite_file(uri).with_suffix(".lock"))
    return _lock_database(uri) if uri.startswith("postgresql") else nullcontext()


@contextmanager
def _lock_file(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _lock_database(uri: str) -> Iterator[None]:
    from sqlalchemy import NullPool, create_engine, text

    engine = create_engine(uri, poolclass=NullPool, connect_args={"connect_timeout": CONNECT_SECONDS})
    with closing(engine.connect()) as connection:  # the lock ends with the connection, also by kill -9
        connection.execute(text("SELECT pg_advisory_lock(:number)"), {"number": LOCK_NUMBER})
        yield


def experiment_id(connection: Any, out: Path, name: str) -> str:
    """Return the id of an experiment; create it if it is missing.

    In a SQLite file its artifacts are kept in `out`; their addresses follow a folder that was moved. Raises
    RecordError if the experiment was deleted in MLflow.
    """
    from mlflow.exceptions import MlflowException

    is_file = str(connection.tracking_uri).startswith(SQLITE)
    location = artifact_folder(out).as_uri() if is_file else None
    if found := connection.get_experiment_by_name(name):
        if found.lifecycle_stage == "deleted":
            raise RecordError(
                f"the experiment `{name}` was deleted in MLflow. Restore it (`mlflow experiments restore "
                f"--experiment-id {found.experiment_id}` with MLFLOW_TRACKING_URI set) or remove it for good "
                f"(`mlflow gc`), then run the same command"
            )
        if is_file:
            relocate_artifacts(sqlite_file(str(connection.tracking_uri)), found.artifact_location, out)
        if found.tags.get(EXPERIMENT_KIND) != TRAINING:  # created by version 0.3.1
            connection.set_experiment_tag(found.experiment_id, EXPERIMENT_KIND, TRAINING)
        return str(found.experiment_id)
    try:
        return str(connection.create_experiment(name, location, {EXPERIMENT_KIND: TRAINING}))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":  # otherwise another process created it meanwhile
            raise
    return str(connection.get_experiment_by_name(name).experiment_id)


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


def all_runs(connection: Any, experiment: str) -> list[Any]:
    """Return all runs of the experiment with this id."""
    runs, token = [], None
    while True:
        page = connection.search_runs([experiment], max_results=10_000, page_token=token)
        runs.extend(page)
        token = page.token
        if not token:
            return runs


def find_or_create_run(
    connection: Any, experiment: str, name: str, tags: dict[str, str], find: Callable[[], list[Any]]
) -> tuple[Any, bool]:
    """Return the oldest run that `find` returns, and whether it was created here.

    If there is none, create one with `name` and `tags`. Processes that share a database take turns. Two that
    ask a server at the same moment may both create a run; the later one deletes its own.
    """
    with exclusive_access(str(connection.tracking_uri)):
        if known := find():
            return min(known, key=_age), False
        created = connection.create_run(experiment, run_name=name, tags=tags)
        oldest = min(find(), key=_age)
    if oldest.info.run_id == created.info.run_id:
        return oldest, True
    connection.delete_run(created.info.run_id)
    return oldest, False


def _age(run: Any) -> tuple[int, str]:
    return run.info.start_time, run.info.run_id
