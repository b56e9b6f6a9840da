"""Checks of what a run needs around it: packages, a folder for results, a tracker, a cluster.

A check takes seconds and returns a Finding: whether it passed, and what was seen or what to do. Files that a
check writes are removed when it returns.
"""

import fcntl
import os
import shutil
import ssl
import sys
import tempfile
from base64 import b64encode
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from grid.addresses import TRACKING_URIS, hide_passwords, is_tracking_uri
from grid.cluster.ray_session import find_head
from grid.package_data import PROJECT, required_versions, unmet_requirements
from medpt.errors import InputError
from medpt.files import existing_folder

if TYPE_CHECKING:
    from grid.store.store import Store

LOCK = Path(__file__).parents[2] / "requirements.lock"  # of a checkout
PATIENCE = 5.0  # seconds for a server to answer
CERTIFICATES = ("MLFLOW_TRACKING_SERVER_CERT_PATH", "REQUESTS_CA_BUNDLE")  # as MLflow's client reads them
INSECURE = "MLFLOW_TRACKING_INSECURE_TLS"
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
    """Check the version of Python against what the project requires."""
    from packaging.specifiers import SpecifierSet

    required, found = metadata.metadata(PROJECT)["Requires-Python"], ".".join(map(str, version))
    ok = SpecifierSet(required).contains(found)
    return Finding(ok, found if ok else f"{found}: {required} is needed: make PYTHON=… setup")


def packages(installed: Callable[[str], str] = metadata.version) -> Finding:
    """Check the versions of the dependencies; in a checkout also against requirements.lock."""
    from packaging.utils import canonicalize_name

    found, wrong = required_versions(installed), unmet_requirements(installed)
    if wrong:
        return Finding(False, f"{', '.join(wrong.values())}: make setup")
    if not LOCK.is_file():
        return Finding(True, f"{len(found)} as required")
    locked = {name: _locked().get(canonicalize_name(name), []) for name in found}
    other = [f"{n} {v} (lock: {'/'.join(locked[n])})" for n, v in found.items() if v not in locked[n]]
    return Finding(True, f"as locked but {', '.join(other)}" if other else f"{len(found)} as locked")


def _locked() -> dict[str, list[str]]:
    """Return the locked versions by package; several where they depend on Python's version."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    versions: dict[str, list[str]] = {}
    for line in LOCK.read_text(encoding="utf-8").splitlines():
        one = Requirement(line)
        versions.setdefault(canonicalize_name(one.name), []).append(str(one.specifier).removeprefix("=="))
    return versions


def writable(folder: Path) -> Finding:
    """Check that results can be written and locked in `folder`, which need not exist yet."""
    existing = existing_folder(folder)
    try:
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(b"0")
            file.flush()
            os.fsync(file.fileno())
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        advice = "give --out a folder that can be written and locked"
        return Finding(False, f"{existing}: {error.strerror}: {advice}")
    return Finding(True, str(folder))


def bucket(store: "Store") -> Finding:
    """Check that results can be written, and that of two who create a name one is refused."""
    try:
        store.probe()
    except InputError as error:
        return Finding(False, f"{error}: does the bucket exist, and may this machine write to it?")
    return Finding(True, f"{store.out}, copies in {store.root}")


def space(folder: Path, need: Mapping[str, float]) -> Finding:
    """Check that the disk of `folder` has the bytes of `need`, which are given by what they are for."""
    free, wanted = shutil.disk_usage(existing_folder(folder)).free, sum(need.values())
    parts = ", ".join(f"{name} {size(value)}" for name, value in need.items() if value >= 0.05 * wanted)
    text = f"{size(free)} free, about {size(wanted)} needed ({parts})"
    if free >= wanted:
        return Finding(True, text)
    return Finding(False, f"{folder}: {text}: give --out (and --cache) a larger disk")


def size(count: float) -> str:
    """Return a number of bytes in GiB or MiB."""
    return f"{count / GIB:,.1f} GiB" if count >= 0.1 * GIB else f"{count / 2**20:,.0f} MiB"


def shared(folder: Path, mounts: str | None = None) -> Finding:
    """Check that all nodes of a cluster see the folder, and that locks in it reach all of them.

    `mounts` has the lines of /proc/self/mounts.
    """
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8") if mounts is None else mounts
    kind, options = mounted(existing_folder(folder), mounts)
    where = "--out must be a shared file system that keeps flock() between machines; see docs/cluster.md"
    if kind not in SHARED:
        return Finding(False, f"{folder} is on {kind}: {where}")
    if not SHARED[kind](options):
        return Finding(False, f"{folder} is on {kind} mounted {','.join(sorted(options))}: {where}")
    return Finding(True, f"{folder} is on {kind}, whose locks reach all nodes")


def mounted(folder: Path, mounts: str) -> tuple[str, set[str]]:
    """Return type and options of the mount that holds an absolute folder."""
    best = ("", "none", "")  # the longest mount point, of equal ones the last
    for line in mounts.splitlines():
        _, point, kind, options, *_ = line.split(" ")
        point = point.replace("\\040", " ")
        if folder.resolve().is_relative_to(point) and len(point) >= len(best[0]):
            best = (point, kind, options)
    return best[1], set(best[2].split(","))


def tracker(uri: str) -> Finding:
    """Check that MLflow's server or database answers, or that the folder of its file can be written."""
    parts = urlsplit(uri)
    if parts.password:
        better = "PGPASSWORD" if parts.scheme == "postgresql" else "MLFLOW_TRACKING_USERNAME and _PASSWORD"
        return Finding(False, f"--tracking-uri holds a password: use {better}")
    if parts.scheme in ("http", "https"):
        if _trusts_all() and os.environ.get(CERTIFICATES[0]):
            return Finding(False, f"{INSECURE} and {CERTIFICATES[0]} are set; MLflow accepts one of them")
        return _answers(uri.rstrip("/"))
    if parts.scheme == "sqlite":
        found = writable(Path(uri.removeprefix("sqlite:///")).parent)
        return Finding(True, uri) if found.ok else found
    if not is_tracking_uri(uri):
        return Finding(False, f"--tracking-uri {uri}: {TRACKING_URIS} is accepted")
    return _connects(uri)


