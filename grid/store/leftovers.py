"""What a store keeps that no plan needs: units that were replaced, plans without a space, damaged files."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from grid.store.backends import FolderBackend, is_url
from grid.store.store import DIGEST, Store
from medpt import files

QUARANTINE, CACHE = "quarantine", "cache"
# The marker goes first, so that a unit never seems finished without its files
AREAS = (
    "done",
    "failed",
    "units",
    "checkpoints",
    "live",
    "doubts",
    "leases",
    "plans",
    "subgroups",
    QUARANTINE,
)


@dataclass
class Leftover:
    """All that is kept under a digest which no plan needs; `size` in bytes.

    `names` are documents and files of the store, `folders` copies and arrays on this node.
    """

    digest: str
    names: list[str] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    size: int = 0


def find_leftovers(store: Store, needed: Collection[str], cache: Path) -> dict[str, Leftover]:
    """Return what is kept of digests that are not `needed`, and all damaged files, by digest.

    `cache` is this node's folder of arrays. One outside the store may be shared with other stores: of it,
    only arrays of units that this store has are included.
    """
    found: dict[str, Leftover] = {}
    for area in AREAS:
        for name, size in store.documents.sizes(area).items():
            digest = _digest_of(name)
            if digest and (area == QUARANTINE or digest not in needed):
                entry = found.setdefault(digest, Leftover(digest))
                entry.names.append(name)
                entry.size += size
    copied = (*AREAS, CACHE) if is_url(store.out) else (CACHE,)
    for area in copied:
        _add_folders(found, store.root / area, _unneeded(store.root / area, needed))
    if cache != store.cache:
        _add_folders(found, cache, found.keys() - set(needed))
    return found


def remove(store: Store, leftover: Leftover) -> None:
    """Remove a leftover; one that is interrupted is found again by the next call of `find_leftovers`."""
    for name in leftover.names:
        store.documents.remove(name)
    areas = {Path(name).parts[0] for name in leftover.names}
    for folder in (*leftover.folders, *(store.root / area / leftover.digest for area in areas)):
        files.remove(folder)


def _digest_of(name: str) -> str:
    """Return the digest in the name of a document or file, such as done/<digest>.json; "" without one."""
    digest = Path(name).parts[1].partition(".")[0]
    return digest if DIGEST.fullmatch(digest) else ""


def _unneeded(folder: Path, needed: Collection[str]) -> list[str]:
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return [name for name in names if DIGEST.fullmatch(name) and name not in needed]


def _add_folders(found: dict[str, Leftover], parent: Path, digests: Iterable[str]) -> None:
    for digest in list(digests):
        if (parent / digest).is_dir():
            entry = found.setdefault(digest, Leftover(digest))
            entry.folders.append(parent / digest)
            entry.size += sum(FolderBackend(parent).sizes(digest).values())
