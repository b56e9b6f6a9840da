"""What every reader of foreign files shares: one catch around other libraries, and bounds on what they may make.

A library may raise anything on a damaged file. `reading` turns all of it into one InputError that names the
file, so that no list of a library's exceptions has to be complete and the other files are still reported.
"""

import gzip
import io
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medpt.errors import InputError

MAX_BYTES = 2**30  # what one file may hold once it is decompressed; a scan of LUNA16 has 400 MB
LONGEST = 200  # characters of another library's message


@contextmanager
def reading(name: Path | str, what: str) -> Iterator[None]:
    """Raise InputError "`name`: not `what` that can be read: ..." for any error of the library inside.

    An InputError passes through as it is; warnings of the library are not shown.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{name}: no such file") from None
    except Exception as error:
        raise InputError(f"{name}: not {what} that can be read: {_told(error)}") from None


def read_bytes(path: Path, most: int = MAX_BYTES) -> bytes:
    """Return the content of a file. Raises InputError: absent, empty, a folder, or of more than `most` bytes."""
    try:
        with path.open("rb") as file:
            return check_content(path, file.read(most + 1), most)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None


def gunzip(path: Path, most: int = MAX_BYTES) -> bytes:
    """Return the decompressed content of a .gz. Raises InputError also for more than `most` bytes."""
    with reading(path, "a gzip file"), gzip.open(io.BytesIO(read_bytes(path))) as file:
        return check_content(path, file.read(most + 1), most)


def inflate(path: Path, most: int) -> bytes:
    """Return a zlib stream, of which at most `most` + 1 bytes are decompressed."""
    with reading(path, "a zlib stream"):
        return zlib.decompressobj().decompress(read_bytes(path), most + 1)


def check_content(name: Path | str, content: bytes, most: int = MAX_BYTES) -> bytes:
    """Return the content. Raises InputError where it is empty or longer than `most` bytes."""
    if not content:
        raise InputError(f"{name}: empty file (0 bytes)")
    if len(content) > most:
        raise InputError(f"{name}: more than {most:,} bytes")
    return content


def check_volume(name: Path | str, shape: tuple[int, ...], itemsize: int) -> None:
    """Raise InputError for an array that would take more than MAX_BYTES, before it is made."""
    size = itemsize
    for length in shape:
        size *= int(length)
    if not 0 < size <= MAX_BYTES:
        told = " x ".join(str(length) for length in shape)
        raise InputError(f"{name}: {told} values of {itemsize} bytes; accepted: 1 to {MAX_BYTES:,} bytes in all")


def _told(error: Exception) -> str:
    """Name and first line of another library's error, cut to LONGEST characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


