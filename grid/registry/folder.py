"""A registry's documents and files, written once under the hash of their content, and read with suspicion."""

import hashlib
from functools import cached_property
from pathlib import Path

from grid.registry.artifacts import LARGEST
from grid.store.backends import SCHEMES, Backend, BucketBackend, FolderBackend, is_url, reason
from medpt.cli import DISK_FULL
from medpt.errors import InputError

AREAS = ("batches", "units", "files")


class Registry:
    """The registry at a folder or URL. Methods raise OSError if a bucket cannot be reached."""

    def __init__(self, place: str) -> None:
        """Open a registry. Raises InputError for a URL that is not accepted."""
        scheme, _, rest = place.partition("://")
        if is_url(place) and (scheme not in SCHEMES or not rest.strip("/")):
            raise InputError(f"{place}: a folder, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX is accepted")
        self.place = place
        self.documents: Backend = BucketBackend(place) if is_url(place) else FolderBackend(Path(place))

    def write(self, name: str, content: bytes) -> None:
        """Write a document whose name contains its hash; one that is there is left alone.

        Raises InputError where nothing can be written.
        """
        try:
            self.documents.create(name, content)
        except OSError as error:
            if error.errno in DISK_FULL:
                raise
            why = f"{reason(error)}; a folder or bucket that can be written is accepted"
            raise InputError(f"{self.place}/{name}: {why}") from None

    @cached_property
    def sizes(self) -> dict[str, int]:
        """The bytes of all that was there when it was first asked, by name."""
        return {name: size for area in AREAS for name, size in self.documents.sizes(area).items()}

    def batches(self) -> list[str]:
        """Return the hashes that name the batches; other files in their folder are no part of a registry."""
        names = [Path(name) for name in self.sizes if name.startswith("batches/")]
        return sorted(name.stem for name in names if name.suffix == ".json" and len(name.parts) == 2)

    def read(self, name: str, sha256: str) -> bytes:
        """Return the content of a document or file.

        Raises InputError if it is missing, too large, a link, or has not the hash that it should have.
        """
        where = f"{self.place.rstrip('/')}/{name}"
        if name not in self.sizes:
            raise InputError(f"{where} is missing")
        if self.sizes[name] > LARGEST:
            raise InputError(f"{where} has {self.sizes[name]:,} bytes; at most {LARGEST:,} are accepted")
        if self._is_link(name):
            raise InputError(f"{where} is a link; a registry has none")
        content = self.documents.read(name)
        if content is None or hashlib.sha256(content).hexdigest() != sha256:
            raise InputError(f"{where} was altered: its SHA-256 is not {sha256[:12]}…")
        return content

    def _is_link(self, name: str) -> bool:
        if not isinstance(self.documents, FolderBackend):
            return False
        path = self.documents.root / name
        return path.is_symlink() or path.parent.is_symlink()
