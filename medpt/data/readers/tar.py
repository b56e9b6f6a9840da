"""Where the files of a tar archive lie, so that each can be read in place, also in a tar within a tar.

Plain files of ustar, GNU or pax headers with short names; links, long names and sparse files are refused.
Faster than `tarfile`, which keeps an object for each of the million entries.
"""

import os
import tarfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from medpt.data.decode import read_image
from medpt.data.file_tree import is_debris
from medpt.data.reading import MAX_BYTES, check_content, read_bytes, reading
from medpt.errors import InputError

BLOCK = 512
MAX_PAX = 2**16  # bytes of an extended header
FILE, FOLDER, PAX = (b"0", b"\0"), b"5", (b"x", b"g")


class Member(NamedTuple):
    """A file of `size` bytes from byte `at` of the outermost archive."""

    name: str
    at: int
    size: int


def members(archive: Path, within: Member | None = None) -> Iterator[Member]:
    """The files of an archive, or of the tar that is its member `within`, as they are stored; no debris.

    Raises InputError naming the archive: absent, not a tar, cut short, or with entries other than files.
    """
    try:
        handle = os.open(archive, os.O_RDONLY)
    except OSError as error:
        raise InputError(f"{archive}: {error.strerror}") from None
    try:
        whole = within or Member("", 0, os.fstat(handle).st_size)
        yield from _entries(handle, whole, f"{archive}!{whole.name}" if within else str(archive))
    finally:
        os.close(handle)


def _entries(handle: int, whole: Member, name: str) -> Iterator[Member]:
    at, end = whole.at, whole.at + whole.size
    while at < end:
        header = os.pread(handle, BLOCK, at)
        if header.count(0) == BLOCK:
            return
        entry, kind = _parsed(header, at + BLOCK, name)
        if at + BLOCK + entry.size > end:
            raise InputError(f"{name}: cut short in {entry.name}")
        if kind in FILE:
            if not is_debris(entry.name.rpartition("/")[2]):
                yield entry
        elif kind != FOLDER and not (kind in PAX and _harmless(handle, entry)):
            raise InputError(f"{name}: {entry.name} is an entry of type {kind!r}; accepted: files")
        at += BLOCK + -(-entry.size // BLOCK) * BLOCK
    raise InputError(f"{name}: cut short: no end of archive")


def _harmless(handle: int, pax: Member) -> bool:
    """Whether an extended header has times and user names only: no other name, no other size."""
    text = os.pread(handle, MAX_PAX, pax.at)
    return (
        pax.size < MAX_PAX and b" path=" not in text and b" size=" not in text and b" GNU.sparse" not in text
    )


def _parsed(header: bytes, at: int, name: str) -> tuple[Member, bytes]:
    try:
        checksum = sum(header) - sum(header[148:156]) + 8 * ord(" ")
        if len(header) < BLOCK or int(header[148:156].strip(b" \0"), 8) != checksum:
            raise ValueError
        size = int(header[124:136].strip(b" \0") or b"0", 8)
        if size < 0:
            raise ValueError
        parts = [header[345:500], header[:100]] if header[257:263] == b"ustar\0" else [header[:100]]
        path = "/".join(part.partition(b"\0")[0].decode() for part in parts if part[0])
    except ValueError:
        raise InputError(f"{name}: byte {at - BLOCK} is no tar header") from None
    return Member(path, at, size), header[156:157]


def packed(archive: Path, wanted: Callable[[str], str | None]) -> dict[str, bytes]:
    """Return files of a compressed tar by the name that `wanted` gives them, but those that it gives None.

    Links are no files. Raises InputError naming the archive: damaged, cut short, or of more than MAX_BYTES.
    """
    found: dict[str, bytes] = {}
    with reading(archive, "a tar archive"), tarfile.open(fileobj=BytesIO(read_bytes(archive))) as file:
        for entry in file:
            if entry.size < 0 or entry.offset_data + entry.size > MAX_BYTES:
                raise InputError(f"{archive}!{entry.name}: an entry that ends beyond {MAX_BYTES:,} bytes")
            name = wanted(entry.name)
            if name is not None and entry.isfile() and (inner := file.extractfile(entry)):
                found[name] = check_content(f"{archive}!{entry.name}", inner.read())
    return found


def content(archive: Path, member: Member) -> bytes:
    """Raises InputError naming archive and member where they are no longer there."""
    try:
        with archive.open("rb") as file:
            file.seek(member.at)
            found = file.read(member.size)
    except OSError as error:
        raise InputError(f"{archive}: {error.strerror}") from None
    if len(found) != member.size:
        raise InputError(f"{archive}!{member.name}: cut short")
    return found


def image(archive: Path, member: Member) -> NDArray[np.uint8]:
    """As `decode.read_image`; errors name archive and member."""
    try:
        return read_image(content(archive, member))
    except InputError as error:
        named = f"{archive}!{member.name}"
        raise InputError(text.replace("<bytes>", named) for text in error.problems) from None
