"""A tracker that is absent, answers 500, hangs or is locked: the run succeeds, the rest is sent later."""

import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import made_space
import pytest
import services
import tiny
from trackers import assert_complete

from grid import run
from grid.plan import datasets
from grid.plan.planner import build_plan
from grid.space import reader
from grid.store.store import Store
from grid.tracking import background, client

SECRET = "not-to-be-printed-4d1e"
SPACE = """
title: one target
size: 32
phantom: {train: 8, test: 4, size: 40}
pretrain: {min_steps: 0, max_steps: 40, evaluate_every: 10}
finetune: {min_steps: 0, max_steps: 30, evaluate_every: 10}
experiments:
  - initialization: [random]
    backbone: [shufflenet_v2]
    target: [ChestXRay2017]
    seed: [0, 1]
"""


class Refusing(BaseHTTPRequestHandler):
    seconds = 0.0

    def do_GET(self) -> None:
        time.sleep(self.seconds)
        self.send_error(500)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


class Hanging(Refusing):
    seconds = 600.0


@contextmanager
def faulty_tracker(kind: str) -> Iterator[str]:
    """Yield host:port of a tracker with a fault."""
    if kind == "absent":
        yield f"127.0.0.1:{services.free_port()}"
        return
    server = ThreadingHTTPServer(("127.0.0.1", 0), {"refusing": Refusing, "hanging": Hanging}[kind])
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a space whose units are all finished and not in any tracker."""
    folder = tmp_path_factory.mktemp("outages")
    loaded = reader.load(str(tiny.written(folder, SPACE)))
    found = datasets.find(loaded, None, folder / "out", write=True)
    made_space.publish(build_plan(loaded, found.fingerprints, {}), folder / "out", set(), {})
    return folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(background, "PATIENCE", 3.0)
    monkeypatch.setitem(client.ENVIRONMENT, "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    shutil.copytree(finished, tmp_path / "copy")
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield tmp_path / "copy"
    for number, handler in kept.items():
        signal.signal(number, handler)


def command(folder: Path, *more: str) -> list[str]:
    return ["--space", str(folder / "tiny.yaml"), "--out", str(folder / "out"), *more]


@pytest.mark.parametrize("kind", ["absent", "refusing", "hanging"])
def test_run_exits_1_and_reports_what_the_tracker_lacks(
    kind: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    units = len(Store(folder / "out").finished())
    with faulty_tracker(kind) as place:
        uri = f"http://me:{SECRET}@{place}"
        began = time.monotonic()
        assert run.main(command(folder, "--tracking-uri", uri)) == 1
        assert time.monotonic() - began < 60
        assert run.main(command(folder, "--flush", "--tracking-uri", uri)) == 1
    printed = "".join(capfd.readouterr())
    expected = f"{units} runs are not in http://me:***@{place} yet"
    assert printed.count(expected) == 2
    assert printed.count("run the same command to send them") == 2
    assert SECRET not in printed
    assert run.main(command(folder, "--flush")) == 0
    assert f"{units} runs of tiny recorded in sqlite" in capfd.readouterr().out
    assert_complete(client.default_uri(folder / "out"), Store(folder / "out"))


@pytest.mark.fault
def test_database_locked_for_25_seconds_gets_every_record(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "PATIENCE", 60.0)
    uri = client.default_uri(folder / "out")
    client.client(uri)  # its schema
    locked = hold(Path(uri.removeprefix("sqlite:///")), 25)
    began = time.monotonic()
    assert run.main(command(folder, "--flush")) == 0
    assert time.monotonic() - began > 20
    assert locked.wait(60) == 0
    assert_complete(uri, Store(folder / "out"))


HOLD = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
time.sleep(float(sys.argv[2]))
connection.execute("ROLLBACK")
"""


def hold(path: Path, seconds: float) -> "subprocess.Popen[str]":
    """Start a process that locks the database, and return it once it has."""
    words = [sys.executable, "-c", HOLD, str(path), str(seconds)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "locked\n"
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        sqlite3.connect(path, timeout=0).execute("SELECT count(*) FROM runs")
    return process


@pytest.mark.slow
def test_no_unit_waits_for_a_hanging_tracker(tmp_path: Path) -> None:
    data, space_file = tiny.data(tmp_path / "data"), tiny.written(tmp_path)
    with faulty_tracker("hanging") as place:
        output = tiny.run(space_file, data, tmp_path / "hung", "--tracking-uri", f"http://{place}", code=1)
        exited = time.time()
    assert f"{tiny.UNITS} runs are not in http://{place} yet" in output
    markers = tiny.markers(tmp_path / "hung")
    assert len(markers) == tiny.UNITS
    assert exited - max(marker["ended"] for marker in markers.values()) < 15 + 15  # to leave Ray, and Python
    tiny.run(space_file, data, tmp_path / "alone")
    assert tiny.numbers(tmp_path / "hung") == tiny.numbers(tmp_path / "alone")
    seconds = {out: spent(tmp_path / out) for out in ("hung", "alone")}
    assert seconds["hung"] < seconds["alone"] + 15


def spent(out: Path) -> float:
    """Return the seconds from the first unit's start to the last one's end."""
    markers = tiny.markers(out).values()
    return max(marker["ended"] for marker in markers) - min(marker["started"] for marker in markers)
