"""The files of units: in a folder that every node sees, or in a bucket with a copy on each node.

In a bucket:

    units/<digest>/<attempt>/<file>       of the attempt that the marker names
    checkpoints/<digest>/<file>           of units that are not finished
    quarantine/<digest>/<attempt>/<file>  damaged files

A process that trains sees paths of a disk. What it reads is downloaded first; what it writes is uploaded by
a thread.
"""

import hashlib
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Protocol, TypeVar

from grid.store.backends import BucketBackend
from medpt import files

log = logging.getLogger(__name__)

UPLOAD_SECONDS = 2.0  # between uploads of what a unit wrote
REQUESTS = 16  # at the same time
MANIFESTS = {"manifest.json", "cohort.json"}  # artifacts that list further files, of prepared data

Item = TypeVar("Item")
States = Mapping[str, tuple[int, int]]  # bytes and time of the last change (ns) by name of the file


class Artifacts(Protocol):
    """The files of units. A file that is "fetched" is at its path afterwards, if it exists at all."""

    def put(self, digest: str, attempt: int, folder: Path) -> None:
        """Make `folder` the files of the unit; the marker is written afterwards."""

    def fetch(self, digest: str, attempt: int, name: str) -> None:
        """Fetch one file, and replace the copy that is there."""

    def fetch_all(self, digest: str, attempt: int, largest: int | None = None) -> None:
        """Fetch the files that are not there yet, or those of at most `largest` bytes."""

    def changed(self, digest: str, attempt: int, states: States) -> list[str]:
        """Return the files that are missing, or whose size or time differs from `states`."""

    def listed(self) -> AbstractContextManager[None]:
        """Return a context in which `changed` asks a bucket for all files once, and not for each unit."""

    def keep(self, digest: str, *paths: Path) -> None:
        """Keep files of an unfinished unit for its next attempt on any node."""

    def resume(self, digest: str) -> None:
        """Fetch what any node kept of an unfinished unit."""

    def synced(self, digest: str) -> AbstractContextManager[None]:
        """Return a context in which checkpoints and live metrics of a unit outlive this node."""

    def forget(self, digest: str) -> None:
        """Remove what was kept of an unfinished unit."""

    def set_aside(self, digest: str, attempt: int, *, to_checkpoints: bool) -> None:
        """Move the files of a unit to quarantine/, or to checkpoints/ for the next attempt."""


def copy_of(url: str) -> Path:
    """Return the folder of this node for copies from a bucket: in $MEDPT_COPIES, or in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    parent = Path(os.environ.get("MEDPT_COPIES") or cache / "medpt-grid")
    return parent.absolute() / hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:16]


class LocalArtifacts:
    """Files in the folder itself; there is nothing to fetch or to upload."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, digest: str, attempt: int, folder: Path) -> None:
        move(folder, self.root / "units" / digest)

    def fetch(self, digest: str, attempt: int, name: str) -> None: ...

    def fetch_all(self, digest: str, attempt: int, largest: int | None = None) -> None: ...

    def changed(self, digest: str, attempt: int, states: States) -> list[str]:
        now = file_states(self.root / "units" / digest)
        return [name for name, state in states.items() if now.get(name) != state]

    def listed(self) -> AbstractContextManager[None]:
        return nullcontext()

    def keep(self, digest: str, *paths: Path) -> None: ...

    def resume(self, digest: str) -> None: ...

    @contextmanager
    def synced(self, digest: str) -> Iterator[None]:
        yield

    def forget(self, digest: str) -> None:
        files.remove(self.root / "checkpoints" / digest)

    def set_aside(self, digest: str, attempt: int, *, to_checkpoints: bool) -> None:
        parent = self.root / ("checkpoints" if to_checkpoints else "quarantine")
        if (self.root / "units" / digest).is_dir():
            move(self.root / "units" / digest, parent / digest)


