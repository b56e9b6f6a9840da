"""Files that appear complete or not at all: atomic replacement after the content reached the disk."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from medpt import fault_injection
from medpt.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEMPORARY = ".tmp-"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it replaces `path`, otherwise it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f"{TEMPORARY}{path.name[:80]}-{uuid4().hex[:12]}"
    try:
        temporary.touch()  # names the path where it cannot be written, which not every library does
        yield temporary
        sync(temporary)
        fault_injection.point(f"replacing/{path.name}")
        os.replace(temporary, path)
        sync(path.parent)
    finally:
        remove(temporary)


@contextmanager
def building(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes `folder` on success; the first of several writers wins."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.parent / f"{TEMPORARY}{folder.name[:80]}-{uuid4().hex[:12]}"
    temporary.mkdir()
    try:
        yield temporary
        for file in temporary.iterdir():
            sync(file)
        try:
            os.rename(temporary, folder)
        except OSError:
            if not folder.is_dir():
                raise
        sync(folder.parent)
    finally:
        remove(temporary)


@contextmanager
def exclusive(lock: Path) -> Iterator[None]:
    """Let one process of this machine at a time work under the file `lock`, which is created; others wait."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    write_bytes(path, content.encode())


def json_bytes(value: Any) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True, allow_nan=True) + "\n").encode()


def write_json(path: Path, value: Any) -> None:
    write_bytes(path, json_bytes(value))


def read_json(path: Path) -> Any:
    return parse_json(path.read_bytes())


def parse_json(content: str | bytes) -> Any:
    """Return the value of a JSON document. Raises ValueError, also for values that are nested too deeply."""
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("values are nested too deeply") from None


def check_outside(option: str, path: Path, folders: Iterable[Path]) -> None:
    """Raise InputError where `path`, to be written, lies in one of the folders that are read."""
    for folder in folders:
        if Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
            raise InputError(f"{option} {path}: lies in {folder}; a place outside of it is accepted")


def existing_folder(folder: Path) -> Path:
    """Return `folder`, or the nearest folder above it that exists."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())


def write_arrays(path: Path, arrays: "Mapping[str, NDArray[Any]]") -> None:
    """Write a compressed .npz file; object arrays are refused."""
    import numpy as np

    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def free_space(folder: Path) -> str:
    """Return how much the disk of `folder` still takes, in words."""
    return f"{shutil.disk_usage(existing_folder(folder)).free / 2**20:,.1f} MB free in {folder}"


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
