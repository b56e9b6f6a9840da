"""Several processes use an empty database at once: one schema, one experiment, one run per unit."""

import multiprocessing
import multiprocessing.context
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import first_clients
import made_space
import pytest
from services import database, postgres
from trackers import assert_complete

from grid.tracking.client import client
from grid.tracking.names import DATA, PLANS, experiment_name

CLIENTS = 8


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'new' / 'mlflow.db'}"
        return
    with postgres(tmp_path / "postgres") as address:
        yield database(address, "empty")


def context() -> multiprocessing.context.ForkServerContext:
    """Return a context whose processes have loaded MLflow when they start."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(
        ["grid.tracking.background", "mlflow.store.tracking.sqlalchemy_store", "psycopg"]
    )
    return found


def at_once(work: Callable[..., None], *arguments: object) -> list[int | None]:
    """Return the exit codes of CLIENTS processes that start `work` together."""
    barrier = context().Barrier(CLIENTS)
    clients = [context().Process(target=work, args=(barrier, *arguments)) for _ in range(CLIENTS)]
    for process in clients:
        process.start()
    for process in clients:
        process.join(240)
    return [process.exitcode for process in clients]


def test_first_clients_create_one_schema_and_each_experiment_once(empty: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    assert at_once(first_clients.connect, empty, out) == [0] * CLIENTS
    assert len({path.read_text() for path in out.glob("*.ids")}) == 1
    names = [one.name for one in client(empty).search_experiments()]
    assert sorted(names) == sorted(["Default", DATA, PLANS, experiment_name("made")])


def test_drivers_of_one_store_create_one_complete_run_per_unit(empty: str, tmp_path: Path) -> None:
    plan = made_space.plan(tmp_path, made_space.FEW_UNITS)
    store = made_space.publish(plan, tmp_path / "store", set(), {})
    assert at_once(first_clients.send_units, empty, store.root, plan) == [0] * CLIENTS
    assert_complete(empty, store)


def test_client_killed_while_it_creates_the_schema_leaves_no_database(
    tmp_path: Path, create_schema: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's tables come one by one; MLflow cannot use a part of them."""
    monkeypatch.setattr("grid.tracking.client.create_schema", create_schema)
    place = tmp_path / "new" / "mlflow.db"
    uri = f"sqlite:///{place}"
    alone = context().Barrier(1)
    client = context().Process(target=first_clients.connect, args=(alone, uri, tmp_path))
    client.start()
    growing = "new/*mlflow.db*[!l]"  # without the journal, which comes and goes
    while not any(file.stat().st_size > 200_000 for file in tmp_path.glob(growing)):
        assert client.is_alive()
        time.sleep(0.001)
    client.kill()
    client.join()
    assert not place.exists()
    first_clients.connect(alone, uri, tmp_path)
    assert len(list(tmp_path.glob("*.ids"))) == 1
    assert sorted(file.name for file in place.parent.iterdir()) == ["mlflow.db", "mlflow.lock"]
