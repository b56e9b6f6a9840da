"""Each check of grid.doctor, well and made to fail; the estimate of disk beside a slow count of bytes."""

import errno
import json
import resource
import socket
import subprocess
import sys
import threading
from collections import namedtuple
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from grid import checks, doctor, footprint, machine, sources, space
from grid.checks import GIB, Finding

TEXT = """
title: one source, one target
size: 64
pretrain: {min_steps: 0, max_steps: 8, evaluate_every: 2}
finetune: {min_steps: 0, max_steps: 8, evaluate_every: 2}
experiments:
  - initialization: [random, ISIC2019]
    backbone: [resnet18]
    target: [DRIVE]
    architecture: [unet]
    seed: [0, 1]
"""
Usage = namedtuple("Usage", "total used free")


def wanted(folder: Path, text: str = TEXT, *more: str) -> doctor.Wanted:
    path = folder / "small.yaml"
    path.write_text(text)
    options = doctor._parser().parse_args(["--space", str(path), "--out", str(folder / "out"), *more])
    return doctor.Wanted(options, space.load(str(path)))


# --- packages -----------------------------------------------------------------------------------------------


def test_an_old_python_is_named() -> None:
    assert checks.python() == Finding(True, ".".join(map(str, sys.version_info[:3])))
    ok, text = checks.python((3, 10, 4))
    assert not ok
    assert "3.10.4" in text
    assert ">=3.11" in text


def locked_versions(name: str) -> str:
    lines = (checks.ROOT / "requirements.lock").read_text().splitlines()
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


def test_another_version_in_the_range_is_told_and_accepted() -> None:
    ok, text = checks.packages(lambda name: "2.14.9" if name == "torch" else locked_versions(name))
    assert ok
    assert "torch 2.14.9 (lock: 2.15.0)" in text


# --- results ------------------------------------------------------------------------------------------------


def test_a_folder_that_cannot_be_written_or_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_disk_too_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda path: Usage(0, 0, 5 * GIB))
    assert checks.space(tmp_path / "out", {"shards": 3 * GIB, "caches": 2 * GIB}).ok
    ok, text = checks.space(tmp_path / "out", {"shards": 3 * GIB, "caches": 2 * GIB + 1.0, "results": 1.0})
    assert not ok
    assert "5.0 GiB free, about 5.0 GiB needed (shards 3.0 GiB, caches 2.0 GiB)" in text


def test_the_need_is_that_of_the_arrays(tmp_path: Path) -> None:
    """Oracle: the arrays that the cache will hold and the tensors that the files will, counted one by one."""
    from medpt.models import build_classifier

    looked = wanted(tmp_path)
    need = footprint.need(looked.plan.units.values(), looked.plan.sizes, looked.counts, 32 * GIB, 2)
    skin = np.empty((25331, 64, 64, 3), np.uint8)
    vessels = [np.empty((40, 64, 64, channels), np.uint8) for channels in (3, 1)]
    assert need["caches"] == skin.nbytes + sum(part.nbytes for part in vessels)
    assert need["shards"] == pytest.approx(0.7 * need["caches"])
    state = build_classifier("resnet18", 8).state_dict().values()
    tensors = sum(tensor.numel() * tensor.element_size() for tensor in state)
    assert need["results"] == pytest.approx(2 * tensors + footprint.SMALL * len(looked.plan.units), rel=0.02)
    assert need["checkpoints"] == 3 * 2 * footprint.SEGMENTER * 1e6


def test_subsets_and_streamed_sets_need_less(tmp_path: Path) -> None:
    part = wanted(tmp_path, TEXT.replace("backbone: [", "sample_size: [5000]\n    backbone: ["))
    need = footprint.need(part.plan.units.values(), part.plan.sizes, part.counts, 32 * GIB, 1)
    rows = [(5000, 3), (40, 4)]
    assert need["caches"] == sum(count * 64 * 64 * channels for count, channels in rows)
    streamed = footprint.need(part.plan.units.values(), part.plan.sizes, part.counts, 2**20, 1)
    assert streamed["caches"] == 40 * 64 * 64 * 4
    assert streamed["shards"] == need["shards"]


def test_what_is_finished_needs_nothing(tmp_path: Path) -> None:
    looked = wanted(tmp_path)
    before = sum(looked.need().values())
    for name in looked.plan.units:
        marker = looked.out / "done" / f"{name}.json"
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.write_text("{}")
    assert before > 100e6
    assert sum(looked.need().values()) == 0


def test_synthetic_data_are_counted_as_drawn(tmp_path: Path) -> None:
    looked = wanted(tmp_path, TEXT + "phantom: {train: 12, test: 4}\n")
    assert looked.need()["caches"] == 16 * 64 * 64 * 3 + 16 * 64 * 64 * 4


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
    monkeypatch.setattr(checks, "existing", lambda path: path)
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
        known = self.headers.get("Authorization") == "Basic bWU6c2VjcmV0"  # me:secret
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