def _connects(uri: str) -> Finding:
    """Check that a database can be reached."""
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
            401: "it asks who you are: MLFLOW_TRACKING_USERNAME and _PASSWORD, or _TOKEN",
            403: "this host is not allowed",
        }
        return Finding(False, f"{uri} answers {error.code}: {why.get(error.code, 'is it MLflow?')}")
    except (URLError, OSError, ValueError) as error:
        from grid.tracking.client import repair_needed

        start = "start it with `make tracking`; until it answers, records wait in --out"
        remedy = repair_needed(error) or f"{getattr(error, 'reason', error)}: {start}"
        return Finding(False, f"{uri}: {remedy}")
    return Finding(True, f"{uri}, MLflow {version}")


def _get(address: str) -> str:
    request = Request(address)  # noqa: S310 - http(s), as `tracker` saw
    names = ("USERNAME", "PASSWORD", "TOKEN")
    user, password, bearer = (os.environ.get(f"MLFLOW_TRACKING_{name}", "") for name in names)
    if user:
        request.add_header("Authorization", f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}")
    elif bearer:
        request.add_header("Authorization", f"Bearer {bearer}")
    with urlopen(request, timeout=PATIENCE, context=_trusted()) as answer:  # noqa: S310
        return str(answer.read(100).decode())


def _trusts_all() -> bool:
    return os.environ.get(INSECURE, "").lower() in ("true", "1")


def _trusted() -> ssl.SSLContext:
    """Return which certificates are accepted, as MLflow's client does."""
    if _trusts_all():
        return ssl._create_unverified_context()  # noqa: S323 - the user asks for it
    authorities = next((os.environ[name] for name in CERTIFICATES if os.environ.get(name)), None)
    return ssl.create_default_context(cafile=authorities)


def cluster(address: str) -> Finding:
    """Check that a Ray head accepts connections at `address`."""
    try:
        return Finding(True, f"{find_head(address)} listens; `ray status` shows which machines have joined")
    except InputError as error:
        return Finding(False, str(error))


def token(environment: Mapping[str, str] = os.environ) -> Finding:
    """Check that there is the token that a cluster asks for."""
    path = Path(environment.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    if environment.get("RAY_AUTH_TOKEN") or path.is_file():
        return Finding(True, "found")
    if environment.get("RAY_AUTH_MODE") == "token":
        return Finding(False, f"none at {path}: ray get-auth-token --generate; the head needs the same one")
    return Finding(False, "none: whoever reaches the cluster can run code there: docs/cluster.md")
