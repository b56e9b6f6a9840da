"""MLflow's client for a SQLite file, a PostgreSQL database or a server.

The first client of an empty database creates MLflow's schema. MLflow does not lock this step: of several
processes that try at the same time all but one fail. Here they take turns.
"""

import fcntl
import logging
import os
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from medpt import files
from medpt.errors import InputError

SQLITE = "sqlite:///"
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
    if certificate := re.search(r"certificate verify failed: ([^('\"]+)", text):
        return (
            f"its certificate is not accepted ({certificate[1].strip()}). If it is the right server, set "
            f"MLFLOW_TRACKING_SERVER_CERT_PATH to a file with its certificate or that of its authority; an "
            f"expired certificate or one of another host has to be replaced on the server"
        )
    if "WRONG_VERSION_NUMBER" in text or "record layer failure" in text:
        return "it does not answer in TLS: if that is intended, write http:// instead of https://"
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


def exclusive_access(uri: str) -> AbstractContextManager[bool]:
    """Return a lock on a database that one process holds at a time; it yields whether there is one.

    A server has none: it creates its schema before it answers.
    """
    if uri.startswith(SQLITE):
        return _lock_file(sqlite_file(uri).with_suffix(".lock"))
    return _lock_database(uri) if uri.startswith("postgresql") else nullcontext(False)


@contextmanager
def _lock_file(path: Path) -> Iterator[bool]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield True


@contextmanager
def _lock_database(uri: str) -> Iterator[bool]:
    from sqlalchemy import NullPool, create_engine, text

    engine = create_engine(uri, poolclass=NullPool, connect_args={"connect_timeout": CONNECT_SECONDS})
    with closing(engine.connect()) as connection:  # the lock ends with the connection, also by kill -9
        connection.execute(text("SELECT pg_advisory_lock(:number)"), {"number": LOCK_NUMBER})
        yield True


def all_runs(connection: Any, experiments: Sequence[str]) -> list[Any]:
    """Return all runs of the experiments with these ids."""
    runs, token = [], None
    while True:
        page = connection.search_runs(experiments, max_results=10_000, page_token=token)
        runs.extend(page)
        token = page.token
        if not token:
            return runs
