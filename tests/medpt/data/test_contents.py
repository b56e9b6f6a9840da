"""Edits that keep the size of a file are seen, and touched files are not edits."""

import os
import shutil
from pathlib import Path

import pytest

from medpt.data.contents import content_hash, edited, record
from medpt.data.fingerprint import fingerprint
from medpt.data.reading import read_bytes
from medpt.errors import InputError
from medpt.files import read_json, write_json


def tree(folder: Path) -> Path:
    for name in ("images/1.bmp", "masks/1.bmp", "labels.csv"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"pixels of {name}")
    return folder


def later(path: Path, content: bytes | None = None) -> None:
    """Give a file another time and perhaps other content of the same length."""
    if content is not None:
        path.write_bytes(content.ljust(path.stat().st_size, b"."))
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 10**9))


@pytest.mark.parametrize("name", ["images/1.bmp", "masks/1.bmp", "labels.csv"])
def test_edits_of_equal_size_have_a_digest_until_they_are_undone(name: str, tmp_path: Path) -> None:
    data, known = tree(tmp_path / "data"), tmp_path / "known.json"
    assert edited(data, known, write=True) is None
    before, original = fingerprint(data), (data / name).read_bytes()
    record(data, known)
    assert edited(data, known, write=True) is None
    later(data / name, b"edited")
    changed = edited(data, known, write=True)
    assert changed
    later(data / name, b"again")
    assert edited(data, known, write=True) not in (None, changed)
    later(data / name, original)
    assert edited(data, known, write=True) is None
    assert fingerprint(data) == before


def test_touched_files_are_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, known = tree(tmp_path / "data"), tmp_path / "known.json"
    record(data, known)
    later(data / "images" / "1.bmp")
    assert edited(data, known, write=True) is None
    monkeypatch.setattr("medpt.data.contents.sha256", lambda path: pytest.fail(f"{path} is hashed again"))
    assert edited(data, known, write=True) is None


@pytest.mark.parametrize("way", ["written in place", "replaced by another file", "copied with its time"])
def test_edits_that_keep_the_time_of_the_file_are_seen(way: str, tmp_path: Path) -> None:
    data, known = tree(tmp_path / "data"), tmp_path / "known.json"
    record(data, known)
    path, before = data / "masks" / "1.bmp", (data / "masks" / "1.bmp").stat()
    other = path if way == "written in place" else tmp_path / "other.bmp"
    other.write_bytes(b"edited".ljust(before.st_size, b"."))
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    if way == "replaced by another file":
        other.replace(path)
    elif way == "copied with its time":
        shutil.copy2(other, path)
    while path.stat().st_ctime_ns == before.st_ctime_ns:  # a clock of milliseconds
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert edited(data, known, write=True)


def test_hard_links_and_copies_with_their_times_are_no_edits(tmp_path: Path) -> None:
    data, known = tree(tmp_path / "data"), tmp_path / "known.json"
    record(data, known)
    os.link(data / "images" / "1.bmp", tmp_path / "link.bmp")
    moved = shutil.copytree(data, tmp_path / "moved")
    assert edited(data, known, write=False) is None
    assert edited(moved, known, write=False) is None
    assert fingerprint(moved) == fingerprint(data)


def test_records_of_older_versions_are_read(tmp_path: Path) -> None:
    data, known = tree(tmp_path / "data"), tmp_path / "known.json"
    record(data, known)
    content = content_hash(known)
    write_json(known, {name: entry[:2] for name, entry in read_json(known).items()})
    assert content_hash(known) == content
    assert edited(data, known, write=True) is None
    later(data / "labels.csv", b"edited")
    assert edited(data, known, write=True)


def test_results_below_the_data_are_no_part_of_them(tmp_path: Path) -> None:
    before = fingerprint(tree(tmp_path))
    for name in ("done", "units", "leases", "plans", "mlruns"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "file.json").write_text("{}")
    assert fingerprint(tmp_path) == before


def test_link_to_what_is_missing_is_named(tmp_path: Path) -> None:
    (tree(tmp_path) / "images" / "2.bmp").symlink_to("../.git/annex/objects/x")
    with pytest.raises(InputError, match=r"2\.bmp: a link to \.\./\.git/annex/objects/x, which is missing"):
        fingerprint(tmp_path)


@pytest.mark.parametrize(
    "content", ["", "[]", "null", '{"labels.csv": 5}', '{"labels.csv": [1]}', "[" * 100_000]
)
def test_damaged_record_is_named_with_what_to_do(content: str, tmp_path: Path) -> None:
    data, known = tree(tmp_path / "data"), tmp_path / "known.json"
    known.write_text(content)
    with pytest.raises(InputError, match=r"known\.json: it is damaged, so edits of the data cannot be seen"):
        edited(data, known, write=True)


def test_link_to_itself_is_no_file_to_fetch(tmp_path: Path) -> None:
    (tmp_path / "x.png").symlink_to("x.png")
    with pytest.raises(InputError, match=r"x\.png: Too many levels of symbolic links$"):
        read_bytes(tmp_path / "x.png")
