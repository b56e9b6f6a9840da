"""Which files of a dataset were edited since it was first prepared, though their sizes are what they were.

A fingerprint (medpt.data.fingerprint) sees names and sizes. An edit that keeps the size of a file, as every
edit of an uncompressed image does, is seen here: the first preparation records the times and the hash of each
file, and later plans hash again what has other times. The time of the last change of a file's entry (ctime)
counts beside that of its content (mtime), which archives and some programs set to what it was.
"""

import hashlib
from pathlib import Path

from medpt.data.file_tree import walk
from medpt.errors import InputError
from medpt.files import read_json, sha256, write_json
from medpt.identity import canonical_json

Record = dict[str, list[object]]  # path below the root: mtime in ns, sha256, ctime in ns (not in old ones)


def record(root: Path, path: Path) -> None:
    """Write the times and hashes of the files below `root` to `path`.

    A file that is edited meanwhile gets no hash, so that it counts as edited from now on.
    """
    times = _times(root)
    hashes = {name: sha256(root / name) for name in times}
    after = _times(root)
    kept = {name: content if after.get(name) == times[name] else "" for name, content in hashes.items()}
    write_json(path, {name: [time, kept[name], changed] for name, (time, changed) in times.items()})


def content_hash(path: Path) -> str:
    """Return one hash of the names and the contents of all files of a dataset, from what `record` wrote.

    Equal for equal files, whatever their times. Names cannot be read from it. Raises InputError for a
    damaged record.
    """
    recorded = _read(path)
    pairs = [[name, content] for name, (_, content, *_) in sorted(recorded.items())]
    return hashlib.sha256(canonical_json(pairs).encode()).hexdigest()


def edited(root: Path, path: Path, *, write: bool) -> str | None:
    """Return a digest of the files below `root` whose content is not the recorded one; None if there is none.

    With `write` the new times of files that were touched and not edited are kept. Raises InputError for a
    damaged record.
    """
    if not path.is_file():
        return None
    recorded = _read(path)
    changed: dict[str, str] = {}
    touched = False
    for name, (time, ctime) in _times(root).items():
        known = recorded.get(name)
        if known is None or (known[0] == time and known[2:] in ([], [ctime])):
            continue
        content = sha256(root / name)
        if content != known[1]:
            changed[name] = content
        else:
            recorded[name], touched = [time, content, ctime], True
    if write and touched:
        write_json(path, recorded)
    return hashlib.sha256(canonical_json(changed).encode()).hexdigest() if changed else None


def _read(path: Path) -> Record:
    try:
        recorded: Record = read_json(path)
        if all(isinstance(content, str) for _, content, *_ in recorded.values()):
            return recorded
    except (ValueError, TypeError, AttributeError):
        pass
    text = "it is damaged, so edits of the data cannot be seen; if they are as they were, remove it"
    raise InputError(f"{path}: {text} and run the same command again")


def _times(root: Path) -> dict[str, tuple[int, int]]:
    prefix = len(str(root).rstrip("/")) + 1
    try:
        found = ((entry.path[prefix:], entry.stat()) for entry in walk(root))
        return {name: (status.st_mtime_ns, status.st_ctime_ns) for name, status in found}
    except OSError as error:
        raise InputError(f"{error.filename}: {error.strerror}") from None
