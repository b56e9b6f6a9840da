"""What a run must find around it: packages, a folder for results, a tracker, a cluster.

A check takes seconds and returns a Finding: whether it is well, and what was seen or what to do. Nothing is
changed: files that a check writes are gone when it returns.
"""

import fcntl
import os
import shutil
import socket
import sys
import tempfile
import tomllib
from base64 import b64encode
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from grid.addresses import TRACKING_URIS, hide_passwords, is_tracking_uri
from medpt.errors import InputError

if TYPE_CHECKING:
    from grid.store.store import Store

ROOT = Path(__file__).parents[2]
PATIENCE = 5.0  # seconds for a server to answer
GIB = 2**30

# File systems whose flock() reaches other machines and is freed when one is lost, where the options say so.
# NFS 3 ("nfs") is not among them: its server keeps the locks of a machine that never comes back.
SHARED: Mapping[str, Callable[[set[str]], bool]] = {
    "nfs4": lambda options: not {"local_lock=flock", "local_lock=all"} & options,
    "lustre": lambda options: "flock" in options,
    "ceph": lambda options: True,
}


class Finding(NamedTuple):
    ok: bool
    text: str


def python(version: tuple[int, ...] = sys.version_info[:3]) -> Finding:
    from packaging.specifiers import SpecifierSet

    wanted, found = _project()["requires-python"], ".".join(map(str, version))
    ok = SpecifierSet(wanted).contains(found)
    return Finding(ok, found if ok else f"{found}: {wanted} is needed: make PYTHON=… setup")


def packages(installed: Callable[[str], str] = metadata.version) -> Finding:
    """The project's direct dependencies against pyproject.toml, and beside requirements.lock."""
    from packaging.requirements import Requirement

    wanted = [Requirement(line) for line in _project()["dependencies"]]
    found = {one.name: _version(one.name, installed) for one in wanted}
    wrong = [
        f"{one} (found: {found[one.name] or 'none'})"
        for one in wanted
        if not one.specifier.contains(found[one.name] or "0", prereleases=True) or not found[one.name]
    ]
    if wrong:
        return Finding(False, f"{', '.join(wrong)}: make setup")
    locked = _locked()
    other = [f"{n} {v} (lock: {'/'.join(locked[n])})" for n, v in found.items() if v not in locked[n]]
    return Finding(True, f"as locked but {', '.join(other)}" if other else f"{len(found)} as locked")


