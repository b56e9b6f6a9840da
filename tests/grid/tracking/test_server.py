"""`make tracking` as documented: who can access it, and a kill between two requests of one unit's record."""

import os
import socket
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import made_space
import pytest
from services import Server
from trackers import assert_complete, files_with

from grid.doctor import checks
from grid.tracking import __main__ as tracking
from grid.tracking import background, client
from grid.tracking.background import BackgroundTracker
from grid.tracking.experiments import open_experiments
from grid.tracking.parents import SHARED_VIEW, VIEW
from grid.tracking.tracker import Tracker

CANARY = "canary-of-the-environment-5f1c"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("tracking") / "out", MEDPT_CANARY=CANARY)
    running.start()
    yield running
    running.kill()


@pytest.fixture
def credentials(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the variables that the server's printed lines set."""
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", server.password)


def status(server: Server, name: str = "", password: str = "", **headers: str) -> int:
    """Return the HTTP status of a request."""
    address = f"{server.uri}/api/2.0/mlflow/experiments/search?max_results=1"
    if name:
        headers["Authorization"] = f"Basic {b64encode(f'{name}:{password}'.encode()).decode()}"
    try:
        with urlopen(Request(address, headers=headers), timeout=60) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


def test_server_listens_on_loopback_and_refuses_other_hosts(server: Server) -> None:
    assert server.hosts() == {"127.0.0.1"}
    me = ("admin", server.password)
    assert status(server, *me) == 200
    assert status(server, *me, Host="evil.example") == 403
    assert status(server, *me, Host=f"evil.example:{server.uri.rpartition(':')[2]}") == 403


def test_server_requires_name_and_password(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    assert status(server) == 401
    assert status(server, "admin", "wrong") == 401
    assert "MLFLOW_TRACKING_USERNAME" in checks.tracker(server.uri).text
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", server.password)
    assert checks.tracker(server.uri).ok


def test_password_is_readable_by_its_owner_alone(server: Server) -> None:
    folder = server.out / "tracking"
    assert folder.stat().st_mode & 0o077 == 0
    assert files_with(server.password, server.out) == [folder / "password"]
    assert server.password not in server.log
    assert f"{folder}/password" in server.log
    assert all(server.password not in " ".join(process.cmdline()) for process in server.family())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--no-login", "--host=0.0.0.0"], "--no-login with --host"),
        (["--no-login", "--host", "10.0.0.1"], "--no-login with --host"),
        (["--disable-security-middleware"], "any web page"),
    ],
)
def test_options_that_open_the_server_are_refused(
    more: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tracking.main(["--out", str(tmp_path / "out"), *more]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_port_in_use_is_refused_before_files_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mlflow.cli.cli", lambda arguments: pytest.fail("the server was started"))
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert tracking.main(["--out", str(tmp_path / "out"), "--port", str(port)]) == 2
    printed = capsys.readouterr()
    assert f"--port {port}: another program listens on it" in printed.err
    assert "or give another port" in printed.err
    assert not printed.out
    assert not (tmp_path / "out").exists()


def test_links_lead_to_the_lists_of_runs_of_the_spaces(tmp_path: Path) -> None:
    connection = client.client(client.default_uri(tmp_path))
    opened = open_experiments(connection, tmp_path, "vessels")
    (line,) = tracking.experiment_links(connection, 5001)
    address = f"http://127.0.0.1:5001/#/experiments/{opened.space}/runs?workflowType=machine_learning"
    assert line.strip() == f"medpt-grid/vessels: {address}"
    connection.set_experiment_tag(opened.space, f"{SHARED_VIEW}{VIEW}", "deflate;")
    (line,) = tracking.experiment_links(connection, 5001)
    assert line.strip() == f"medpt-grid/vessels: {address}&viewStateShareKey={VIEW}"


@pytest.mark.fault
@pytest.mark.usefixtures("credentials")
def test_server_killed_in_the_middle_of_a_record_gets_one_complete_run_per_unit(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDPT_CANARY", CANARY)
    monkeypatch.setattr(background, "PERIOD", 0.2)
    monkeypatch.setattr(background, "PATIENCE", 120.0)
    monkeypatch.setitem(client.ENVIRONMENT, "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    plan = made_space.plan(tmp_path, made_space.FEW_UNITS)
    store = made_space.publish(plan, tmp_path / "store", set(), {})
    sent: list[str] = []
    send = Tracker._send_files

    def kill_at_third(self: Tracker, name: str, run_id: str) -> None:
        """Kill the server when the third unit's metrics are there and its files are not."""
        sent.append(name)
        if len(sent) == 3:
            server.kill()
        send(self, name, run_id)

    monkeypatch.setattr(Tracker, "_send_files", kill_at_third)
    tracker = BackgroundTracker(server.uri, store, plan)
    tracker.start()
    until = time.monotonic() + 120
    while tracker.problem is None and time.monotonic() < until:
        time.sleep(0.05)
    assert tracker.problem is not None
    assert 0 < len(tracker.unsent) < len(plan.units)
    server.start()
    assert tracker.finish() == 0
    assert_complete(server.uri, store)
    again = BackgroundTracker(server.uri, store, plan)
    again.start()
    assert again.finish() == 0
    assert_complete(server.uri, store)
    assert os.environ["MEDPT_CANARY"] == CANARY
    assert files_with(CANARY, store.root, server.out) == []
