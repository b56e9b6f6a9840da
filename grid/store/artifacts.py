"""Where the files of units lie: on a disk that everybody sees, or in a bucket with a copy on each node.

In a bucket:

    units/<digest>/<attempt>/<file>       of the attempt that its marker names
    checkpoints/<digest>/<file>           of units that are not finished
    quarantine/<digest>/<attempt>/<file>  what was not what had been published

Whoever trains sees paths of a disk: what it reads is fetched first, what it writes follows behind it.
"""

import fcntl
import hashlib
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from grid.store.backends import BucketBackend
from medpt import files

log = logging.getLogger(__name__)

PERIOD = 2.0  # seconds between looks at what a unit wrote
AT_ONCE = 16  # requests

Item = TypeVar("Item")


class Artifacts(Protocol):
    def put(self, digest: str, attempt: int, built: Path) -> None:
        """Makes the folder `built` the unit's; its marker is written afterwards."""

    def fetch(self, digest: str, attempt: int, name: str) -> None:
        """Has one file at its path, where it exists; what was there may be replaced."""

    def fetch_all(self, digest: str, attempt: int, largest: int | None = None) -> None:
        """Has all files there that are not yet, or those of at most `largest` bytes."""

    def keep(self, digest: str, *paths: Path) -> None:
        """Files of a unit in the making that must outlive this node."""

    def resume(self, digest: str) -> None:
        """Has there what any node kept of a unit in the making."""

    def followed(self, digest: str) -> AbstractContextManager[None]:
        """A context in which checkpoints and live metrics of a unit outlive this node."""

    def forget(self, digest: str) -> None:
        """No unit in the making any more."""

    def set_aside(self, digest: str, attempt: int, *, to_checkpoints: bool) -> None:
        """Takes a unit's files away: to be read again by the next attempt, or into quarantine."""


def copy_of(url: str) -> Path:
    """The folder of this node for what lies in a bucket: $MEDPT_COPIES, or of the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    place = Path(os.environ.get("MEDPT_COPIES") or cache / "medpt-grid")
    return place.absolute() / hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:16]


class LocalArtifacts:
    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, digest: str, attempt: int, built: Path) -> None:
        move(built, self.root / "units" / digest)

    def fetch(self, digest: str, attempt: int, name: str) -> None: ...

    def fetch_all(self, digest: str, attempt: int, largest: int | None = None) -> None: ...

    def keep(self, digest: str, *paths: Path) -> None: ...

    def resume(self, digest: str) -> None: ...

    @contextmanager
    def followed(self, digest: str) -> Iterator[None]:
        yield

    def forget(self, digest: str) -> None:
        files.remove(self.root / "checkpoints" / digest)

    def set_aside(self, digest: str, attempt: int, *, to_checkpoints: bool) -> None:
        place = self.root / ("checkpoints" if to_checkpoints else "quarantine")
        if (self.root / "units" / digest).is_dir():
            move(self.root / "units" / digest, place / digest)


class BucketArtifacts:
    def __init__(self, bucket: BucketBackend, root: Path) -> None:
        self.bucket, self.root = bucket, root

    def put(self, digest: str, attempt: int, built: Path) -> None:
        kept = self.bucket.sizes(f"checkpoints/{digest}")

        def send(path: Path) -> None:
            before = f"checkpoints/{digest}/{path.name}"
            if path.suffix == ".parquet" and kept.get(before) == path.stat().st_size:
                self.bucket.copy(before, f"units/{digest}/{attempt}/{path.name}")
            else:
                self.bucket.upload(path, f"units/{digest}/{attempt}/{path.name}")

        _all(send, (path for path in built.iterdir() if path.is_file()))
        move(built, self.root / "units" / digest)

    def fetch(self, digest: str, attempt: int, name: str) -> None:
        with self._alone(digest):
            self._fetch(digest, f"units/{digest}/{attempt}/{name}")

    def fetch_all(self, digest: str, attempt: int, largest: int | None = None) -> None:
        with self._alone(digest):
            there = self.bucket.sizes(f"units/{digest}/{attempt}").items()
            wanted = (name for name, size in there if largest is None or size <= largest)
            folder = self.root / "units" / digest
            _all(
                lambda name: self._fetch(digest, name),
                (name for name in wanted if not (folder / Path(name).name).exists()),
            )

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
    def followed(self, digest: str) -> Iterator[None]:
        self.resume(digest)
        ended = threading.Event()
        thread = threading.Thread(target=self._follow, args=(digest, ended), name="follower", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def forget(self, digest: str) -> None:
        _all(self.bucket.remove, self.bucket.sizes(f"checkpoints/{digest}"))
        files.remove(self.root / "checkpoints" / digest)

    def set_aside(self, digest: str, attempt: int, *, to_checkpoints: bool) -> None:
        place = f"checkpoints/{digest}" if to_checkpoints else f"quarantine/{digest}/{attempt}"
        files.remove(self.root / "units" / digest)
        for name in self.bucket.sizes(f"units/{digest}/{attempt}"):
            self.bucket.copy(name, f"{place}/{Path(name).name}")
            self.bucket.remove(name)

    def _fetch(self, digest: str, name: str) -> None:
        try:
            self.bucket.download(name, self.root / "units" / digest / Path(name).name)
        except FileNotFoundError:
            log.warning("%s/%s is not there", self.bucket.url, name)

    def _follow(self, digest: str, ended: threading.Event) -> None:
        sent: dict[str, tuple[int, int]] = {}
        over = False
        while not over:
            over = ended.wait(PERIOD)
            try:
                self._send_new(digest, sent)
            except OSError as error:  # the next look tries again
                log.warning("%s", error)

    def _send_new(self, digest: str, sent: dict[str, tuple[int, int]]) -> None:
        """Uploads what changed since the last look; what vanished here vanishes there, the newest last."""
        folder, live = self.root / "checkpoints" / digest, self.root / "live" / f"{digest}.jsonl"
        found = {f"checkpoints/{digest}/{path.name}": path for path in _whole(folder)}
        found |= {f"live/{digest}.jsonl": live} if live.exists() else {}
        for name, path in found.items():
            facts = path.stat()
            state = facts.st_size, facts.st_mtime_ns
            if sent.get(name) != state:
                self.bucket.upload(path, name)
                sent[name] = state
        for name in set(sent) - set(found):
            self.bucket.remove(name)
            del sent[name]

    @contextmanager
    def _alone(self, digest: str) -> Iterator[None]:
        """One process of a node fetches a unit; the others find it there."""
        path = self.root / "locks" / "fetch" / digest
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def move(folder: Path, target: Path) -> None:
    """A folder takes the place of another one, where there is one."""
    files.remove(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    os.rename(folder, target)
    files.sync(target.parent)


def _whole(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith(files.TEMPORARY))


def _all(work: Callable[[Item], object], items: Iterable[Item]) -> None:
    """At once, to their ends; the first failure is raised."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(work, items))


def has_sha256(path: Path, expected: str | None) -> bool:
    return path.is_file() and files.sha256(path) == expected


def is_artifact(file: Path) -> bool:
    """Return whether a marker lists the file. A manifest lists Parquet files and the notes beside them."""
    return file.is_file() and not file.with_suffix(".parquet").exists()
