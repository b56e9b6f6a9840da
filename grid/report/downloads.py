"""Files inside the page, so that a reader who gets the page alone has the tables and what they came from."""

import base64
import gzip
import os
import platform
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grid import package_data
from grid.report import provenance
from grid.report.provenance import Data
from grid.results.stored_space import StoredSpace
from medpt.files import json_bytes

if TYPE_CHECKING:
    from markupsafe import Markup

LARGE = 100_000  # bytes from which a file is compressed
TYPES = {".csv": "text/csv", ".tex": "text/x-tex", ".json": "application/json", ".gz": "application/gzip"}
GIB = 2**30


def data_uri(kind: str, data: bytes) -> str:
    """Return the address that holds a file of this MIME type."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def link(files: Mapping[str, bytes], name: str) -> "Markup":
    """Return a link that saves a file, which the link holds; large ones as .gz."""
    from markupsafe import Markup

    data = files[name]
    if len(data) > LARGE:
        name, data = f"{name}.gz", gzip.compress(data, mtime=0)
    kind = TYPES.get(Path(name).suffix, "text/plain")
    return Markup('<a download="{0}" href="{1}">{0}</a>').format(name, data_uri(kind, data))


def sources(stored: StoredSpace, data: Sequence[Data], found: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the files that say what was run: the space, the cards of its datasets, and the origin `found`.

    The space is excluded where its file is not there any more; `origin.json` names the plans.
    """
    import yaml

    cards = {entry.card.name: entry.card.to_json() for entry in data}
    files = {
        "datasets.yaml": yaml.safe_dump(cards, sort_keys=False).encode(),
        "origin.json": json_bytes(found),
    }
    space = _space_file(stored)
    return ({f"{stored.plan.space}.yaml": space} if space else {}) | files


def _space_file(stored: StoredSpace) -> bytes | None:
    built_in = package_data.folder("search_spaces").parent
    path = built_in / stored.space.path  # an absolute path stays as it is
    return path.read_bytes() if path.is_file() else None


def commands(stored: StoredSpace, *, needs_data: bool) -> list[str]:
    """Return the commands that run the same trials again: one, or one for each selection that was made.

    A space that is not built in is named by its file, which the page holds.
    """
    name = stored.plan.space
    space = f"{name}.yaml" if Path(stored.space.path).is_absolute() else name
    data = "--data DIR" if needs_data else ""
    start = f"python -m grid.run --space {shlex.quote(space)}"
    selections = stored.plan.selection.splitlines() or [""]
    return [" ".join(filter(None, (start, selection, data))) for selection in selections]


def origin(stored: StoredSpace, commits: Sequence[str], *, needs_data: bool) -> dict[str, Any]:
    """Return what the results came from: commands, the commits of the trials, versions and machines."""
    markers = stored.markers.values()
    memory = {m.peak["device_size"] for m in markers if "device_size" in m.peak}
    return {
        "commands": commands(stored, needs_data=needs_data),
        "plans": stored.space.plans,
        "commits": list(commits),
        "versions": provenance.versions(),
        "algorithms": provenance.algorithms(stored),
        "machines": sorted({marker.host for marker in markers}),
        "cpus": sorted({m.peak["cpu"] for m in markers if "cpu" in m.peak}),
        "gpu_memory_gib": sorted(round(size / GIB, 1) for size in memory),
        "units_seconds": round(stored.seconds(), 1),
        "reported_on": {
            "commit": package_data.commit(),
            "system": platform.platform(),
            "cpus": os.cpu_count(),
        },
        "last_result": stored.last_result(),
    }
