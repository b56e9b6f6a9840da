"""Each check of checks.py and machine.py: well, and made to fail."""

import errno
import resource
import socket
import sys
import threading
from collections import namedtuple
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from grid.doctor import checks, machine
from grid.doctor.checks import GIB, Finding

Usage = namedtuple("Usage", "total used free")


# --- packages -----------------------------------------------------------------------------------------------


def test_old_python_is_named() -> None:
    assert checks.python() == Finding(True, ".".join(map(str, sys.version_info[:3])))
    ok, text = checks.python((3, 10, 4))
    assert not ok
    assert "3.10.4" in text
    assert ">=3.11" in text


def locked_versions(name: str) -> str:
    lines = checks.LOCK.read_text().splitlines()
    return next(line.split("==")[1].split(" ")[0] for line in lines if line.startswith(f"{name.lower()}=="))


def test_packages_are_held_against_project_and_lock() -> None:
    assert checks.packages(locked_versions).ok
    assert "as locked" in checks.packages(locked_versions).text

    def without_ray(name: str) -> str:
        if name == "ray":
            raise metadata.PackageNotFoundError(name)
        return locked_versions(name)

    ok, text = checks.packages(without_ray)
    assert not ok
    assert text.startswith("ray[data,tune]==2.60.* (found: none)")
    ok, text = checks.packages(lambda name: "3.18.0" if name == "mlflow" else locked_versions(name))
    assert not ok
    assert "mlflow" in text
    assert "3.18.0" in text


def test_another_version_in_the_range_is_reported_and_accepted() -> None:
    ok, text = checks.packages(lambda name: "2.14.9" if name == "torch" else locked_versions(name))
    assert ok
    assert f"torch 2.14.9 (lock: {locked_versions('torch')})" in text


# --- results ------------------------------------------------------------------------------------------------


