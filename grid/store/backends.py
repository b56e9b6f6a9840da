"""Small documents under names, in a folder or in a bucket: whole or absent, and created once.

`create` is what decides every race: of all who create a name, on whatever machine, one succeeds. A folder
does it by a hard link, a bucket by a conditional put (S3: If-None-Match, GCS: generation 0). What cannot be
reached raises OSError, an infrastructure fault.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from medpt import files
from medpt.errors import InputError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

SCHEMES = ("s3", "gs")
RETRIES: Any = {"max_retries": 6, "retry_timeout": timedelta(seconds=60)}  # of one request
LARGE = 64 * 2**20  # bytes; what is larger goes up in parts


def is_url(out: str | Path) -> bool:
    return "://" in str(out)


def reason(error: Exception) -> str:
    """Of a failed operation, in one line: without the answer's body and the libraries' notes on it."""
    first = str(getattr(error, "strerror", None) or error).partition("\n")[0]
    return first.partition(": <?xml")[0]


class Backend(Protocol):
    def create(self, name: str, content: bytes) -> bool:
        """Writes `name` unless it is there; whether it was this call that wrote it."""

    def write(self, name: str, content: bytes) -> None:
        """Writes `name`, whatever was there."""

    def read(self, name: str) -> bytes | None:
        """None where there is no such name."""

    def names(self, folder: str) -> list[str]:
        """The full names directly in a folder, sorted."""

    def remove(self, name: str) -> None: ...

    def alone(self, name: str) -> Any:
        """A context in which nobody else is in that of the same name, where only order keeps files apart."""


class FolderBackend:
    def __init__(self, root: Path) -> None:
        self.root = root

    def create(self, name: str, content: bytes) -> bool:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.parent / f"{files.TEMPORARY}{uuid4().hex[:12]}"
        try:
            temporary.write_bytes(content)
            files.sync(temporary)
            os.link(temporary, path)
            files.sync(path.parent)
        except FileExistsError:
            return False
        finally:
            files.remove(temporary)
        return True

    def write(self, name: str, content: bytes) -> None:
        files.write_bytes(self.root / name, content)

    def read(self, name: str) -> bytes | None:
        try:
            return (self.root / name).read_bytes()
        except FileNotFoundError:
            return None

    def names(self, folder: str) -> list[str]:
        try:
            found = os.listdir(self.root / folder)
        except FileNotFoundError:
            return []
        return sorted(f"{folder}/{name}" for name in found if not name.startswith(files.TEMPORARY))

    def remove(self, name: str) -> None:
        (self.root / name).unlink(missing_ok=True)

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Held by the kernel, which frees it when the holder dies."""
        path = self.root / "locks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


class BucketBackend:
    """Objects below a URL. Credentials and endpoints come from the environment: docs/cluster.md."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        scheme, _, rest = self.url.partition("://")
        if scheme not in SCHEMES or not rest.partition("/")[0]:
            raise InputError(f"--out {url}: a folder, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX is accepted")
        from obstore.store import from_url

        self.store: ObjectStore = from_url(self.url, retry_config=RETRIES)

    def create(self, name: str, content: bytes) -> bool:
        import obstore
        from obstore.exceptions import AlreadyExistsError

        with self._reached():
            try:
                obstore.put(self.store, name, content, mode="create")
            except AlreadyExistsError:
                return False
        return True

    def write(self, name: str, content: bytes) -> None:
        import obstore

        with self._reached():
            obstore.put(self.store, name, content)

    def read(self, name: str) -> bytes | None:
        import obstore

        with self._reached():
            try:
                return obstore.get(self.store, name).bytes().to_bytes()
            except FileNotFoundError:
                return None

    def sizes(self, folder: str) -> dict[str, int]:
        """Bytes by full name, of everything below a folder."""
        import obstore

        with self._reached():
            batches = obstore.list(self.store, f"{folder}/", chunk_size=1000)
            return {entry["path"]: entry["size"] for batch in batches for entry in batch}

    def names(self, folder: str) -> list[str]:
        depth = folder.count("/") + 1
        return sorted(name for name in self.sizes(folder) if name.count("/") == depth)

    def remove(self, name: str) -> None:
        import obstore

        with self._reached():
            obstore.delete(self.store, name)

    def copy(self, name: str, target: str) -> None:
        """Within the bucket, without the bytes passing through here."""
        import obstore

        with self._reached():
            obstore.copy(self.store, name, target)

    def upload(self, path: Path, name: str) -> None:
        import obstore

        with self._reached():
            obstore.put(self.store, name, path, use_multipart=path.stat().st_size > LARGE)

    def download(self, name: str, path: Path) -> None:
        """Appears whole; FileNotFoundError where there is no such object."""
        import obstore

        with self._reached(), files.replacing(path) as temporary, temporary.open("wb") as file:
            for chunk in obstore.get(self.store, name).stream():
                file.write(chunk)

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Nothing: in a bucket every attempt has names of its own."""
        yield

    @contextmanager
    def _reached(self) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except BaseError as error:
            raise OSError(f"{self.url}: {reason(error)}") from error
