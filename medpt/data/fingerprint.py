"""A digest of the original files, so that prepared data know what they were made of."""

import hashlib
import os
from pathlib import Path

from medpt.data.dataset import Dataset
from medpt.data.file_tree import walk
from medpt.data.reading import why_absent
from medpt.errors import InputError

LABELS = (".csv", ".tsv", ".txt", ".json", ".xls", ".xlsx", ".yaml", ".yml")
LARGEST_LABELS = 16 * 2**20  # bytes


def fingerprint(dataset: Dataset | str | Path, card: Path | None = None) -> str:
    """sha256 over (relative path, size) of every file below the root, and the content of small label files.

    Equal for equal files wherever the folder lies; debris of archives does not count. It cannot see an edit
    that keeps a file's size, except in small files of LABELS (up to 16 MiB): images are not read here, and
    medpt.data.contents finds such edits.
    Give a Dataset to have the root that its reader found. `card` is one that lies elsewhere; its content
    counts as well. Raises InputError where there is no such folder.
    """
    root = dataset.root if isinstance(dataset, Dataset) else Path(dataset)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder")
    prefix = len(str(root).rstrip("/")) + 1
    found = sorted((entry.path[prefix:], _size(entry)) for entry in walk(root))
    digest = hashlib.sha256()
    for path, size in found:
        digest.update(f"{path}\0{size}\n".encode(errors="surrogateescape"))
        if path.lower().endswith(LABELS) and size <= LARGEST_LABELS:
            digest.update(hashlib.sha256((root / path).read_bytes()).digest())
    if card:
        digest.update(hashlib.sha256(card.read_bytes()).digest())
    return digest.hexdigest()


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except OSError as error:
        raise InputError(f"{entry.path}: {why_absent(entry.path, error)}") from None