def test_folder_that_cannot_be_written_or_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / "not" / "there" / "yet"
    assert checks.writable(deep) == Finding(True, str(deep))
    assert list(tmp_path.iterdir()) == []

    def no_locks(file: Any, flags: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    with monkeypatch.context() as patch:
        patch.setattr(checks.fcntl, "flock", no_locks)
        ok, text = checks.writable(deep)
    assert not ok
    assert f"{tmp_path}: No locks available" in text

    def read_only(**options: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(checks.tempfile, "TemporaryFile", read_only)
    assert checks.writable(deep).text.startswith(f"{tmp_path}: Read-only file system")


def test_disk_too_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda path: Usage(0, 0, 5 * GIB))
    assert checks.space(tmp_path / "out", {"shards": 3 * GIB, "caches": 2 * GIB}).ok
    ok, text = checks.space(tmp_path / "out", {"shards": 3 * GIB, "caches": 2 * GIB + 1.0, "results": 1.0})
    assert not ok
    assert "5.0 GiB free, about 5.0 GiB needed (shards 3.0 GiB, caches 2.0 GiB)" in text


# --- a cluster's file system --------------------------------------------------------------------------------

MOUNTS = "\n".join(
    [
        "/dev/vda / ext4 rw,relatime 0 0",
        "server:/x /shared nfs4 rw,vers=4.1,hard,local_lock=none 0 0",
        "server:/y /shared/bad nfs4 rw,vers=4.1,local_lock=flock 0 0",
        "server:/w /three nfs rw,vers=3,local_lock=none 0 0",
        "mgs@tcp:/l /lustre lustre rw,flock 0 0",
        "mgs@tcp:/l /lustre/plain lustre rw 0 0",
        "mgs@tcp:/l /lustre/local lustre rw,localflock 0 0",
        "bucket /bucket fuse.gcsfuse rw 0 0",
        "server:/z /a\\040b nfs4 rw 0 0",
    ]
)


@pytest.mark.parametrize(
    ("folder", "ok", "kind"),
    [
        ("/home/x/runs", False, "ext4"),
        ("/shared/runs", True, "nfs4"),
        ("/shared/bad/runs", False, "nfs4"),
        ("/three/runs", False, "nfs"),
        ("/shared/badly", True, "nfs4"),
        ("/lustre/runs", True, "lustre"),
        ("/lustre/plain", False, "lustre"),
        ("/lustre/local", False, "lustre"),
        ("/bucket/runs", False, "fuse.gcsfuse"),
        ("/a b/runs", True, "nfs4"),
    ],
)
def test_only_file_systems_with_shared_locks_will_do(
    folder: str, ok: bool, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "existing_folder", lambda path: path)
    found = checks.shared(Path(folder), MOUNTS)
    assert found.ok == ok
    assert f"{folder} is on {kind}" in found.text


def test_this_disk_is_found_among_the_mounts(tmp_path: Path) -> None:
    kind, options = checks.mounted(tmp_path, Path("/proc/self/mounts").read_text())
    assert kind != "none"
    assert "rw" in options


# --- servers ------------------------------------------------------------------------------------------------


class Answer(BaseHTTPRequestHandler):
    """Of MLflow what the check asks for, with a log-in below /locked and a host refused below /foreign."""

    def do_GET(self) -> None:
        top, _, _ = self.path.lstrip("/").partition("/")
        known = self.headers.get("Authorization") in ("Basic bWU6c2VjcmV0", "Bearer of-me")  # me:secret
        code = {"locked": 200 if known else 401, "foreign": 403, "absent": 404}.get(top, 200)
        self.send_response(code)
        self.end_headers()
        self.wfile.write(b"3.17.2" if self.path.endswith("version") else b"{}")

    def log_message(self, *arguments: Any) -> None: ...


@pytest.fixture
def server() -> Iterator[str]:
    running = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()


def test_tracker_that_answers_and_one_that_refuses(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.tracker(f"{server}/") == Finding(True, f"{server}, MLflow 3.17.2")
    for place, told in (("foreign", "403: this host"), ("absent", "404: is it MLflow?"), ("locked", "401")):
        ok, text = checks.tracker(f"{server}/{place}")
        assert not ok
        assert told in text
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "of-me")
    assert checks.tracker(f"{server}/locked").ok
    monkeypatch.delenv("MLFLOW_TRACKING_TOKEN")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    assert checks.tracker(f"{server}/locked").ok


def test_tracker_that_is_away_hangs_or_is_of_another_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(checks, "PATIENCE", 0.3)
        place = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert "timed out" in checks.tracker(place).text
    ok, text = checks.tracker(place)
    assert not ok
    assert "make tracking" in text
    assert checks.tracker(f"sqlite:///{tmp_path / 'mlflow.db'}").ok
    monkeypatch.setattr(checks, "writable", lambda folder: Finding(False, f"{folder}: read-only"))
    assert checks.tracker(f"sqlite:///{tmp_path / 'mlflow.db'}") == Finding(False, f"{tmp_path}: read-only")
    assert not checks.tracker("file:///somewhere").ok
    away = checks.tracker("postgresql://me@127.0.0.1:9/mlflow")
    assert not away.ok
    assert "refused" in away.text or "psycopg" in away.text
    ok, text = checks.tracker("http://me:secret@host:5000")
    assert not ok
    assert "secret" not in text


def test_cluster_check_reports_a_head_that_listens_and_one_that_does_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        assert checks.cluster(address).ok
    assert "refused" in checks.cluster(address).text


def test_cluster_without_token_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "auth_token"
    environment = {"RAY_AUTH_TOKEN_PATH": str(path)}
    assert "whoever" in checks.token(environment).text
    ok, text = checks.token(environment | {"RAY_AUTH_MODE": "token"})
    assert not ok
    assert "get-auth-token" in text
    path.write_text("secret")
    assert checks.token(environment) == Finding(True, "found")
    path.unlink()
    assert checks.token(environment | {"RAY_AUTH_TOKEN": "secret"}).ok


# --- the machine --------------------------------------------------------------------------------------------


def test_driver_without_a_usable_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert machine.gpus(tmp_path / "absent").ok
    driver = tmp_path / "version"
    driver.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  525.60.13\nGCC version: …\n")
    ok, text = machine.gpus(driver)
    assert not ok
    assert "525.60.13" in text
    assert "CUDA" in text


def test_gpus_by_name_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    Device = namedtuple("Device", "name total_memory")
    devices = [Device("NVIDIA L4", 24 * GIB)]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(devices))
    monkeypatch.setattr(torch.cuda, "get_device_properties", devices.__getitem__)
    assert machine.gpus().text.startswith("NVIDIA L4 24 GiB")
    devices.append(Device("NVIDIA T600", 4 * GIB))
    ok, text = machine.gpus()
    assert not ok
    assert "T600" in text


def test_more_processes_than_memory() -> None:
    assert machine.cpus(8, 16.0).ok
    ok, text = machine.cpus(8, 3.5)
    assert not ok
    assert "--cpus 3" in text
    assert machine.free_memory("MemTotal: 9 kB\nMemAvailable:    2097152 kB\n") == 2.0


def test_container_with_little_shared_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: Usage(0, 0, 64 * 2**20))
    ok, text = machine.shared_memory(512 * 2**20, tmp_path)
    assert not ok
    assert "64 MiB free" in text
    assert "--shm-size" in text
    assert machine.shared_memory(64 * 2**20, tmp_path).ok
    assert machine.shared_memory(1, tmp_path / "absent").ok


def test_loopback_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.loopback().ok

    def refused(*arguments: Any, **options: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(machine.socket, "create_connection", refused)
    ok, text = machine.loopback()
    assert not ok
    assert "Operation not permitted" in text


def test_temporary_folder_that_is_too_deep() -> None:
    assert machine.sockets("/" + "t" * 10).ok
    assert not machine.sockets("/" + "t" * 60).ok


def test_temporary_folder_that_is_too_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.temporary(str(tmp_path)).ok
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda folder: SimpleNamespace(free=10 * 2**20))
    ok, text = machine.temporary(str(tmp_path))
    assert not ok
    assert "10 MiB free in TMPDIR" in text


def test_few_open_files() -> None:
    assert machine.open_files((1024, 65536)).ok
    assert machine.open_files((1024, resource.RLIM_INFINITY)).ok
    ok, text = machine.open_files((1024, 1024))
    assert not ok
    assert "ulimit" in text
