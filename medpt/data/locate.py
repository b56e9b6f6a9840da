"""Finding a dataset's folder, and its files without the debris that archives leave behind."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from medpt.data.card import DatasetCard
from medpt.data.catalog import card
from medpt.errors import InputError

DEBRIS = {"__macosx", ".ds_store", "thumbs.db", "desktop.ini"}


def is_debris(name: str) -> bool:
    """Entries that no owner meant to publish: macOS and Windows bookkeeping, hidden and `._` files."""
    return name.lower() in DEBRIS or name.startswith(".")


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """What `folder` holds, sorted by name, without debris. Raises InputError if it cannot be listed."""
    try:
        with os.scandir(folder) as found:
            return sorted((entry for entry in found if not is_debris(entry.name)), key=lambda e: e.name)
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}") from None


def folders(folder: Path) -> list[Path]:
    return [Path(entry.path) for entry in entries(folder) if entry.is_dir()]


def files(folder: Path, *suffixes: str) -> list[Path]:
    """The folder's own files, sorted, of the given lower-case suffixes in whatever case (none: all)."""
    paths = [Path(entry.path) for entry in entries(folder) if entry.is_file()]
    return [path for path in paths if not suffixes or path.suffix.lower() in suffixes]


def walk(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Every file below `folder`, depth first in the order of names, without debris."""
    for entry in entries(folder):
        if entry.is_dir():
            yield from walk(Path(entry.path))
        else:
            yield entry


def child(folder: Path, name: str) -> Path | None:
    """The entry of that name, whatever its case."""
    if not folder.is_dir():
        return None
    return next((Path(entry.path) for entry in entries(folder) if entry.name.lower() == name.lower()), None)


def read_text(path: Path) -> str:
    """The text of a small UTF-8 file, without byte order mark. Raises InputError naming it."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not UTF-8 text") from None


def find_root(root: Path, is_root: Callable[[Path], bool], expected: str, depth: int = 4) -> Path:
    """The shallowest folder at or below `root` that `is_root`: unpacking often adds outer folders.

    Raises InputError saying that `expected` was not found.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder")
    level = [root]
    for _ in range(depth + 1):
        for folder in level:
            if is_root(folder):
                return folder
        level = [inner for folder in level for inner in folders(folder)]
    raise InputError(f"{root}: expected {expected} here or up to {depth} folders below")


def locate(name: str, data: Path) -> Path:
    """The folder of dataset `name` under `data`: one of the card's folder names, there or one level deeper.

    Case does not matter; the upper level wins. Raises InputError when it is missing (saying where it was
    looked for and where the data come from) or when one level holds several.
    """
    found = card(name)
    if not data.is_dir():
        raise InputError(f"{data}: no such folder (expected one folder a dataset in it)")
    if found.home is not None and found.home.resolve().is_relative_to(data.resolve()):
        return found.home
    upper = folders(data)
    for level in (upper, [inner for folder in upper for inner in folders(folder)]):
        matches = [path for path in level if path.name.lower() in {f.lower() for f in found.folders}]
        if len(matches) > 1:
            places = ", ".join(map(str, matches))
            raise InputError(f"{found.name}: several folders could be it: {places}; keep one")
        if matches:
            return matches[0]
    raise InputError(_missing(found, data))


def _missing(found: DatasetCard, data: Path) -> str:
    names = " or ".join(found.folders)
    return f"{found.name}: no folder {names} in {data} or one level below; the data come from {found.source}"
