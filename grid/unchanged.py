"""What the last complete run of a space printed, shown again while nothing has changed.

Loading MLflow, pandas and matplotlib to print the same tables and write the same page again takes seconds.
"""

import hashlib
import json
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grid import package_data
from grid.plan.plan import Plan
from grid.store.backends import is_url
from grid.store.store import Store
from grid.tracking.client import SQLITE, sqlite_file
from medpt import files

RECORD = "printed.json"  # beside the report
PAGE = "index.html"
CODE = {".py", ".j2", ".css", ".js", ".yaml", ".csv", ".json"}  # files that determine tables and report
LIBRARIES = Path(sysconfig.get_path("purelib"))  # its time changes when a library is installed or removed
FOLDERS = (package_data.PACKAGE, package_data.PACKAGE.parent / "medpt", package_data.folder("reports"))


@dataclass(frozen=True)
class LastOutcome:
    """The output of a space's last run, in the folder of its report.

    Only results in a folder and a record in a SQLite file are followed: of a bucket or a server, nobody knows
    without asking it whether it has changed.
    """

    plan: Plan
    store: Store
    tracking_uri: str
    width: int  # of the console, which determines the tables

    @property
    def path(self) -> Path:
        return self.store.root / "reports" / self.plan.space / RECORD

    def save(self, printed: str) -> None:
        """Keep what a complete run printed."""
        if self._is_followed:
            files.write_json(self.path, {"state": self._state(), "printed": printed})

    def read(self) -> str | None:
        """Return what was printed, or None where plan, results, record or software have changed."""
        if not (self._is_followed and self.path.with_name(PAGE).is_file()):
            return None
        try:
            record = files.read_json(self.path)
            return str(record["printed"]) if record["state"] == self._state() else None
        except (OSError, ValueError, KeyError, TypeError):  # none was kept, or it is damaged
            return None

    @property
    def _is_followed(self) -> bool:
        return not is_url(self.store.out) and self.tracking_uri.startswith(SQLITE)

    def _state(self) -> str:
        """Return a hash of everything that determines what a complete run prints."""
        stats = [list(_stat(path)) for path in self._files()]
        content: list[Any] = [self.plan.digest, self.store.out, self.tracking_uri, self.width, stats]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def _files(self) -> Iterator[Path]:
        yield LIBRARIES
        yield sqlite_file(self.tracking_uri)
        for digest in sorted(self.plan.units):
            yield self.store.root / "done" / f"{digest}.json"
        for folder in FOLDERS:
            yield from sorted(path for path in folder.rglob("*") if path.suffix in CODE)


def _stat(path: Path) -> Iterator[int]:
    """Yield size and time of a file or folder, nothing where it is missing."""
    if path.exists():
        found = path.stat()
        yield from (found.st_size, found.st_mtime_ns)
