"""The results, and the only authority on "finished": a folder, or a bucket with a copy on each node.

    done/<digest>.json       the marker: metrics, attempt, sha256 of each artifact; what a unit writes last
    units/<digest>/          its artifacts
    failed/<digest>.json     why a unit failed, and .log, where it happened
    checkpoints/<digest>/    of units that are not finished
    leases/<digest>/         one file an execution: who works on the unit (grid/store/leases.py)
    live/<digest>.jsonl      metrics of a unit while it runs
    plans/<digest>.json      a plan, written once
    spaces/<name>.json       which plans were run under the name of a space
    doubts/<digest>          of a bucket: a reader found the unit's files damaged
    quarantine/<digest>/     artifacts that were not what had been published

Paths that a store gives are below `root`, which of a bucket is a copy on this node; it may be deleted at any
time when nothing runs. grid/store/artifacts.py says where that is, and where files lie in the bucket.
"""

import json
import re
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import uuid4

from grid.store.artifacts import Artifacts, BucketArtifacts, LocalArtifacts, copy_of, has_sha256, is_artifact
from grid.store.backends import Backend, BucketBackend, FolderBackend, is_url, reason
from grid.store.leases import SECONDS, Lease, Leases
from grid.store.records import SpaceRecord
from medpt import fault_injection, files
from medpt.data import manifest
from medpt.errors import InputError
from medpt.survival import patch_files

VERIFY = {manifest.MANIFEST: manifest.verify, patch_files.MANIFEST: patch_files.verify}  # prepared data
NOTES = 8 * 2**20  # bytes; larger artifacts are weights, arrays or pixels
DIGEST = re.compile("[0-9a-f]{64}")
READERS = 32  # of markers at once
ACCEPTED = "a folder or bucket that can be written is accepted, with links or conditional puts"


class SupersededError(Exception):
    """Another attempt holds the unit, or has finished it: this one's result does not count."""