def test_a_tracker_that_answers_and_one_that_refuses(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.tracker(f"{server}/") == Finding(True, f"{server}, MLflow 3.17.2")
    for place, told in (("foreign", "403: this host"), ("absent", "404: is it MLflow?"), ("locked", "401")):
        ok, text = checks.tracker(f"{server}/{place}")
        assert not ok
        assert told in text
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    assert checks.tracker(f"{server}/locked").ok


def test_a_tracker_that_is_away_hangs_or_is_of_another_kind(
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
    ok, text = checks.tracker("http://me:secret@host:5000")
    assert not ok
    assert "secret" not in text


def test_a_head_that_listens_and_one_that_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        assert checks.cluster(address).ok
        assert not checks.cluster("auto").ok
        (tmp_path / "ray").mkdir()
        (tmp_path / "ray" / "ray_current_cluster").write_text(address)
        assert checks.cluster("auto").ok
    assert "refused" in checks.cluster(address).text
    assert "accepted" in checks.cluster("nowhere").text


def test_a_cluster_without_token_is_told(tmp_path: Path) -> None:
    path = tmp_path / "auth_token"
    environment = {"RAY_AUTH_TOKEN_PATH": str(path)}
    assert "anyone" in checks.token(environment).text
    ok, text = checks.token(environment | {"RAY_AUTH_MODE": "token"})
    assert not ok
    assert "get-auth-token" in text
    path.write_text("secret")
    assert checks.token(environment) == Finding(True, "there is a token")
    path.unlink()
    assert checks.token(environment | {"RAY_AUTH_TOKEN": "secret"}).ok


# --- the machine --------------------------------------------------------------------------------------------


def test_a_driver_without_a_usable_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert machine.usable_cpus() >= 1


def test_a_container_with_little_shared_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_temporary_folder_that_is_too_deep() -> None:
    assert machine.sockets("/" + "t" * 10).ok
    assert not machine.sockets("/" + "t" * 60).ok


def test_few_open_files() -> None:
    assert machine.open_files((1024, 65536)).ok
    assert machine.open_files((1024, resource.RLIM_INFINITY)).ok
    ok, text = machine.open_files((1024, 1024))
    assert not ok
    assert "ulimit" in text


# --- the space ----------------------------------------------------------------------------------------------


def test_datasets_that_are_absent_are_named(tmp_path: Path) -> None:
    (tmp_path / "data" / "DRIVE").mkdir(parents=True)
    ok, text = doctor.datasets(wanted(tmp_path, TEXT, "--data", str(tmp_path / "data")))
    assert not ok
    assert "ISIC2019: no folder" in text
    assert "DRIVE" not in text
    (tmp_path / "data" / "ISIC2019").mkdir()
    assert doctor.datasets(wanted(tmp_path, TEXT, "--data", str(tmp_path / "data"))).ok
    assert not doctor.datasets(wanted(tmp_path)).ok
    assert doctor.datasets(wanted(tmp_path, TEXT + "phantom: {train: 12, test: 4}\n")).ok


def test_imagenet_weights_that_are_absent_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    text = TEXT.replace("[random, ISIC2019]", '[random, "imagenet*"]')
    name = sources.published_name("resnet18")
    found = doctor.imagenet(wanted(tmp_path, text))
    assert not found.ok
    assert name in found.text
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / name).write_bytes(b"")
    assert doctor.imagenet(wanted(tmp_path, text)).ok
    assert not doctor.imagenet(wanted(tmp_path, text, "--imagenet-weights", str(tmp_path / "other"))).ok
    assert doctor.imagenet(wanted(tmp_path)).text == "no trial starts from ImageNet's"


# --- the command --------------------------------------------------------------------------------------------


def test_a_line_a_check_and_the_count(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    good, bad = Finding(True, "fine"), Finding(False, "[do] this")
    assert doctor.report({"one": lambda: good, "two": lambda: bad}, console) == 1
    assert capsys.readouterr().out.splitlines() == [
        "ok    one        fine",
        "to do two        [do] this",
        "1 of 2 to do",
    ]
    assert doctor.report({"one": lambda: good}, console) == 0
    assert capsys.readouterr().out.endswith("ready\n")


def test_a_cluster_is_asked_other_things(tmp_path: Path) -> None:
    here, there = (
        set(doctor.checks_of(wanted(tmp_path, TEXT, *more))) for more in ([], ["--address", "a:1"])
    )
    assert there - here == {"shared", "cluster", "token"}
    assert here - there == {"GPUs", "CPUs", "shm", "sockets"}


def test_a_bad_space_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(TEXT.replace("resnet18", "resnet81"))
    assert doctor.main(["--space", str(path)]) == 2


def test_the_command_writes_nothing_and_starts_no_ray(tmp_path: Path) -> None:
    program = (
        "import sys, json; from grid import doctor;"
        f"code = doctor.main(['--space', 'demo', '--out', {str(tmp_path / 'out')!r}]);"
        "heavy = [name for name in ('ray', 'mlflow', 'pandas', 'cv2') if name in sys.modules];"
        "print(json.dumps([code, heavy]))"
    )
    lines = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=checks.ROOT
    ).stdout.splitlines()
    code, heavy = json.loads(lines[-1])
    told = [line for line in lines[:-1] if line.startswith(("ok", "to do"))]
    assert heavy == []
    assert code == (1 if any(line.startswith("to do") for line in told) else 0)
    assert len(told) == len(doctor.checks_of(wanted(tmp_path)))
    assert not (tmp_path / "out").exists()
