"""What a run may talk to, for the tests: the server of `make tracking`, PostgreSQL, S3 on loopback."""

import os
import pwd
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest

ROOT = Path(__file__).parents[2]
SECRET = "do-not-print-me-81c2"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Server:
    """What `make tracking` runs, with this Python's environment in the place of .venv."""

    def __init__(self, out: Path, **environment: str) -> None:
        port = free_port()
        self.out, self.uri, self.environment = out, f"http://127.0.0.1:{port}", environment
        words = [f"OUT={out}", f"PORT={port}", f"VENV={sys.prefix}"]
        ready = ["--old-file", f"{sys.prefix}/.ready"]
        made = subprocess.run(
            ["make", "--dry-run", "--no-print-directory", *ready, "tracking", *words],  # noqa: S607
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        self.command = shlex.split(made.stdout.splitlines()[-1])
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return self.out.with_suffix(".log").read_text()

    @property
    def password(self) -> str:
        return (self.out / "tracking" / "password").read_text().strip()

    def start(self) -> None:
        with self.out.with_suffix(".log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=os.environ | self.environment,
                start_new_session=True,
            )
        until = time.monotonic() + 240
        while not self.answers():
            assert self.process.poll() is None, self.log
            assert time.monotonic() < until, self.log
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

    def family(self) -> list[psutil.Process]:
        assert self.process
        first = psutil.Process(self.process.pid)
        return [first, *first.children(recursive=True)]

    def hosts(self) -> set[str]:
        """Addresses that its processes listen on."""
        found = [one for process in self.family() for one in process.net_connections("inet")]
        return {one.laddr.ip for one in found if one.status == psutil.CONN_LISTEN}


def postgres_programs() -> Path:
    """Debian's folder of PostgreSQL's programs, the newest; skips where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    if not found:
        pytest.skip("no PostgreSQL: apt-get install postgresql")
    return found[-1].parent


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """The address of an empty server with a password, without the name of a database."""
    programs, port = postgres_programs(), free_port()
    user = "postgres" if os.getuid() == 0 else None  # it refuses to run as root
    folder.mkdir()
    (folder / "password").write_text(SECRET)
    if user:
        owner = pwd.getpwnam(user)
        for path in (folder, folder / "password"):
            os.chown(path, owner.pw_uid, owner.pw_gid)
        open_way(folder)
    data, quick = folder / "data", "-c fsync=off -c unix_socket_directories= -c listen_addresses=127.0.0.1"
    making = ["--auth=scram-sha-256", "--username=medpt", f"--pwfile={folder}/password", "--no-sync"]
    subprocess.run(
        [programs / "initdb", "--pgdata", data, *making], check=True, user=user, stdout=subprocess.DEVNULL
    )
    with (folder.with_suffix(".log")).open("wb") as log:
        command = [programs / "postgres", "-D", data, "-p", str(port), *quick.split()]
        process = subprocess.Popen(command, user=user, stdout=log, stderr=log, start_new_session=True)
    try:
        address = f"postgresql://medpt:{SECRET}@127.0.0.1:{port}"
        wait_for(address)
        yield address
    finally:
        process.send_signal(signal.SIGQUIT)  # at once
        process.wait()


def open_way(folder: Path) -> None:
    """pytest's folders are root's alone; the server's user must pass."""
    for place in folder.parents:
        if place.stat().st_uid == os.getuid() and place.stat().st_mode & 0o001 == 0:
            place.chmod(place.stat().st_mode | 0o011)


def wait_for(address: str) -> None:
    import psycopg

    until = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(f"{address}/postgres", connect_timeout=5).close()
            return
        except psycopg.OperationalError:
            assert time.monotonic() < until
            time.sleep(0.1)


def database(address: str, name: str) -> str:
    """The address of a new, empty database."""
    import psycopg

    with closing(psycopg.connect(f"{address}/postgres", autocommit=True)) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    return f"{address}/{name}"
