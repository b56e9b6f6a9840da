import socket
import subprocess
import sys
import threading
import time

import pytest

from grid.cluster import connection_watch
from grid.cluster.connection_watch import watch_connection

WATCHED = """
import os
from grid.cluster import connection_watch
with connection_watch.message_on_crash('last words'):
    {}
"""


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_watch, "PERIOD", 0.05)
    monkeypatch.setattr(connection_watch, "PATIENCE", 0.4)


def test_what_listens_is_there() -> None:
    lost = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        with watch_connection(f"{host}:{port}", lost.set):
            assert not lost.wait(1)


def test_what_stops_listening_is_lost_once() -> None:
    calls: list[float] = []
    server = socket.create_server(("127.0.0.1", 0))
    host, port = server.getsockname()
    with watch_connection(f"{host}:{port}", lambda: calls.append(time.monotonic())):
        time.sleep(0.2)
        server.close()
        closed = time.monotonic()
        time.sleep(1)
    assert len(calls) == 1
    assert calls[0] - closed >= 0.3


@pytest.mark.parametrize(
    ("end", "told"),
    [
        ("os._exit(1)", "last words"),
        ("os.kill(os.getpid(), 9)", "last words"),
        ("pass", ""),
        ("connection_watch.dismiss(); os._exit(1)", ""),
        ("raise SystemExit(3)", ""),
    ],
)
def test_who_ends_without_a_word_has_a_witness(end: str, told: str) -> None:
    lines = WATCHED.format(end)
    ended = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True)
    assert ended.stderr == told
