"""Eight processes meet an empty database at once: one schema, one experiment, one run a unit."""

import multiprocessing
import multiprocessing.context
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import first_clients
import made_space
import pytest
from services import database, postgres
from trackers import SPACE, assert_whole

from grid.tracking import client as connect
from grid.tracking import tracker

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
    """Of processes that have loaded MLflow when they start."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(
        ["grid.tracking.tracker", "mlflow.store.tracking.sqlalchemy_store", "psycopg"]
    )
    return found


def at_once(work: Callable[..., None], *arguments: object) -> list[int | None]:
    """Exit codes of CLIENTS processes that start together."""
    barrier = context().Barrier(CLIENTS)
    clients = [context().Process(target=work, args=(barrier, *arguments)) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(240)
    return [client.exitcode for client in clients]


def test_eight_first_clients_make_one_schema_and_one_experiment(empty: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    assert at_once(first_clients.connected, empty, out) == [0] * CLIENTS
    assert len({path.read_text() for path in out.glob("*.ids")}) == 1
    names = [one.name for one in connect.client(empty).search_experiments()]
    assert sorted(names) == ["Default", tracker.EXPERIMENT, tracker.PLANS]


def test_eight_drivers_of_one_store_leave_one_whole_run_a_unit(empty: str, tmp_path: Path) -> None:
    plan = made_space.plan(tmp_path, SPACE)
    store = made_space.publish(plan, tmp_path / "store", set(), {})
    assert at_once(first_clients.recorded, empty, store.root, plan) == [0] * CLIENTS
    assert_whole(empty, store)


def test_a_client_killed_while_it_makes_the_schema_leaves_none_or_all_of_it(tmp_path: Path) -> None:
    """SQLite's tables come one by one; MLflow goes on with none of them or with all."""
    place = tmp_path / "new" / "mlflow.db"
    uri = f"sqlite:///{place}"
    alone = context().Barrier(1)
    client = context().Process(target=first_clients.connected, args=(alone, uri, tmp_path))
    client.start()
    growing = "new/*mlflow.db*[!l]"  # without the journal, which comes and goes
    while not any(file.stat().st_size > 200_000 for file in tmp_path.glob(growing)):
        assert client.is_alive()
        time.sleep(0.001)
    client.kill()
    client.join()
    assert not place.exists()
    first_clients.connected(alone, uri, tmp_path)
    assert len(list(tmp_path.glob("*.ids"))) == 1
    assert sorted(file.name for file in place.parent.iterdir()) == ["mlflow.db", "mlflow.lock"]