class BucketArtifacts:
    """Files in a bucket, with copies of those that this node used below `root`."""

    def __init__(self, bucket: BucketBackend, root: Path) -> None:
        self.bucket, self.root = bucket, root
        self.sizes: dict[str, dict[str, int]] | None = None  # of files by folder, while they are listed

    def put(self, digest: str, attempt: int, folder: Path) -> None:
        kept = self.bucket.sizes(f"checkpoints/{digest}")

        def send(path: Path) -> None:
            before = f"checkpoints/{digest}/{path.name}"
            if path.suffix == ".parquet" and kept.get(before) == path.stat().st_size:
                self.bucket.copy(before, f"units/{digest}/{attempt}/{path.name}")
            else:
                self.bucket.upload(path, f"units/{digest}/{attempt}/{path.name}")

        _run_all(send, (path for path in folder.iterdir() if path.is_file()))
        move(folder, self.root / "units" / digest)

    def fetch(self, digest: str, attempt: int, name: str) -> None:
        with files.exclusive(self.root / "locks" / "fetch" / digest):
            self._fetch(digest, f"units/{digest}/{attempt}/{name}")

    def fetch_all(self, digest: str, attempt: int, largest: int | None = None) -> None:
        with files.exclusive(self.root / "locks" / "fetch" / digest):
            stored = self.bucket.sizes(f"units/{digest}/{attempt}").items()
            wanted = (name for name, size in stored if largest is None or size <= largest)
            folder = self.root / "units" / digest
            missing = (name for name in wanted if not (folder / Path(name).name).exists())
            _run_all(lambda name: self._fetch(digest, name), missing)

    def changed(self, digest: str, attempt: int, states: States) -> list[str]:
        folder = f"units/{digest}/{attempt}"
        sizes = (self._sizes(folder) if self.sizes is None else self.sizes).get(folder, {})
        return [name for name, (size, _) in states.items() if sizes.get(name) != size]

    @contextmanager
    def listed(self) -> Iterator[None]:
        self.sizes = self._sizes("units")
        try:
            yield
        finally:
            self.sizes = None

    def _sizes(self, folder: str) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {}
        for name, size in self.bucket.sizes(folder).items():
            above, _, file = name.rpartition("/")
            found.setdefault(above, {})[file] = size
        return found

    def keep(self, digest: str, *paths: Path) -> None:
        for path in paths:
            self.bucket.upload(path, f"checkpoints/{digest}/{path.name}")

    def resume(self, digest: str) -> None:
        folder = self.root / "checkpoints" / digest
        folder.mkdir(parents=True, exist_ok=True)
        for name, size in self.bucket.sizes(f"checkpoints/{digest}").items():
            path = folder / Path(name).name
            if not path.exists() or path.stat().st_size != size:
                self.bucket.download(name, path)

    @contextmanager
    def synced(self, digest: str) -> Iterator[None]:
        self.resume(digest)
        ended = threading.Event()
        thread = threading.Thread(target=self._upload, args=(digest, ended), name="uploads", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def forget(self, digest: str) -> None:
        _run_all(self.bucket.remove, self.bucket.sizes(f"checkpoints/{digest}"))
        files.remove(self.root / "checkpoints" / digest)

    def set_aside(self, digest: str, attempt: int, *, to_checkpoints: bool) -> None:
        target = f"checkpoints/{digest}" if to_checkpoints else f"quarantine/{digest}/{attempt}"
        files.remove(self.root / "units" / digest)
        for name in self.bucket.sizes(f"units/{digest}/{attempt}"):
            self.bucket.copy(name, f"{target}/{Path(name).name}")
            self.bucket.remove(name)

    def _fetch(self, digest: str, name: str) -> None:
        try:
            self.bucket.download(name, self.root / "units" / digest / Path(name).name)
        except FileNotFoundError:
            log.warning("artifact %s/%s is missing", self.bucket.url, name)

    def _upload(self, digest: str, ended: threading.Event) -> None:
        sent: dict[str, tuple[int, int]] = {}
        is_last = False
        while not is_last:
            is_last = ended.wait(UPLOAD_SECONDS)
            try:
                self._upload_changes(digest, sent)
            except OSError as error:  # the next round tries again
                log.warning("could not upload checkpoints of %s: %s", digest, error)

    def _upload_changes(self, digest: str, sent: dict[str, tuple[int, int]]) -> None:
        """Upload files that changed since `sent`; remove from the bucket those that are gone here."""
        folder, live = self.root / "checkpoints" / digest, self.root / "live" / f"{digest}.jsonl"
        found = {f"checkpoints/{digest}/{name}": folder / name for name in file_states(folder)}
        found |= {f"live/{digest}.jsonl": live} if live.exists() else {}
        for name, path in found.items():
            state = _state(path)
            if sent.get(name) != state:
                self.bucket.upload(path, name)
                sent[name] = state
        for name in set(sent) - set(found):
            self.bucket.remove(name)
            del sent[name]


def move(folder: Path, target: Path) -> None:
    """Rename a folder to `target`, and replace what is there."""
    files.remove(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    os.rename(folder, target)
    files.sync(target.parent)


def file_states(folder: Path) -> dict[str, tuple[int, int]]:
    """Return bytes and time of the last change of each complete file in a folder, sorted by name."""
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return {
        path.name: _state(path)
        for path in paths
        if path.is_file() and not path.name.startswith(files.TEMPORARY)
    }


def _state(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def checksums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each artifact, without Parquet files, which a manifest lists."""
    return {
        name: files.sha256(folder / name)
        for name in file_states(folder)
        if not (folder / name).with_suffix(".parquet").exists()
    }


def has_sha256(path: Path, expected: str | None) -> bool:
    return path.is_file() and files.sha256(path) == expected


def _run_all(work: Callable[[Item], object], items: Iterable[Item]) -> None:
    """Call `work` with all items, several at the same time. Raises the first error after all have ended."""
    with ThreadPoolExecutor(REQUESTS) as pool:
        list(pool.map(work, items))