class Store:
    def __init__(self, out: str | Path, run: str = "", lease_seconds: float = SECONDS) -> None:
        """`run` names the driver for which a worker works; InputError for a URL that is not accepted."""
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
        self.known: set[str] = set()  # seen finished: that is for ever

    def __reduce__(self) -> tuple[Any, ...]:
        return Store, (self.out, self.leases.run, self.leases.seconds)

    def create(self) -> None:
        """InputError where nothing can be written."""
        try:
            for name in ("done", "units", "failed", "checkpoints", "leases", "live", "plans", "spaces"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"--out {self.root}: {reason(error)}; {ACCEPTED}") from None
        self.probe()

    def probe(self) -> None:
        """InputError where nothing can be written, or where two who create a name both succeed."""
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
        """Digests of all finished units, from one listing."""
        self.known = self._stems("done")
        return set(self.known)

    def is_finished(self, digest: str) -> bool:
        if digest not in self.known and self.documents.read(f"done/{digest}.json") is not None:
            self.known.add(digest)
        return digest in self.known

    def marker(self, digest: str) -> dict[str, Any]:
        """FileNotFoundError where the unit is not finished; ValueError where its marker is damaged."""
        return dict(self._read(f"done/{digest}.json"))

    def markers(self, digests: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Of many units, many at once; without those that cannot be read."""

        def read(digest: str) -> dict[str, Any] | None:
            try:
                return self.marker(digest)
            except (OSError, ValueError):
                return None

        names = list(digests)
        with ThreadPoolExecutor(READERS) as pool:
            found = zip(names, pool.map(read, names), strict=True)
            return {name: marker for name, marker in found if marker is not None}

    def failures(self) -> set[str]:
        return self._stems("failed")

    def failure(self, digest: str) -> dict[str, Any]:
        return dict(self._read(f"failed/{digest}.json"))

    def spaces(self) -> list[str]:
        """Return the names of the spaces that were run into this store."""
        earlier = {name for name in self._stems("plans") if not DIGEST.fullmatch(name)}
        return sorted(self._stems("spaces") | earlier)

    def space(self, name: str) -> SpaceRecord | None:
        """Return what is on record of a space; of version 0.3.1 that is a plan of its name."""
        content = self.documents.read(f"spaces/{name}.json")
        if content is not None:
            return SpaceRecord.from_json(json.loads(content))
        is_earlier = self.documents.read(f"plans/{name}.json") is not None
        return SpaceRecord(name, "", (name,)) if is_earlier else None

    def write_space(self, record: SpaceRecord) -> None:
        self.documents.write(f"spaces/{record.name}.json", files.json_bytes(asdict(record)))

    def plan(self, digest: str) -> dict[str, Any]:
        """Return the plan of that digest as JSON. Raises FileNotFoundError where there is none."""
        return dict(self._read(f"plans/{digest}.json"))

    def write_plan(self, digest: str, plan: dict[str, Any]) -> None:
        """Write a plan once; a plan of that digest that is there already is the same."""
        self.documents.create(f"plans/{digest}.json", files.json_bytes(plan))

    def live_rows(self, digest: str) -> str:
        """The metrics of a unit that runs, a line a row; the last line may be half written."""
        return (self.documents.read(f"live/{digest}.jsonl") or b"").decode()

    def claim(self, digest: str) -> Lease | None:
        """The right to execute a unit, which counts as one more attempt; None where another process has it
        or the unit is finished."""
        if self.is_finished(digest):
            return None
        lease = self.leases.claim(digest)
        if lease and self.is_finished(digest):  # since the first look
            self.leases.withdraw(lease)
            return None
        return lease

    def followed(self, digest: str) -> AbstractContextManager[None]:
        """A context in which what a unit keeps for its next attempt outlives this node."""
        return self.artifacts.followed(digest)

    def publish(self, digest: str, built: Path, facts: dict[str, Any]) -> None:
        """Makes the folder `built` the unit's artifacts, then writes its marker: now it is finished.

        `facts["attempt"]` is the number of the lease. Raises SupersededError where a later one was given, or
        the unit is finished; `built` is then as it was.
        """
        attempt = facts["attempt"]
        sums = {file.name: files.sha256(file) for file in sorted(built.iterdir()) if is_artifact(file)}
        with self.documents.alone(digest):
            if self.leases.newest(digest) > attempt or self.is_finished(digest):
                raise SupersededError(f"{digest}: attempt {attempt} is not the last one")
            self.artifacts.put(digest, attempt, built)
            marker = files.json_bytes(facts | {"artifacts": sums})
            for name in ("json", "log"):  # of earlier attempts; first, as a process may die after the marker
                self.documents.remove(f"failed/{digest}.{name}")
            fault_injection.point("before_marker")
            if not self.documents.create(f"done/{digest}.json", marker):
                raise SupersededError(f"{digest}: finished by another attempt than {attempt}")
        fault_injection.point("after_marker")
        self.known.add(digest)
        self.artifacts.forget(digest)

    def fail(self, digest: str, cause: str, reason: str, log: str | None = None) -> None:
        if log is not None:
            self.documents.write(f"failed/{digest}.log", log.encode())
        place = f"{self.out}/failed/{digest}.log" if log is not None else None
        facts = {"cause": cause, "reason": reason, "log": place, "time": time.time()}
        self.documents.write(f"failed/{digest}.json", files.json_bytes(facts))

    def artifact(self, digest: str, name: str) -> Path:
        """The path of an artifact whose content is what was published, else InputError naming it."""
        path, marker = self.folder(digest) / name, self.marker(digest)
        expected = marker["artifacts"].get(name)
        if not has_sha256(path, expected):
            self.artifacts.fetch(digest, marker["attempt"], name)
            if not has_sha256(path, expected):
                self.doubt(digest)
                what = f"not the file that was published (sha256 {str(expected)[:12]}…)"
                raise InputError(f"{path}: {what}")
        return path

    def file(self, digest: str, name: str) -> Path:
        """The path of a file of a finished unit, there if it exists; whether it is sound, its reader sees."""
        if not (self.folder(digest) / name).exists():
            self.artifacts.fetch(digest, self.marker(digest)["attempt"], name)
        return self.folder(digest) / name

    def whole(self, digest: str) -> Path:
        """The folder of a finished unit, with all of its files; whether they are sound, their reader sees."""
        self.artifacts.fetch_all(digest, self.marker(digest)["attempt"])
        return self.folder(digest)

    def notes(self, digest: str) -> list[Path]:
        """The small files of a finished unit: all but weights, arrays and pixels."""
        self.artifacts.fetch_all(digest, self.marker(digest)["attempt"], NOTES)
        found = sorted(self.folder(digest).iterdir())
        return [file for file in found if file.suffix != ".parquet" and file.stat().st_size <= NOTES]

    def doubt(self, digest: str) -> None:
        """Notes that a reader found a unit's files damaged; the next run looks through them."""
        if is_url(self.out):
            files.remove(self.folder(digest))  # perhaps only the copy is
            self.documents.write(f"doubts/{digest}", b"")

    def doubtful(self, digests: set[str]) -> set[str]:
        """Which of those to look through before others rely on them: on a disk all, in a bucket, where each
        reader checks what it fetched, those that a reader complained of."""
        if not is_url(self.out):
            return digests
        return digests & {Path(name).name for name in self.documents.names("doubts")}

    def demote(self, digest: str) -> str | None:
        """Takes a unit whose artifacts are damaged back to "not finished"; what was wrong, or None.

        Shards that are whole stay and are not prepared again; everything else moves to quarantine/.
        """
        attempt, prepared = self._outline(digest)
        problem = self._damage(digest)
        self.documents.remove(f"doubts/{digest}")
        if problem is None:
            return None
        self.documents.remove(f"done/{digest}.json")
        self.known.discard(digest)
        self.artifacts.set_aside(digest, attempt, to_checkpoints=prepared)
        return problem

    def _damage(self, digest: str) -> str | None:
        try:
            names = self.marker(digest)["artifacts"]
            for name in names:
                self.artifact(digest, name)
            for name in VERIFY.keys() & names.keys():
                VERIFY[name](self.whole(digest))
        except (InputError, ValueError, KeyError) as error:
            return str(error)
        return None

    def _outline(self, digest: str) -> tuple[int, bool]:
        """The attempt that counts, and whether it made prepared data; guessed where the marker is damaged."""
        try:
            marker = self.marker(digest)
            return int(marker["attempt"]), bool(VERIFY.keys() & marker["artifacts"].keys())
        except (ValueError, KeyError):
            prepared = any((self.folder(digest) / name).exists() for name in VERIFY)
            return self.leases.newest(digest), prepared

    def sweep(self) -> None:
        """Removes the leftovers of killed processes: temporary files and folders, an hour old."""
        for folder in ("units", "done", "failed", "plans", "spaces", "reports/*"):
            for path in self.root.glob(f"{folder}/{files.TEMPORARY}*"):
                if time.time() - path.stat().st_mtime > 3600:
                    files.remove(path)

    def _read(self, name: str) -> Any:
        content = self.documents.read(name)
        if content is None:
            raise FileNotFoundError(f"{self.out}/{name}")
        return json.loads(content)

    def _stems(self, folder: str) -> set[str]:
        return {Path(name).stem for name in self.documents.names(folder) if name.endswith(".json")}
