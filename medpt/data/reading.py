"""What every reader of foreign files shares: one catch around other libraries, and bounds on memory.

A library may raise anything on a damaged file. `reading` turns all of it into one InputError that names the
file, so that no list of a library's exceptions has to be complete and the other files are still reported.
"""

import gzip
import io
import os
import stat
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medpt.errors import InputError

MAX_BYTES = 2**30  # what one file may hold once it is decompressed; a scan of LUNA16 has 400 MB
MAX_TEXT = 2**26  # bytes of a text file
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
    except (InputError, ImportError, NameError):  # a missing package or a bug here is no fault of the file
        raise
    except FileNotFoundError:
        raise InputError(f"{name}: no such file") from None
    except Exception as error:
        raise InputError(f"{name}: not {what} that can be read: {_reason(error)}") from None


def read_bytes(path: Path, most: int = MAX_BYTES) -> bytes:
    """Return the content of a file. Raises InputError: absent, empty, no file, or above `most` bytes."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise InputError(f"{path}: {'a directory' if path.is_dir() else 'not a file'}; accepted: a file")
        if found.st_size > most:
            raise InputError(f"{path}: {found.st_size:,} bytes; accepted: up to {most:,}")
        return check_content(path, path.read_bytes(), most)
    except OSError as error:
        raise InputError(f"{path}: {why_absent(path, error)}") from None


def why_absent(path: Path | str, error: OSError) -> str:
    """Return why a file cannot be opened, of a link that leads nowhere with the commands that fetch it."""
    if isinstance(error, FileNotFoundError) and os.path.islink(path):
        lost = f"a link to {os.readlink(path)}, which is missing"
        return f"{lost} (`datalad get` or `git annex get` fetches such files)"
    return error.strerror or str(error)


def read_text(path: Path, most: int = MAX_TEXT) -> str:
    """Return the text of a UTF-8 file, without byte order mark; InputError names the line of other bytes."""
    if path.is_file() and not path.stat().st_size:
        return ""
    content = read_bytes(path, most)
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{path}: UTF-16 text; save it as UTF-8 (in Excel: CSV UTF-8)")
    if (at := content.find(b"\0")) >= 0:
        line = content.count(b"\n", 0, at) + 1
        raise InputError(f"{path}, line {line}: byte 0x00, as UTF-16 text has; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        what = f"byte 0x{content[error.start]:02x} is not UTF-8 text"
        raise InputError(f"{path}, line {line}: {what}; save it as UTF-8 (in Excel: CSV UTF-8)") from None


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
        lengths = " x ".join(map(str, shape))
        raise InputError(
            f"{name}: {lengths} values of {itemsize} bytes; accepted: 1 to {MAX_BYTES:,} bytes in all"
        )


def _reason(error: Exception) -> str:
    """Name and first line of another library's error, cut to LONGEST characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
