"""Which files of a dataset were edited since it was first prepared, though their sizes are what they were.

A fingerprint (medpt.data.fingerprint) sees names and sizes. An edit that keeps the size of a file, as every
edit of an uncompressed image does, is seen here: the first preparation records the time and the hash of each
file, and later plans hash again what has another time.
"""

import hashlib
from pathlib import Path

from medpt.data.locate import walk
from medpt.errors import InputError
from medpt.files import read_json, sha256, write_json
from medpt.identity import canonical_json

Record = dict[str, list[object]]  # path below the root: modification time in ns, sha256


def record(root: Path, path: Path) -> None:
    """Write the times and hashes of the files below `root` to `path`."""
    write_json(path, {name: [time, sha256(root / name)] for name, time in _times(root).items()})


def content_hash(path: Path) -> str:
    """Return one hash of the names and the contents of all files of a dataset, from what `record` wrote.

    Equal for equal files, whatever their times. Names cannot be read from it.
    """
    recorded: Record = read_json(path)
    pairs = [[name, content] for name, (_, content) in sorted(recorded.items())]
    return hashlib.sha256(canonical_json(pairs).encode()).hexdigest()


def edited(root: Path, path: Path, *, write: bool) -> str | None:
    """Return a digest of the files below `root` whose content is not the recorded one; None if there is none.

    With `write` the new times of files that were touched and not edited are kept.
    """
    if not path.is_file():
        return None
    recorded: Record = read_json(path)
    changed: dict[str, str] = {}
    touched = False
    for name, time in _times(root).items():
        known = recorded.get(name)
        if known is None or known[0] == time:
            continue
        content = sha256(root / name)
        if content != known[1]:
            changed[name] = content
        else:
            known[0], touched = time, True
    if write and touched:
        write_json(path, recorded)
    return hashlib.sha256(canonical_json(changed).encode()).hexdigest() if changed else None


def _times(root: Path) -> dict[str, int]:
    prefix = len(str(root).rstrip("/")) + 1
    try:
        return {entry.path[prefix:]: entry.stat().st_mtime_ns for entry in walk(root)}
    except OSError as error:
        raise InputError(f"{error.filename}: {error.strerror}") from None
