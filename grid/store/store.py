"""The results of units, in a folder or in a bucket: the only authority on what is finished.

    done/<digest>.json       the marker: metrics, attempt, checksums; a unit writes it last
    units/<digest>/          its artifacts
    failed/<digest>.json     why a unit failed, and .log, the traceback
    checkpoints/<digest>/    of units that are not finished
    leases/<digest>/         one file per execution: who works on the unit (leases.py)
    live/<digest>.jsonl      metrics of a unit while it runs
    plans/<digest>.json      a plan, written once
    spaces/<name>.json       which plans were run under the name of a space
    doubts/<digest>          in a bucket: a reader found the unit's files damaged
    quarantine/<digest>/     markers and artifacts that were damaged

The paths that a store returns are below `root`. Of a bucket, `root` is the copy on this node, which may be
deleted whenever nothing runs. artifacts.py has the layout of the bucket, verification.py finds damage.
"""

import re
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from grid.store import artifacts
from grid.store.artifacts import Artifacts, BucketArtifacts, LocalArtifacts, copy_of
from grid.store.backends import Backend, BucketBackend, FolderBackend, is_url, reason
from grid.store.leases import SECONDS, Lease, Leases
from grid.store.records import Cause, DamagedError, Failure, Marker, SpaceRecord
from medpt import fault_injection, files
from medpt.errors import InputError

LARGE = (".parquet", ".safetensors", ".weights")  # pixels and weights, also where there are few
SMALL = 8 * 2**20  # bytes; larger artifacts are weights, arrays or pixels
DIGEST = re.compile("[0-9a-f]{64}")
READERS = 32  # markers that are read at once
ACCEPTED = "a folder or bucket that can be written is accepted, with links or conditional puts"


class SupersededError(Exception):
    """Another attempt holds the unit or has finished it, so this result is discarded."""