def _project() -> dict[str, Any]:
    return dict(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"])


def _version(name: str, installed: Callable[[str], str]) -> str | None:
    try:
        return installed(name)
    except metadata.PackageNotFoundError:
        return None


def _locked() -> dict[str, list[str]]:
    """Versions of each package; several where they depend on Python's version."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found: dict[str, list[str]] = {}
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        one = Requirement(line)
        found.setdefault(canonicalize_name(one.name), []).append(str(one.specifier).removeprefix("=="))
    names = [Requirement(line).name for line in _project()["dependencies"]]
    return {name: found.get(canonicalize_name(name), []) for name in names}


def writable(folder: Path) -> Finding:
    """Whether results can be written and locked there."""
    place = existing(folder)
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"0")
            file.flush()
            os.fsync(file.fileno())
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return Finding(
            False, f"{place}: {error.strerror}: give --out a folder that can be written and locked"
        )
    return Finding(True, str(folder))


def bucket(store: "Store") -> Finding:
    """Whether results can be written there, and of two who create a name one is refused."""
    try:
        store.probe()
    except InputError as error:
        return Finding(False, f"{error}: is it there, and may this machine write?")
    return Finding(True, f"{store.out}, copies in {store.root}")


def existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    return next(place for place in (folder.absolute(), *folder.absolute().parents) if place.is_dir())


def space(folder: Path, need: Mapping[str, float]) -> Finding:
    """Free bytes beside what is needed, by what it is for."""
    free, wanted = shutil.disk_usage(existing(folder)).free, sum(need.values())
    parts = ", ".join(f"{name} {size(value)}" for name, value in need.items() if value >= 0.05 * wanted)
    text = f"{size(free)} free, about {size(wanted)} needed ({parts})"
    if free >= wanted:
        return Finding(True, text)
    return Finding(False, f"{folder}: {text}: give --out (and --cache) a larger disk")


def size(count: float) -> str:
    return f"{count / GIB:,.1f} GiB" if count >= 0.1 * GIB else f"{count / 2**20:,.0f} MiB"


def shared(folder: Path, mounts: str | None = None) -> Finding:
    """Whether all nodes of a cluster can see the folder, and leases in it hold between them."""
    mounts = Path("/proc/self/mounts").read_text() if mounts is None else mounts
    kind, options = mounted(existing(folder), mounts)
    where = "--out must be a shared file system that keeps flock() between machines; see docs/cluster.md"
    if kind not in SHARED:
        return Finding(False, f"{folder} is on {kind}: {where}")
    if not SHARED[kind](options):
        return Finding(False, f"{folder} is on {kind} mounted {','.join(sorted(options))}: {where}")
    return Finding(True, f"{folder} is on {kind}, whose locks reach all nodes")


def mounted(folder: Path, mounts: str) -> tuple[str, set[str]]:
    """Type and options of the mount that holds an absolute folder; the longest, the later of equal ones."""
    best = ("", "none", "")
    for line in mounts.splitlines():
        _, point, kind, options, *_ = line.split(" ")
        point = point.replace("\\040", " ")
        if folder.resolve().is_relative_to(point) and len(point) >= len(best[0]):
            best = (point, kind, options)
    return best[1], set(best[2].split(","))


def tracker(uri: str) -> Finding:
    """Whether MLflow's server or database answers, or the folder of its file can be written."""
    parts = urlsplit(uri)
    if parts.password:
        better = "PGPASSWORD" if parts.scheme == "postgresql" else "MLFLOW_TRACKING_USERNAME and _PASSWORD"
        return Finding(False, f"--tracking-uri holds a password: use {better}")
    if parts.scheme in ("http", "https"):
        return _answers(uri.rstrip("/"))
    if parts.scheme == "sqlite":
        found = writable(Path(uri.removeprefix("sqlite:///")).parent)
        return Finding(True, uri) if found.ok else found
    if not is_tracking_uri(uri):
        return Finding(False, f"--tracking-uri {uri}: {TRACKING_URIS} is accepted")
    return _connects(uri)


def _connects(uri: str) -> Finding:
    """Whether a database can be reached."""
    from sqlalchemy.exc import SQLAlchemyError

    from grid.tracking.client import exclusive_access

    try:
        with exclusive_access(uri):
            return Finding(True, uri)
    except (SQLAlchemyError, ImportError) as error:
        return Finding(False, f"{uri}: {hide_passwords(str(error).splitlines()[0])}")


def _answers(uri: str) -> Finding:
    try:
        _get(f"{uri}/api/2.0/mlflow/experiments/search?max_results=1")  # what needs the right host and user
        version = _get(f"{uri}/version")
    except HTTPError as error:
        why = {
            401: "it asks who you are: MLFLOW_TRACKING_USERNAME and _PASSWORD",
            403: "this host is not allowed",
        }
        return Finding(False, f"{uri} answers {error.code}: {why.get(error.code, 'is it MLflow?')}")
    except (URLError, OSError, ValueError) as error:
        start = "start it with `make tracking`; until it answers, records wait in --out"
        return Finding(False, f"{uri}: {getattr(error, 'reason', error)}: {start}")
    return Finding(True, f"{uri}, MLflow {version}")


def _get(address: str) -> str:
    request = Request(address)  # noqa: S310 - http(s), as `tracker` saw
    user, password = (os.environ.get(f"MLFLOW_TRACKING_{name}", "") for name in ("USERNAME", "PASSWORD"))
    if user:
        request.add_header("Authorization", f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}")
    with urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
        return str(answer.read(100).decode())


def cluster(address: str) -> Finding:
    """Whether something listens where Ray's head should."""
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS") or _started_here()
    host, _, port = address.removeprefix("ray://").rpartition(":")
    accepted = "HOST:PORT of a Ray head, or `auto` on a node of the cluster"
    if not host or not port.isdigit():
        return Finding(False, f"--address {address or 'auto'}: no Ray runs here: {accepted} is accepted")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE).close()
    except OSError as error:
        return Finding(
            False, f"--address {address}: {error.strerror or error}: start the head, or its tunnel"
        )
    return Finding(True, f"{address} listens; `ray status` shows what joined it")


def _started_here() -> str:
    path = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()) / "ray" / "ray_current_cluster"
    return path.read_text().strip() if path.is_file() else ""


def token(environment: Mapping[str, str] = os.environ) -> Finding:
    """Whether a cluster that asks for Ray's token will be given one."""
    path = Path(environment.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    if environment.get("RAY_AUTH_TOKEN") or path.is_file():
        return Finding(True, "there is a token")
    if environment.get("RAY_AUTH_MODE") == "token":
        return Finding(
            False, f"no token at {path}: ray get-auth-token --generate, on the head and here the same"
        )
    return Finding(False, "no token: anyone who reaches the cluster runs code there: docs/cluster.md")
