"""How a run ends before its work is done, and what it prints then."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from grid.cluster import process_exit
from grid.cluster.process_exit import watch_connection
from grid.cluster.temp_folders import PREFIX

STARTS_RAY = """
from grid.cluster.process_exit import exit_on_signals
from grid.cluster.ray_session import ray_session
exit_on_signals("run the same command to resume")
with ray_session(None, 1):
    print("started", flush=True)
"""
WAITS = """
import signal
from grid.cluster.process_exit import exit_on_signals
exit_on_signals("run the same command to resume")
print("started, ", end="", flush=True)
signal.pause()
"""
PRINTS_WORDS = """
import signal
import time
from grid.cluster.process_exit import exit_on_signals

def words():
    print("computing, ", end="", flush=True)
    time.sleep({})
    return "an answer, "

exit_on_signals("run the same command to resume", words)
print("started, ", end="", flush=True)
signal.pause()
"""
CRASHES = """
import os
import signal
from grid.cluster import process_exit
with process_exit.message_on_crash('final message'):
    {}
"""

reset_hangup = partial(signal.signal, signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup


@pytest.mark.parametrize(("number", "code"), process_exit.EXIT_CODES.items())
def test_signal_exits_with_message(number: int, code: int) -> None:
    driver = subprocess.Popen(
        [sys.executable, "-c", WAITS], stdout=subprocess.PIPE, text=True, preexec_fn=reset_hangup
    )
    assert driver.stdout
    assert driver.stdout.read(9) == "started, "
    driver.send_signal(number)
    output, _ = driver.communicate(timeout=60)
    assert (driver.returncode, output) == (code, "run the same command to resume")


def interrupted(seconds: int) -> "subprocess.Popen[str]":
    """Start a process whose last words take this time, send it SIGINT, and return it while it computes."""
    driver = subprocess.Popen(
        [sys.executable, "-c", PRINTS_WORDS.format(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert driver.stdout
    assert driver.stdout.read(9) == "started, "
    driver.send_signal(signal.SIGINT)
    assert driver.stdout.read(11) == "computing, "
    return driver


def test_signal_prints_the_last_words_before_the_message() -> None:
    output, _ = interrupted(0).communicate(timeout=60)
    assert output == "an answer, run the same command to resume"


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_second_signal_does_not_wait_for_the_last_words(second: signal.Signals) -> None:
    driver = interrupted(600)
    driver.send_signal(second)
    output, _ = driver.communicate(timeout=60)
    assert (driver.returncode, output) == (
        process_exit.EXIT_CODES[second],
        "run the same command to resume",
    )


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(number, code, marks=[] if number == signal.SIGTERM else pytest.mark.fault)
        for number, code in process_exit.EXIT_CODES.items()
    ],
)
def test_signal_while_ray_starts_exits_with_message(number: int, code: int, tmp_path: Path) -> None:
    command = [sys.executable, "-c", STARTS_RAY]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    driver = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=reset_hangup,
    )
    while not list(tmp_path.glob(f"{PREFIX}*/ray/session_*")) and driver.poll() is None:
        time.sleep(0.01)
    driver.send_signal(number)
    output, _ = driver.communicate(timeout=60)
    assert (driver.returncode, output) == (code, "run the same command to resume")
    assert not list(tmp_path.glob(f"{PREFIX}*"))


@pytest.mark.parametrize(
    ("end", "printed"),
    [
        ("os._exit(1)", "final message"),
        ("os.kill(os.getpid(), 9)", "final message"),
        ("pass", ""),
        ("process_exit.cancel_message(); os._exit(1)", ""),
        ("raise SystemExit(3)", ""),
        ("process_exit.exit_without_ray('lost Ray')", "lost Ray"),
    ],
)
def test_final_message_is_printed_once_after_a_crash_alone(end: str, printed: str) -> None:
    ended = subprocess.run([sys.executable, "-c", CRASHES.format(end)], capture_output=True, text=True)
    assert ended.stderr == printed


@pytest.fixture
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_exit, "PERIOD", 0.05)
    monkeypatch.setattr(process_exit, "PATIENCE", 0.4)


def test_connection_watch_is_silent_while_the_port_is_open(short_patience: None) -> None:
    lost = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        with watch_connection(f"{host}:{port}", lost.set):
            assert not lost.wait(1)


def test_connection_watch_reports_a_closed_port_once(short_patience: None) -> None:
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
