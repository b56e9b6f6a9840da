"""MLflow's client on a file, a database or a server, fit for many first users at once.

The first client of an empty database makes MLflow's schema and the first run its experiments. MLflow lets
several try at the same time, and all but one fail half-way; here they take turns.
"""

import fcntl
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from grid.tracking.runs import SQLITE, database
from medpt import files

ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}
CONNECT_SECONDS = 10  # for PostgreSQL to answer
TURN = 0x6D656470742D6772  # the number of our advisory lock: "medpt-gr"


def client(uri: str) -> Any:
    """MLflow's client, with waits that a run can bear and without its chatter."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # tracebacks of what is raised, too
    with exclusive_access(uri):
        if uri.startswith(SQLITE):
            make_database(database(uri))
        return MlflowClient(tracking_uri=uri)


def make_database(path: Path) -> None:
    """MLflow's schema in SQLite, whole or absent: what a kill leaves half-made no MLflow can use or mend."""
    if path.is_file() and path.stat().st_size:
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    for left in path.parent.glob(f"{files.TEMPORARY}{path.name}-*"):  # by a kill: it is our turn
        files.remove(left)
    with files.replacing(path) as temporary:
        SqlAlchemyStore(f"{SQLITE}{temporary}", str(path.parent / "mlartifacts")).engine.dispose()


def exclusive_access(uri: str) -> AbstractContextManager[None]:
    """Held by one process at a time; a server needs none, because it makes its schema before it answers."""
    if uri.startswith(SQLITE):
        return _locked(database(uri).with_suffix(".lock"))
    return _advisory(uri) if uri.startswith("postgresql") else nullcontext()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _advisory(uri: str) -> Iterator[None]:
    from sqlalchemy import NullPool, create_engine, text

    engine = create_engine(uri, poolclass=NullPool, connect_args={"connect_timeout": CONNECT_SECONDS})
    with closing(engine.connect()) as connection:  # freed with the connection, also by kill -9
        connection.execute(text("SELECT pg_advisory_lock(:turn)"), {"turn": TURN})
        yield


def experiment(connection: Any, out: Path, name: str) -> str:
    """The id of the experiment of that name; made where it is missing."""
    from mlflow.exceptions import MlflowException

    if found := connection.get_experiment_by_name(name):
        return str(found.experiment_id)
    local = str(connection.tracking_uri).startswith("sqlite")
    location = (out.absolute() / "mlartifacts").as_uri() if local else None
    try:
        return str(connection.create_experiment(name, artifact_location=location))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":  # else another was faster
            raise
    return str(connection.get_experiment_by_name(name).experiment_id)


def all_runs(connection: Any, experiment_id: str) -> list[Any]:
    runs, token = [], None
    while True:
        page = connection.search_runs([experiment_id], max_results=10_000, page_token=token)
        runs.extend(page)
        token = page.token
        if not token:
            return runs


def one_run(
    connection: Any, place: str, label: str, tags: dict[str, str], found: Callable[[], list[Any]]
) -> tuple[Any, bool]:
    """The first run of an experiment that `found` finds, or one with `tags`; whether it was made just now.

    Drivers that write to a database take turns. Of two that ask a server at the same moment the later takes
    its own away again.
    """
    with exclusive_access(str(connection.tracking_uri)):
        if known := found():
            return min(known, key=_age), False
        made = connection.create_run(place, run_name=label, tags=tags)
        first = min(found(), key=_age)
    if first.info.run_id == made.info.run_id:
        return first, True
    connection.delete_run(made.info.run_id)
    return first, False


def _age(run: Any) -> tuple[int, str]:
    return run.info.start_time, run.info.run_id
