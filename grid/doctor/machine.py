"""Checks of the machine that a run uses: devices, memory, sockets. They return Findings, as in checks.py."""

import os
import resource
import shutil
import socket
from pathlib import Path

from grid.cluster.ray_session import check_environment
from grid.doctor.checks import GIB, PATIENCE, Finding, size
from medpt import cli
from medpt.errors import InputError

TEMPORARY = 256 * 2**20  # bytes of Ray's logs and of files that are being written
FILES = 4096  # open files of one process; below it Ray itself warns
PROCESS = 1.0  # GiB of memory that a training process takes before its data
SMALLEST_GPU = 8  # GiB: a fifth of it holds a batch of sixteen
SOCKET_PATH = 107  # bytes of a Unix socket's path on Linux
SOCKET_TAIL = len("/medpt-ray-xxxxxxxx/ray/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store")


def gpus(driver: Path = Path("/proc/driver/nvidia/version")) -> Finding:
    """Check CUDA devices, by name and memory; a driver that PyTorch cannot use fails."""
    import torch

    if not torch.cuda.is_available():
        if driver.is_file():
            first = driver.read_text(encoding="utf-8").splitlines()[0]
            wanted = f"PyTorch {torch.__version__} needs a driver for CUDA {torch.version.cuda}"
            return Finding(False, f"a driver but no usable GPU: {wanted}; found: {first}")
        return Finding(True, "none: units train on CPU cores")
    found = [torch.cuda.get_device_properties(n) for n in range(torch.cuda.device_count())]
    names = ", ".join(f"{one.name} {one.total_memory / GIB:.0f} GiB" for one in found)
    small = [one.name for one in found if one.total_memory < SMALLEST_GPU * GIB]
    if small:
        return Finding(False, f"{names}: less than {SMALLEST_GPU} GiB: hide it by CUDA_VISIBLE_DEVICES")
    return Finding(True, f"{names}; CUDA {torch.version.cuda}")


def processes(python: str | None) -> Finding:
    """Check that Ray can start processes for this user and `python`; None where a cluster starts them."""
    try:
        check_environment(python)
    except InputError as error:
        return Finding(False, str(error))
    return Finding(True, "Ray can start them")


def cpus(count: int, memory: float) -> Finding:
    """Check that `count` processes fit into `memory`, the GiB that are free."""
    text = f"{cli.count(count, 'CPU')}, {memory:.0f} GiB of memory free"
    fit = int(memory / PROCESS)
    if fit < count:
        return Finding(False, f"{text}: a process takes {PROCESS:.0f} GiB: --cpus {max(1, fit)}")
    return Finding(True, text)


def free_memory(meminfo: str | None = None) -> float:
    """Return the GiB of memory that new processes can have; `meminfo` is the text of /proc/meminfo."""
    text = Path("/proc/meminfo").read_text(encoding="utf-8") if meminfo is None else meminfo
    line = next(line for line in text.splitlines() if line.startswith("MemAvailable:"))
    return int(line.split()[1]) * 1024 / GIB


def shared_memory(need: int, folder: Path = Path("/dev/shm")) -> Finding:  # noqa: S108 - where Ray keeps objects
    """Check that `folder` has `need` bytes for Ray's objects."""
    if not folder.is_dir():
        return Finding(True, f"no {folder} on this system: Ray uses files")
    free = shutil.disk_usage(folder).free
    if free >= need:
        return Finding(True, f"{size(free)} free in {folder}")
    advice = f"mount -o remount,size={need // 2**20 + 512}M {folder}, or --shm-size of the container"
    return Finding(False, f"{size(free)} free in {folder}, {size(need)} needed: {advice}")


def loopback() -> Finding:
    """Check that processes of this machine reach each other over TCP."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(PATIENCE)
            with socket.create_connection(server.getsockname(), timeout=PATIENCE) as client:
                client.sendall(b"0")
                accepted, _ = server.accept()
                with accepted:
                    accepted.settimeout(PATIENCE)
                    accepted.recv(1)
    except OSError as error:
        return Finding(
            False, f"127.0.0.1: {error.strerror or error}: allow TCP on loopback (firewall, sandbox)"
        )
    return Finding(True, "127.0.0.1 answers")


def sockets(folder: str) -> Finding:
    """Check that the paths of Ray's sockets below `folder`, for temporary files, are short enough."""
    longest = SOCKET_PATH - SOCKET_TAIL
    if len(os.fsencode(folder)) <= longest:
        return Finding(True, f"{folder} is short enough for Ray's sockets")
    return Finding(False, f"TMPDIR {folder} is longer than {longest} bytes: set a shorter one")


def temporary(folder: str) -> Finding:
    """Check that `folder` for temporary files can be written and has space for Ray's logs."""
    free = shutil.disk_usage(folder).free
    if not os.access(folder, os.W_OK | os.X_OK):
        return Finding(False, f"TMPDIR {folder} cannot be written: set another one")
    if free < TEMPORARY:
        return Finding(
            False, f"{size(free)} free in TMPDIR {folder}, {size(TEMPORARY)} needed: set a larger one"
        )
    return Finding(True, f"{size(free)} free in {folder}")


def open_files(limits: tuple[int, int] | None = None) -> Finding:
    """Check the hard limit of open files; Ray raises the soft limit to it."""
    _, hard = limits or resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard >= FILES:
        return Finding(True, "no limit" if hard == resource.RLIM_INFINITY else f"up to {hard}")
    return Finding(False, f"a process may open {hard} files, {FILES} are needed: ulimit -Hn 65536")
