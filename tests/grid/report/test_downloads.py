"""Links that hold a file give back its bytes."""

import base64
import gzip
import re

from hypothesis import given
from hypothesis import strategies as st

from grid.report import downloads

LINK = re.compile(r'<a download="([^"]*)" href="data:([a-z/+-]+);base64,([^"]*)">[^<]*</a>')


def read(link: str) -> tuple[str, str, bytes]:
    found = LINK.fullmatch(link)
    assert found
    name, kind, text = found.groups()
    return name, kind, base64.b64decode(text)


@given(st.binary(max_size=300))
def test_link_holds_the_file(data: bytes) -> None:
    assert read(downloads.link({"table.csv": data}, "table.csv")) == ("table.csv", "text/csv", data)


def test_large_files_are_compressed_and_the_same_each_time() -> None:
    data = b"a,b\n" * downloads.LARGE
    link = downloads.link({"trials.csv": data}, "trials.csv")
    name, kind, packed = read(link)
    assert (name, kind) == ("trials.csv.gz", "application/gzip")
    assert gzip.decompress(packed) == data
    assert link == downloads.link({"trials.csv": data}, "trials.csv")


def test_names_are_text() -> None:
    assert "<b>" not in downloads.link({"<b>.yaml": b""}, "<b>.yaml")