class Store:
    """The documents and files of units. Methods that read raise OSError if a bucket cannot be reached."""

    def __init__(self, out: str | Path, run: str = "", lease_seconds: float = SECONDS) -> None:
        """Open the store at `out`; `run` names the driver for which a worker works.

        Raises InputError for a URL that is not accepted.
        """
        self.out = str(out) if is_url(out) else str(Path(out).absolute())
        self.root = copy_of(self.out) if is_url(out) else Path(self.out)
        if is_url(out):
            bucket = BucketBackend(self.out)
            self.documents: Backend = bucket
            self.artifacts: Artifacts = BucketArtifacts(bucket, self.root)
        else:
            self.documents = FolderBackend(self.root)
            self.artifacts = LocalArtifacts(self.root)
        self.leases = Leases(self.documents, run, lease_seconds)
        self.known: set[str] = set()  # units that were seen finished

    def __reduce__(self) -> tuple[Any, ...]:
        return Store, (self.out, self.leases.run, self.leases.seconds)

    def create(self) -> None:
        """Make the folders. Raises InputError if nothing can be written."""
        try:
            for name in ("done", "units", "failed", "checkpoints", "leases", "live", "plans", "spaces"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"--out {self.root}: {reason(error)}; {ACCEPTED}") from None
        self.probe()

    def probe(self) -> None:
        """Raise InputError if nothing can be written, or if a name can be created twice."""
        name = f"probe-{uuid4().hex}"
        try:
            won = [self.documents.create(name, b"1"), self.documents.create(name, b"2")]
            self.documents.remove(name)
        except OSError as error:
            raise InputError(f"--out {self.out}: {reason(error)}; {ACCEPTED}") from None
        if won != [True, False]:
            raise InputError(f"--out {self.out}: a name can be created twice there; {ACCEPTED}")

    def folder(self, digest: str) -> Path:
        return self.root / "units" / digest

    def checkpoints(self, digest: str) -> Path:
        return self.root / "checkpoints" / digest

    def live(self, digest: str) -> Path:
        return self.root / "live" / f"{digest}.jsonl"

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    def finished(self) -> set[str]:
        """Return the digests of all units that have a marker, from one listing."""
        self.known = self._stems("done")
        return set(self.known)

    def is_finished(self, digest: str) -> bool:
        if digest not in self.known and self.documents.read(f"done/{digest}.json") is not None:
            self.known.add(digest)
        return digest in self.known

    def marker(self, digest: str) -> Marker:
        """Return a marker. Raises FileNotFoundError if there is none, DamagedError if it is damaged."""
        name = f"done/{digest}.json"
        try:
            return Marker.read(self._read(name), digest)
        except DamagedError as error:
            raise DamagedError(f"{self.out}/{name} is damaged: {error}") from None

    def markers(self, digests: Iterable[str]) -> dict[str, Marker]:
        """Return the markers of many units, read in parallel; missing and damaged ones are excluded."""

        def read(digest: str) -> Marker | None:
            with suppress(FileNotFoundError, DamagedError):
                return self.marker(digest)
            return None

        names = list(digests)
        with ThreadPoolExecutor(READERS) as pool:
            found = zip(names, pool.map(read, names), strict=True)
            return {name: marker for name, marker in found if marker is not None}

    def failures(self) -> set[str]:
        return self._stems("failed")

    def failure(self, digest: str) -> Failure:
        """Return why a unit failed. Raises FileNotFoundError if it did not."""
        return Failure.read(self._read(f"failed/{digest}.json"))

    def spaces(self) -> list[str]:
        """Return the names of the spaces that were run into this store."""
        earlier = {name for name in self._stems("plans") if not DIGEST.fullmatch(name)}
        return sorted(self._stems("spaces") | earlier)

    def space(self, name: str) -> SpaceRecord | None:
        """Return the record of a space; in a store of version 0.3.1 it is a plan of that name.

        Raises DamagedError if the record is damaged.
        """
        content = self.documents.read(f"spaces/{name}.json")
        if content is None:
            is_earlier = self.documents.read(f"plans/{name}.json") is not None
            return SpaceRecord(name, "", (name,)) if is_earlier else None
        try:
            return SpaceRecord.read(content)
        except DamagedError as error:
            raise DamagedError(f"{self.out}/spaces/{name}.json is damaged ({error}); run again") from None

    def write_space(self, record: SpaceRecord) -> None:
        self.documents.write(f"spaces/{record.name}.json", files.json_bytes(asdict(record)))

    def plan(self, digest: str) -> Any:
        """Return the JSON of a plan. Raises FileNotFoundError, or ValueError if it is damaged."""
        return files.parse_json(self._read(f"plans/{digest}.json"))

    def write_plan(self, digest: str, plan: dict[str, Any]) -> None:
        """Write a plan once; replace one of the same digest only if it is damaged."""
        name, content = f"plans/{digest}.json", files.json_bytes(plan)
        if not self.documents.create(name, content) and self.documents.read(name) != content:
            self.documents.write(name, content)

    def live_rows(self, digest: str) -> str:
        """Return the metrics of a running unit, one line per row; the last line may be incomplete."""
        return (self.documents.read(f"live/{digest}.jsonl") or b"").decode(errors="replace")

    def claim(self, digest: str) -> Lease | None:
        """Return the right to execute a unit, which counts as one more attempt.

        Return None if the unit is finished or another process has it.
        """
        if self.is_finished(digest):
            return None
        lease = self.leases.claim(digest)
        if lease and self.is_finished(digest):  # since the first check
            self.leases.withdraw(lease)
            return None
        return lease

    def synced(self, digest: str) -> AbstractContextManager[None]:
        """Return a context in which checkpoints and live metrics outlive this node."""
        return self.artifacts.synced(digest)

    def publish(self, digest: str, folder: Path, marker: Marker) -> None:
        """Make `folder` the unit's artifacts, then write its marker, which makes the unit finished.

        `marker.attempt` is the number of the lease. Raises SupersededError if a later one was given, or if
        the unit is finished; `folder` is then unchanged.
        """
        marker = replace(marker, artifacts=artifacts.checksums(folder), files=artifacts.file_states(folder))
        with self.documents.exclusive(digest):
            if self.leases.newest(digest) > marker.attempt or self.is_finished(digest):
                raise SupersededError(f"{digest}: attempt {marker.attempt} is not the last one")
            self.artifacts.put(digest, marker.attempt, folder)
            for name in ("json", "log"):  # of earlier attempts; first, as a process may die after the marker
                self.documents.remove(f"failed/{digest}.{name}")
            fault_injection.point("before_marker")
            if not self.documents.create(f"done/{digest}.json", marker.content()):
                raise SupersededError(f"{digest}: finished by another attempt than {marker.attempt}")
        fault_injection.point("after_marker")
        self.known.add(digest)
        self.artifacts.forget(digest)

    def fail(self, digest: str, cause: Cause, reason: str, trace: str | None = None) -> None:
        """Record why a unit failed; `trace` is the text of a traceback."""
        log = f"failed/{digest}.log"
        if trace:
            self.documents.write(log, trace.encode())
        failure = Failure(cause, reason, log if trace else None, time.time())
        self.documents.write(f"failed/{digest}.json", files.json_bytes(asdict(failure)))

    def artifact(self, digest: str, name: str) -> Path:
        """Return the path of an artifact with the content that was published.

        Raises InputError if it is damaged, and marks the unit as suspect.
        """
        path, marker = self.folder(digest) / name, self.marker(digest)
        expected = marker.artifacts.get(name)
        if not artifacts.has_sha256(path, expected):
            self.artifacts.fetch(digest, marker.attempt, name)
            if not artifacts.has_sha256(path, expected):
                self.mark_suspect(digest)
                what = "is not the file that was published" if path.is_file() else "is missing"
                raise InputError(f"{path} {what} (sha256 {str(expected)[:12]}…)")
        return path

    def file(self, digest: str, name: str) -> Path:
        """Return the path of a file of a finished unit, fetched if it exists; its content is not verified."""
        if not (self.folder(digest) / name).exists():
            self.artifacts.fetch(digest, self.marker(digest).attempt, name)
        return self.folder(digest) / name

    def fetch_all(self, digest: str) -> Path:
        """Return the folder of a finished unit with all of its files; their content is not verified."""
        self.artifacts.fetch_all(digest, self.marker(digest).attempt)
        return self.folder(digest)

    def small_artifacts(self, digest: str) -> list[Path]:
        """Return the files of a finished unit without weights, arrays and pixels."""
        self.artifacts.fetch_all(digest, self.marker(digest).attempt, SMALL)
        found = [file for file in self.folder(digest).iterdir() if file.suffix not in LARGE]
        return sorted(file for file in found if file.stat().st_size <= SMALL)

    def mark_suspect(self, digest: str) -> None:
        """Record that a reader found files of a unit damaged; the next run verifies all of them."""
        if is_url(self.out):
            files.remove(self.folder(digest))  # perhaps only the copy is damaged
            self.documents.write(f"doubts/{digest}", b"")

    def suspects(self, digests: set[str]) -> set[str]:
        """Return those of `digests` to verify before others use them: in a bucket, those a reader marked."""
        if not is_url(self.out):
            return digests
        return digests & {Path(name).name for name in self.documents.names("doubts")}

    def invalidate(self, digest: str) -> None:
        """Make a damaged unit unfinished, and move its marker and its files to quarantine/.

        Prepared data become checkpoints instead: intact shards are not prepared again.
        """
        try:
            attempt, names = (marker := self.marker(digest)).attempt, set(marker.artifacts)
        except DamagedError:
            attempt = self.leases.newest(digest)
            self.artifacts.fetch_all(digest, attempt, SMALL)
            names = {path.name for path in self.folder(digest).glob("*")}
        content = self.documents.read(f"done/{digest}.json")
        is_prepared = bool(artifacts.MANIFESTS & names)
        self.artifacts.set_aside(digest, attempt, to_checkpoints=is_prepared)
        self.documents.write(f"quarantine/{digest}.json", content or b"")
        self.documents.remove(f"done/{digest}.json")
        self.documents.remove(f"doubts/{digest}")
        self.known.discard(digest)

    def clean_up(self) -> None:
        """Remove temporary files and folders of killed processes once they are an hour old."""
        for folder in ("units", "done", "failed", "plans", "spaces", "reports/*"):
            for path in self.root.glob(f"{folder}/{files.TEMPORARY}*"):
                if time.time() - path.stat().st_mtime > 3600:
                    files.remove(path)

    def _read(self, name: str) -> bytes:
        content = self.documents.read(name)
        if content is None:
            raise FileNotFoundError(f"{self.out}/{name}")
        return content

    def _stems(self, folder: str) -> set[str]:
        return {Path(name).stem for name in self.documents.names(folder) if name.endswith(".json")}
