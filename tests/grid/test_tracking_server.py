"""`make tracking` as documented: the server it starts, killed between two requests of one unit's record."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import made_space
import psutil
import pytest

from grid import track
from grid.doctor import checks
from grid.store import Store

ROOT = Path(__file__).parents[2]
CANARY = "canary-of-the-environment-5f1c"
TEXT = """
title: a few units
size: 32
pretrain: {min_steps: 0, max_steps: 40, evaluate_every: 10}
finetune: {min_steps: 0, max_steps: 30, evaluate_every: 10}
experiments:
  - initialization: [random, ISIC2019]
    backbone: [shufflenet_v2]
    target: [ChestXRay2017]
    seed: [0, 1]
"""


def free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Server:
    """What `make tracking` runs, with this Python's environment in the place of .venv."""

    def __init__(self, out: Path, port: int) -> None:
        self.out, self.uri = out, f"http://127.0.0.1:{port}"
        words = [f"OUT={out}", f"PORT={port}", f"VENV={sys.prefix}"]
        ready = ["--old-file", f"{sys.prefix}/.ready"]
        made = subprocess.run(
            ["make", "--dry-run", "--no-print-directory", *ready, "tracking", *words],  # noqa: S607
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        self.lines = made.stdout.replace("\\\n", " ").splitlines()
        self.process: subprocess.Popen[bytes] | None = None

    def environment(self) -> dict[str, str]:
        """What the target exports, by make's own account."""
        printed = "tracking: ; @env"
        made = subprocess.run(
            ["make", "--silent", "--file", "-", "tracking", f"OUT={self.out}"],  # noqa: S607
            input=(ROOT / "Makefile").read_text().replace("tracking: $(READY)\n", f"{printed}\n_unused:\n"),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        return dict(line.split("=", 1) for line in made.stdout.splitlines() if line.startswith("MLFLOW_"))

    def start(self) -> None:
        self.out.mkdir(exist_ok=True)
        environment = os.environ | self.environment() | {"MEDPT_CANARY": CANARY}
        with (self.out / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                shlex.split(self.lines[-1]), stdout=log, stderr=log, env=environment, start_new_session=True
            )
        until = time.monotonic() + 240
        while not self.answers():
            assert self.process.poll() is None, (self.out / "server.log").read_text()
            assert time.monotonic() < until
            time.sleep(0.3)

    def answers(self) -> bool:
        try:
            with urlopen(f"{self.uri}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def kill(self) -> None:
        """-9, to it and to all that it started."""
        if self.process is None:
            return
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def hosts(self) -> set[str]:
        """Addresses that its processes listen on."""
        assert self.process
        family = [psutil.Process(self.process.pid)]
        family += family[0].children(recursive=True)
        found = [one for process in family for one in process.net_connections("inet")]
        return {one.laddr.ip for one in found if one.status == psutil.CONN_LISTEN}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("tracking") / "out", free_port())
    running.start()
    yield running
    running.kill()


def status(server: Server, **headers: str) -> int:
    address = f"{server.uri}/api/2.0/mlflow/experiments/search?max_results=1"
    try:
        with urlopen(Request(address, headers=headers), timeout=60) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


def test_it_listens_on_loopback_and_answers_no_foreign_host(server: Server) -> None:
    assert server.hosts() == {"127.0.0.1"}
    assert status(server) == 200
    assert status(server, Host="evil.example") == 403
    assert status(server, Host=f"evil.example:{server.uri.rpartition(':')[2]}") == 403
    assert checks.tracker(server.uri).ok


def test_its_database_is_that_of_the_results_unless_another_is_named(server: Server) -> None:
    assert server.environment()["MLFLOW_BACKEND_STORE_URI"] == f"sqlite:///{server.out}/mlflow.db"
    assert all("postgresql" not in line for line in server.lines)
    os.environ["MEDPT_TRACKING_DB"] = "postgresql://me:secret@127.0.0.1/mlflow"
    try:
        other = Server(server.out, 5000)
        assert other.environment()["MLFLOW_BACKEND_STORE_URI"].startswith("postgresql://me:secret@")
        assert all("secret" not in line for line in other.lines)
    finally:
        del os.environ["MEDPT_TRACKING_DB"]


def test_killed_in_the_middle_of_a_record_it_ends_with_one_whole_run_a_unit(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDPT_CANARY", CANARY)
    monkeypatch.setattr(track, "PERIOD", 0.2)
    monkeypatch.setattr(track, "PATIENCE", 120.0)
    monkeypatch.setitem(track.ENVIRONMENT, "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    plan = made_space.plan(tmp_path, TEXT)
    store = made_space.publish(plan, tmp_path / "store", set(), {})
    sent: list[str] = []
    send = track.Tracker._send_result

    def killing(self: track.Tracker, name: str, run_id: str) -> None:
        """The third unit's rows are there, its result is not."""
        sent.append(name)
        if len(sent) == 3:
            server.kill()
        send(self, name, run_id)

    monkeypatch.setattr(track.Tracker, "_send_result", killing)
    tracker = track.Tracker(server.uri, store, plan)
    tracker.start()
    until = time.monotonic() + 60
    while tracker.problem is None and time.monotonic() < until:
        time.sleep(0.05)
    assert tracker.problem is not None
    assert 0 < len(tracker.unsent) < len(plan.units)
    server.start()
    assert tracker.finish() == 0
    assert_whole(server.uri, store)
    again = track.Tracker(server.uri, store, plan)
    again.start()
    assert again.finish() == 0
    assert_whole(server.uri, store)
    assert_no_secrets(store.root, server.out)


def assert_whole(uri: str, store: Store) -> None:
    connection = track.client(uri)
    runs = track.all_runs(connection, connection.get_experiment_by_name(track.EXPERIMENT).experiment_id)
    assert Counter(run.data.tags[track.DIGEST] for run in runs) == Counter(store.finished())
    for run in runs:
        name = run.data.tags[track.DIGEST]
        marker: dict[str, Any] = store.marker(name)
        assert run.info.status == "FINISHED"
        assert {f"result.{key}" for key in marker["metrics"]} <= run.data.metrics.keys()
        history = store.folder(name) / "history.json"
        if history.is_file():
            rows = connection.get_metric_history(run.info.run_id, "train_loss")
            assert Counter(row.step for row in rows) == {10: 1, 20: 1, 30: 1} | (
                {40: 1} if marker["kind"] == "pretrain" else {}
            )
            kept = {file.path for file in connection.list_artifacts(run.info.run_id)}
            assert "history.json" in kept


def assert_no_secrets(*folders: Path) -> None:
    """No file holds a value of the environment: neither results nor the tracker's database."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert any(path.name == "mlflow.db" for path in files)
    assert not [path for path in files if CANARY.encode() in path.read_bytes()]
