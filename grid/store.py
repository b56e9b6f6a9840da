"""The results on disk, and the only authority on "finished".

    <root>/done/<digest>.json     the marker: metrics, sha256 of each artifact; the last file a unit writes
    <root>/units/<digest>/        its artifacts
    <root>/failed/<digest>.json   why a unit failed
    <root>/checkpoints/<digest>/  of units that are not finished
    <root>/attempts/<digest>      one line an execution
    <root>/live/<digest>.jsonl    metrics of a unit while it runs
    <root>/plans/<space>.json     what a space consists of
    <root>/cache/<digest>/        prepared data as arrays; may be deleted at any time

A local folder for now; units never see a path that is not below it.
"""

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from medpt import faults, files
from medpt.data import manifest
from medpt.errors import InputError
from medpt.survival import patch_files

VERIFY = {manifest.MANIFEST: manifest.verify, patch_files.MANIFEST: patch_files.verify}  # prepared data


class Store:
    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def create(self) -> None:
        """InputError where the folder cannot be written."""
        try:
            for name in ("done", "units", "failed", "checkpoints", "attempts", "live", "plans", "leases"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"--out {self.root}: {error.strerror}; a writable folder is accepted") from None

    def folder(self, digest: str) -> Path:
        return self.root / "units" / digest

    def checkpoints(self, digest: str) -> Path:
        return self.root / "checkpoints" / digest

    def live(self, digest: str) -> Path:
        return self.root / "live" / f"{digest}.jsonl"

    def plan(self, space: str) -> Path:
        return self.root / "plans" / f"{space}.json"

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    def finished(self) -> set[str]:
        """Digests of all finished units, from one listing."""
        return _stems(self.root / "done")

    def is_finished(self, digest: str) -> bool:
        return (self.root / "done" / f"{digest}.json").is_file()

    def marker(self, digest: str) -> dict[str, Any]:
        return files.read_json(self.root / "done" / f"{digest}.json")

    def failures(self) -> set[str]:
        return _stems(self.root / "failed")

    def failure(self, digest: str) -> dict[str, Any]:
        return files.read_json(self.root / "failed" / f"{digest}.json")

    def attempt(self, digest: str) -> int:
        """Notes one more execution of a unit and counts them."""
        path = self.root / "attempts" / digest
        line = json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "started": time.time()})
        with path.open("a") as file:
            file.write(line + "\n")
        return len(path.read_text().splitlines())

    @contextmanager
    def lease(self, digest: str) -> Iterator[None]:
        """Holds a unit against other processes of this machine; the kernel frees it when the holder dies."""
        with (self.root / "leases" / digest).open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def publish(self, digest: str, built: Path, facts: dict[str, Any]) -> None:
        """Makes the folder `built` the unit's artifacts, then writes its marker: now it is finished."""
        artifacts = {file.name: files.sha256(file) for file in sorted(built.iterdir()) if _is_artifact(file)}
        target = self.folder(digest)
        files.remove(target)  # artifacts without a marker are of a run that was killed in between
        os.rename(built, target)
        files.sync(target.parent)
        faults.point("before_marker")
        files.write_json(self.root / "done" / f"{digest}.json", facts | {"artifacts": artifacts})
        faults.point("after_marker")
        (self.root / "failed" / f"{digest}.json").unlink(missing_ok=True)
        files.remove(self.checkpoints(digest))

    def fail(self, digest: str, cause: str, reason: str, log: Path | None = None) -> None:
        facts = {"cause": cause, "reason": reason, "log": str(log) if log else None, "time": time.time()}
        files.write_json(self.root / "failed" / f"{digest}.json", facts)

    def artifact(self, digest: str, name: str) -> Path:
        """The path of an artifact whose content is what was published, else InputError naming it."""
        path = self.folder(digest) / name
        expected = self.marker(digest)["artifacts"].get(name)
        if not path.is_file() or files.sha256(path) != expected:
            raise InputError(f"{path}: not the file that was published (sha256 {str(expected)[:12]}…)")
        return path

    def demote(self, digest: str) -> str | None:
        """Takes a unit whose artifacts are damaged back to "not finished"; what was wrong, or None.

        Shards that are whole stay and are not prepared again; everything else moves to quarantine/.
        """
        problem = self._damage(digest)
        if problem is None:
            return None
        (self.root / "done" / f"{digest}.json").unlink()
        prepared = any((self.folder(digest) / name).exists() for name in VERIFY)
        target = self.checkpoints(digest) if prepared else self.root / "quarantine" / digest
        files.remove(target)
        target.parent.mkdir(exist_ok=True)
        if self.folder(digest).is_dir():
            os.rename(self.folder(digest), target)
        return problem

    def _damage(self, digest: str) -> str | None:
        try:
            artifacts = self.marker(digest)["artifacts"]
            for name in artifacts:
                self.artifact(digest, name)
            for name in VERIFY.keys() & artifacts.keys():
                VERIFY[name](self.folder(digest))
        except (InputError, ValueError, KeyError) as error:
            return str(error)
        return None

    def sweep(self) -> None:
        """Removes the leftovers of killed processes: temporary files and folders, an hour old."""
        for folder in ("units", "done", "failed", "plans"):
            for path in (self.root / folder).glob(f"{files.TEMPORARY}*"):
                if time.time() - path.stat().st_mtime > 3600:
                    files.remove(path)


def _stems(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("*.json") if not path.name.startswith(files.TEMPORARY)}


def _is_artifact(file: Path) -> bool:
    """Parquet files, and the notes beside them, are in their manifest with their hashes already."""
    return file.is_file() and not file.with_suffix(".parquet").exists()
