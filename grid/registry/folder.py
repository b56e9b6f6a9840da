"""A registry's documents and files, written once under the hash of their content, and read with suspicion."""

import hashlib
import stat
from functools import cached_property
from pathlib import Path

from grid.registry.artifacts import LARGEST
from grid.store.backends import Backend, BucketBackend, FolderBackend, check_place, is_url, reason
from medpt.cli import DISK_FULL
from medpt.errors import InputError

AREAS = ("batches", "units", "files")


class Registry:
    """The registry at a folder or URL. Methods raise OSError if a bucket cannot be reached."""

    def __init__(self, place: str) -> None:
        """Open a registry. Raises InputError for a URL that is not accepted."""
        check_place(place)
        self.place = place
        self.documents: Backend = BucketBackend(place) if is_url(place) else FolderBackend(Path(place))

    def write(self, name: str, content: bytes) -> None:
        """Write a document whose name contains its hash; one that is there is left alone.

        Raises InputError where nothing can be written, and where something else is there.
        """
        try:
            is_there = self.documents.create(name, content) or self.documents.read(name) == content
        except OSError as error:
            if error.errno in DISK_FULL:
                raise
            why = f"{reason(error)}; a folder or bucket that can be written is accepted"
            raise InputError(f"{self.place}/{name}: {why}") from None
        if not is_there:
            raise InputError(f"{self.place}/{name} was altered; remove it, and publish again")

    @cached_property
    def sizes(self) -> dict[str, int]:
        """The bytes of all that was there when it was first asked, by name."""
        return {name: size for area in AREAS for name, size in self.documents.sizes(area).items()}

    def batches(self) -> list[str]:
        """Return the hashes that name the batches; other files in their folder are no part of a registry."""
        names = [Path(name) for name in self.sizes if name.startswith("batches/")]
        return sorted(name.stem for name in names if name.suffix == ".json" and len(name.parts) == 2)

    def check_batches(self) -> None:
        """Raise InputError where there is no registry, or one without batches."""
        if not self.batches():
            raise InputError(f"{self.place} has no batch of finished units; --from names a registry")

    def read(self, name: str, sha256: str, most: int = LARGEST) -> bytes:
        """Return the content of a document or file of at most `most` bytes.

        Raises InputError if it is missing, too large, no plain file, or has not the hash that it should have.
        """
        where = f"{self.place.rstrip('/')}/{name}"
        if name not in self.sizes:
            raise InputError(f"{where} is missing")
        if self.sizes[name] > most:
            raise InputError(f"{where} has {self.sizes[name]:,} bytes; at most {most:,} are accepted")
        if not self._is_file(name):
            raise InputError(f"{where} is a link or no file; a registry has files alone")
        content = self.documents.read(name)
        if content is None or hashlib.sha256(content).hexdigest() != sha256:
            raise InputError(f"{where} was altered: its SHA-256 is not {sha256[:12]}…")
        return content

    def _is_file(self, name: str) -> bool:
        """Whether a name is that of an object or of a plain file, and no link, pipe or socket."""
        if not isinstance(self.documents, FolderBackend):
            return True
        path = self.documents.root / name
        return stat.S_ISREG(path.lstat().st_mode) and not path.parent.is_symlink()
