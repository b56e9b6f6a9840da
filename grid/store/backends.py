"""Small documents under names, in a folder or in a bucket. A document is complete or absent.

`create` decides every race: of all processes that create a name, on whatever machine, one succeeds. A folder
uses a hard link, a bucket a conditional put (S3: If-None-Match, GCS: generation 0). A backend that cannot be
reached raises OSError, which counts as an infrastructure fault.
"""

import errno
import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from medpt import files
from medpt.errors import InputError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

SCHEMES = ("s3", "gs")
PLACES = "a folder, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX"
MISSPELT = re.compile(r"\s*(\w+:/|(s3|gs)(:|//))", re.IGNORECASE)  # of a folder: ./s3:
RETRIES: Any = {"max_retries": 6, "retry_timeout": timedelta(seconds=60)}  # of one request
RUNS = "runs"  # the lock that every run shares
NO_DOCUMENT = (errno.EISDIR, errno.ELOOP)  # a folder or a link to itself in the place of one: it is empty
LARGE = 64 * 2**20  # bytes; what is larger goes up in parts


def is_url(out: str | Path) -> bool:
    return "://" in str(out)


def check_place(place: str) -> None:
    """Raise InputError for an address that is not accepted, and for a folder named as if it was to be one."""
    scheme, _, rest = place.partition("://")
    is_known = scheme in SCHEMES and rest.partition("/")[0] and place.isprintable()
    if not is_known if is_url(place) else MISSPELT.match(place):
        raise InputError(f"{place}: {PLACES} is accepted")


def reason(error: Exception) -> str:
    """Return why an operation failed, in one line, without the body of the answer and notes of libraries."""
    first = str(getattr(error, "strerror", None) or error).partition("\n")[0]
    return first.partition(": <?xml")[0]


class Backend(Protocol):
    def create(self, name: str, content: bytes) -> bool:
        """Write `name` unless it exists; return whether this call wrote it."""

    def write(self, name: str, content: bytes) -> None:
        """Write `name`, and replace what is there."""

    def read(self, name: str) -> bytes | None:
        """Return the content of `name`, or None if it does not exist."""

    def names(self, folder: str) -> list[str]:
        """Return the full names directly in a folder, sorted."""

    def sizes(self, folder: str) -> dict[str, int]:
        """Return the bytes of everything below a folder, by full name."""

    def remove(self, name: str) -> None:
        """Remove `name` if it exists."""

    def exclusive(self, name: str) -> AbstractContextManager[None]:
        """Return a context that one process at a time can enter, where the files need it."""

    def in_use(self) -> AbstractContextManager[None]:
        """Return a context of a process that relies on what is finished, such as a run."""

    def unused(self) -> AbstractContextManager[None]:
        """Return a context in which no process is within `in_use`. Raises InputError if one is."""


def _without_wait(path: str, flags: int) -> int:
    """Open a file; a pipe in its place is empty instead of a wait for whoever writes to it."""
    return os.open(path, flags | os.O_NONBLOCK)


class FolderBackend:
    """Files in a folder, which several machines may share."""

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
            with open(self.root / name, "rb", opener=_without_wait) as file:
                return file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in NO_DOCUMENT:
                return b""
            raise

    def names(self, folder: str) -> list[str]:
        try:
            found = os.listdir(self.root / folder)
        except FileNotFoundError:
            return []
        return sorted(f"{folder}/{name}" for name in found if not name.startswith(files.TEMPORARY))

    def sizes(self, folder: str) -> dict[str, int]:
        found: dict[str, int] = {}
        for parent, _, names in os.walk(self.root / folder):
            for path in map(Path(parent).joinpath, names):
                found[path.relative_to(self.root).as_posix()] = path.lstat().st_size
        return found

    def remove(self, name: str) -> None:
        path = self.root / name
        try:
            path.unlink(missing_ok=True)
        except IsADirectoryError:  # not of ours
            (aside := self.root / "quarantine").mkdir(exist_ok=True)
            path.rename(aside / f"{path.name}-{uuid4().hex[:8]}")

    def exclusive(self, name: str) -> AbstractContextManager[None]:
        return self._locked(name, fcntl.LOCK_EX)

    def in_use(self) -> AbstractContextManager[None]:
        return self._locked(RUNS, fcntl.LOCK_SH)

    @contextmanager
    def unused(self) -> Iterator[None]:
        try:
            with self._locked(RUNS, fcntl.LOCK_EX | fcntl.LOCK_NB):
                yield
        except BlockingIOError:
            raise InputError(f"{self.root} is used by a run; try again when it has ended") from None

    @contextmanager
    def _locked(self, name: str, kind: int) -> Iterator[None]:
        """Hold a lock of the kernel, which frees it when the process ends in whatever way."""
        path = self.root / "locks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            fcntl.flock(file, kind)
            yield


class BucketBackend:
    """Objects below a URL. Credentials and endpoints come from the environment (docs/cluster.md)."""

    def __init__(self, url: str) -> None:
        """Open the bucket. Raises InputError for a URL that is not accepted."""
        self.url = url.rstrip("/")
        check_place(self.url)
        from obstore.exceptions import BaseError
        from obstore.store import from_url

        try:
            self.store: ObjectStore = from_url(self.url, retry_config=RETRIES)
        except (BaseError, ValueError) as error:
            raise InputError(f"{self.url}: {reason(error)}; {PLACES} is accepted") from None

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
        """Copy an object within the bucket, without downloading it."""
        import obstore

        with self._reached():
            obstore.copy(self.store, name, target)

    def upload(self, path: Path, name: str) -> None:
        import obstore

        with self._reached():
            obstore.put(self.store, name, path, use_multipart=path.stat().st_size > LARGE)

    def download(self, name: str, path: Path) -> None:
        """Download an object; the file appears once it is complete. Raises FileNotFoundError."""
        import obstore

        with self._reached(), files.replacing(path) as temporary, temporary.open("wb") as file:
            for chunk in obstore.get(self.store, name).stream():
                file.write(chunk)

    @contextmanager
    def exclusive(self, name: str) -> Iterator[None]:
        """Lock nothing: in a bucket every attempt has names of its own."""
        yield

    def in_use(self) -> AbstractContextManager[None]:
        """Lock nothing: leases alone show which units are running."""
        return nullcontext()

    unused = in_use

    @contextmanager
    def _reached(self) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except BaseError as error:
            raise OSError(f"{self.url}: {reason(error)}") from error
