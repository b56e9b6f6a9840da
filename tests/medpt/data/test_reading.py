"""The boundary around other libraries, and the bounds on what a file may hold."""

import gzip
import os
import zlib
from pathlib import Path

import pytest

from medpt.data.reading import check_volume, gunzip, inflate, read_bytes, read_text, reading
from medpt.errors import InputError


class Strange(BaseException):
    """No Exception: an interrupt is one."""


@pytest.mark.parametrize("error", [RecursionError("deep"), MemoryError(), KeyError("x"), zlib.error("bad")])
def test_any_error_of_a_library_names_the_file(error: Exception) -> None:
    with (
        pytest.raises(InputError, match=r"^f\.bin: not a scan that can be read: "),
        reading("f.bin", "a scan"),
    ):
        raise error


@pytest.mark.parametrize("error", [InputError("as it is"), ImportError("no package"), Strange()])
def test_error_that_is_no_fault_of_the_file_passes_through(error: BaseException) -> None:
    with pytest.raises(type(error)), reading("f.bin", "a scan"):
        raise error


def test_content_is_bounded_before_it_is_made(tmp_path: Path) -> None:
    path = tmp_path / "f.gz"
    path.write_bytes(gzip.compress(bytes(5000)))
    assert len(gunzip(path, 5000)) == 5000
    with pytest.raises(InputError, match=r"f\.gz: more than 4,999 bytes"):
        gunzip(path, 4999)
    path.write_bytes(zlib.compress(bytes(10**7)))
    assert len(inflate(path, 100)) == 101
    with pytest.raises(InputError, match="accepted: up to 10"):
        read_bytes(path, 10)
    with pytest.raises(InputError, match=r"v\.nii: 100000 x 100000 values of 2 bytes"):
        check_volume("v.nii", (100_000, 100_000), 2)


def test_irregular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipe: not a file"):
        read_bytes(tmp_path / "pipe")
    (tmp_path / "lost").symlink_to("nowhere")
    with pytest.raises(InputError, match="lost: a link to nowhere, which is missing"):
        read_bytes(tmp_path / "lost")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\nb\nMüller".encode("latin-1"), "line 3: byte 0xfc is not UTF-8 text; save it as UTF-8"),
        ("a,b".encode("utf-16"), "UTF-16 text; save it as UTF-8"),
        ("€".encode("cp1252"), "line 1: byte 0x80"),
    ],
)
def test_other_encodings_are_named_with_line_and_remedy(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_text(tmp_path / "t.csv")
