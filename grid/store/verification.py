"""Damage of finished units: markers that do not match their checksum, missing and changed files."""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from grid.store.artifacts import has_sha256
from grid.store.backends import is_url
from grid.store.records import Marker
from grid.store.store import READERS, Store
from medpt.data import manifest
from medpt.errors import InputError
from medpt.survival import patch_files

MANY = 50  # units whose files are listed together
VERIFY = {manifest.MANIFEST: manifest.verify, patch_files.MANIFEST: patch_files.verify}  # prepared data


@dataclass(frozen=True)
class Verification:
    """What was found: problems by digest, and the units whose markers have no checksum (version 0.3.1)."""

    damaged: dict[str, str]
    unverified: set[str]


def verify(store: Store, digests: Iterable[str], *, thorough: bool) -> Verification:
    """Verify finished units: their markers, and the size and time of each of their files.

    A file is read only where its size or time differs from the marker, or if `thorough`. Of a marker without
    checksum, the files are verified only if `thorough`.
    """
    damaged, unverified = {}, set()

    def check(digest: str) -> None:
        try:
            marker = store.marker(digest)
            if not marker.is_verified:
                unverified.add(digest)
            verify_files(store, marker, thorough=thorough)
        except FileNotFoundError:  # not finished any more
            return
        except InputError as error:
            damaged[digest] = str(error)

    names = list(digests)
    listed = store.artifacts.listed() if len(names) >= MANY else nullcontext()
    with listed, ThreadPoolExecutor(READERS) as pool:
        list(pool.map(check, names))
    return Verification(damaged, unverified)


def find_withheld(store: Store, digests: Iterable[str]) -> dict[str, str]:
    """Return which of these units were pulled without files that units here read, with a sentence on each."""
    found = store.markers(digests)
    return {
        name: f"{store.out}/units/{name}: {', '.join(marker.origin.withheld)} was not published"
        for name, marker in found.items()
        if marker.origin and marker.origin.withheld
    }


def verify_files(store: Store, marker: Marker, *, thorough: bool) -> None:
    """Raise InputError if files of a unit are missing or are not those that were published."""
    digest = marker.digest
    changed = store.artifacts.changed(digest, marker.attempt, marker.files)
    if changed and is_url(store.out):  # this node may still have an intact copy, others have none
        raise InputError(f"{store.out}/units/{digest}: missing or of another size: {', '.join(changed)}")
    if not (changed or thorough):
        return
    for name in marker.artifacts:
        store.artifact(digest, name)
    for name in VERIFY.keys() & marker.artifacts.keys():
        VERIFY[name](store.fetch_all(digest))
    for name in changed:  # as after `cp -r`
        _restore_time(store, marker, name)


def intact_file(store: Store, marker: Marker, name: str) -> Path | None:
    """Return the path of a file of a finished unit; None where it is not the file that was published.

    The file is read only where its size or time differs from the marker, and not of version 0.3.1, whose
    markers have neither.
    """
    try:
        path = store.file(marker.digest, name)
        status = path.stat() if path.is_file() else None
    except (OSError, InputError):
        return None
    known = marker.files.get(name, status and (status.st_size, status.st_mtime_ns))
    if status is None or known != (status.st_size, status.st_mtime_ns):
        if not has_sha256(path, marker.artifacts.get(name)):
            return None
        _restore_time(store, marker, name)
    return path


def _restore_time(store: Store, marker: Marker, name: str) -> None:
    """Give an intact file the time of its marker, without which it would be read again each time."""
    with suppress(OSError):
        time = marker.files[name][1]
        os.utime(store.folder(marker.digest) / name, ns=(time, time))
