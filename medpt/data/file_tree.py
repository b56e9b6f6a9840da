"""The entries of a dataset's folders, without the debris that archives and systems leave behind."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from medpt.errors import InputError

DEBRIS = {  # of archives, operating systems, network drives, notebooks and viewers, in lower case
    *("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__pycache__", "thumbnails"),
    *("$recycle.bin", "recycler", "system volume information", "lost+found", "found.000"),
    *("@eadir", "@tmp", "@recycle", "@recently-snapshot", "@snapshot", "@sharebin", "@sharesnap"),
    *("#recycle", "#snapshot", "dicomdir"),  # the last is the index of a DICOM medium
}
DEEPEST = 40  # folders within each other; what publishers have is less than ten
RESULTS = ("done", "units", "leases", "plans")  # what every folder of results holds
DEBRIS_STARTS = (".", "~$", "synophoto_thumb", "synofile_thumb")  # hidden; Office's locks; thumbnails


def is_debris(name: str) -> bool:
    """Whether an entry is one that no publisher meant to publish: bookkeeping of systems, hidden files."""
    lower = name.lower()
    return lower in DEBRIS or lower.startswith(DEBRIS_STARTS)


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """What `folder` holds, sorted by name, no debris or results. Raises InputError if it is unreadable."""
    try:
        with os.scandir(folder) as found:
            kept = (entry for entry in found if not is_debris(entry.name) and not _holds_results(entry))
            return sorted(kept, key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(f"{error.filename or folder}: {error.strerror}") from None


def _holds_results(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder of results, which may lie below the data."""
    return is_folder(entry) and all(os.path.isdir(f"{entry.path}/{name}") for name in RESULTS)


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder, or a link to one; False of a link without end."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def folders(folder: Path) -> list[Path]:
    return [Path(entry.path) for entry in entries(folder) if is_folder(entry)]


def files(folder: Path, *suffixes: str) -> list[Path]:
    """The folder's own files, sorted, of the given lower-case suffixes in whatever case (none: all)."""
    paths = [Path(entry.path) for entry in entries(folder) if os.path.isfile(entry)]
    return [path for path in paths if not suffixes or path.suffix.lower() in suffixes]


def walk(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Every file below `folder`, depth first in the order of names, without debris.

    Raises InputError for a link to a folder that leads back to one above it, since such a tree has no end,
    and for more than DEEPEST folders within each other.
    """
    yield from _walk(folder, ())


def _walk(folder: Path, above: tuple[tuple[int, int], ...]) -> Iterator[os.DirEntry[str]]:
    if len(above) > DEEPEST:
        raise InputError(f"{folder}: more than {DEEPEST} folders deep; move the images up, or remove it")
    for entry in entries(folder):
        try:
            if not entry.is_dir():
                yield entry
                continue
            status = entry.stat()
        except OSError as error:  # a link without end
            raise InputError(f"{entry.path}: {error.strerror}") from None
        identity = (status.st_dev, status.st_ino)
        if entry.is_symlink() and (identity in above or identity == folder_identity(folder)):
            raise InputError(f"{entry.path}: a link to a folder above it; remove the link")
        yield from _walk(Path(entry.path), (*above, folder_identity(folder)))


def folder_identity(folder: Path) -> tuple[int, int]:
    """Return what all paths to a folder have in common."""
    status = folder.stat()
    return status.st_dev, status.st_ino


def child(folder: Path, name: str) -> Path | None:
    """The entry of that name, whatever its case."""
    if not folder.is_dir():
        return None
    return next((Path(entry.path) for entry in entries(folder) if entry.name.lower() == name.lower()), None)


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
