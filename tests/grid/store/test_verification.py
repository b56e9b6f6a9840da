"""Damage of finished units: what the quick check finds, and what only a complete one finds."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_units import marker

from grid.store.records import DamagedError, Failure, Marker, SpaceRecord
from grid.store.store import Store
from grid.store.verification import intact_file, verify
from medpt.errors import InputError

DIGEST = "a" * 64


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with one finished unit of two files."""
    made = Store(tmp_path / "out")
    made.create()
    publish(made)
    return made


def publish(store: Store, digest: str = DIGEST) -> None:
    built = store.root / "units" / "building"
    built.mkdir()
    (built / "best.safetensors").write_bytes(b"weights")
    (built / "history.json").write_bytes(b"[]")
    store.publish(digest, built, marker(digest, metrics={"auc": 0.5, "loss": float("nan")}))


def document(store: Store) -> Path:
    return store.root / "done" / f"{DIGEST}.json"


def damaged(store: Store, *, thorough: bool = False) -> str:
    return verify(store, [DIGEST], thorough=thorough).damaged.get(DIGEST, "")


def edit(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize("thorough", [False, True])
def test_intact_unit_verifies(store: Store, thorough: bool) -> None:
    found = verify(store, [DIGEST, "b" * 64], thorough=thorough)
    assert (found.damaged, found.unverified) == ({}, set())


@pytest.mark.parametrize("content", [b"", b"weigh", b"weighus", b"weights and more"])
def test_changed_file_is_found_by_the_quick_check(store: Store, content: bytes) -> None:
    (store.folder(DIGEST) / "best.safetensors").write_bytes(content)
    assert "best.safetensors is not the file that was published" in damaged(store)


def test_missing_file_and_missing_folder_are_found(store: Store) -> None:
    (store.folder(DIGEST) / "history.json").unlink()
    assert "history.json is missing" in damaged(store)
    shutil.rmtree(store.folder(DIGEST))
    assert "is missing" in damaged(store)


def test_change_without_a_trace_is_found_by_the_complete_check_alone(store: Store) -> None:
    path = store.folder(DIGEST) / "best.safetensors"
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    path.write_bytes(b"weighus")
    os.utime(path, ns=times)
    assert damaged(store) == ""
    assert "best.safetensors" in damaged(store, thorough=True)


def test_copy_with_new_times_is_read_once(store: Store) -> None:
    path = store.folder(DIGEST) / "best.safetensors"
    published = path.stat().st_mtime_ns
    os.utime(path, ns=(1, 1))
    assert damaged(store) == ""
    assert path.stat().st_mtime_ns == published


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"[1]"),
        lambda path: path.write_bytes(b"{}"),  # of the same size
        lambda path: path.unlink(),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: (path.unlink(), os.mkfifo(path)),
        lambda path: (path.unlink(), path.symlink_to(path.name)),
        lambda path: shutil.rmtree(path.parent),
    ],
)
def test_changed_file_is_not_intact(store: Store, damage: Callable[[Path], object]) -> None:
    damage(store.folder(DIGEST) / "history.json")
    assert intact_file(store, store.marker(DIGEST), "history.json") is None


def test_intact_file_of_a_copied_store_is_read_once(store: Store) -> None:
    path, found = store.folder(DIGEST) / "history.json", store.marker(DIGEST)
    os.utime(path, ns=(1, 1))
    assert intact_file(store, found, "history.json") == path
    assert path.stat().st_mtime_ns == found.files["history.json"][1]


def test_file_of_version_0_3_1_is_taken_as_it_is(store: Store) -> None:
    earlier = marker(DIGEST, artifacts=store.marker(DIGEST).artifacts)
    path = store.folder(DIGEST) / "history.json"
    path.write_bytes(b"[1]")
    assert intact_file(store, earlier, "history.json") == path


@given(st.data())
def test_marker_with_a_changed_byte_is_damaged_or_reads_the_same(data: st.DataObject) -> None:
    content = marker(DIGEST, metrics={"auc": 0.5}, files={"a": (1, 2)}, artifacts={"a": "0" * 64}).content()
    position = data.draw(st.integers(0, len(content) - 1))
    byte = data.draw(st.integers(0, 255))
    changed = content[:position] + bytes([byte]) + content[position + 1 :]
    try:
        read = Marker.read(changed, DIGEST)
    except InputError:
        return
    assert read == Marker.read(content, DIGEST)


@given(st.integers(0, 10_000))
def test_truncated_documents_are_damaged(length: int) -> None:
    content = marker(DIGEST, metrics={"auc": 0.5}).content().rstrip()
    short = content[: length % len(content)]
    with pytest.raises(InputError):
        Marker.read(short, DIGEST)
    with pytest.raises(InputError):
        SpaceRecord.read(b'{"name": "a", "path": "", "plans": ["b"]}'[: length % 40])
    assert Failure.read(short).cause == "error"


@pytest.mark.parametrize(
    "values",
    [
        {"metrics": {"auc": 0.9}},
        {"label": "another"},
        {"spec": {"seed": 1}},
        {"artifacts": {}},
        {"checksum": "0"},
    ],
)
def test_edited_marker_is_damaged(store: Store, values: dict[str, Any]) -> None:
    edit(document(store), **values)
    assert f"done/{DIGEST}.json is damaged" in damaged(store)
    with pytest.raises(InputError, match="checksum"):
        store.marker(DIGEST)
    assert store.markers([DIGEST]) == {}


def test_marker_that_was_written_in_another_way_verifies(store: Store) -> None:
    known = store.marker(DIGEST)
    document(store).write_text(json.dumps(json.loads(document(store).read_text())))
    assert repr(store.marker(DIGEST)) == repr(known)  # of which nan is equal


@given(place=st.integers(0), byte=st.integers(0, 255))
def test_marker_with_another_byte_is_damaged_or_says_the_same(place: int, byte: int) -> None:
    known = marker(DIGEST, metrics={"auc": 0.5}, label="random → DRIVE")
    content = bytearray(known.content())
    content[place % len(content)] = byte
    try:
        assert Marker.read(bytes(content), DIGEST) == known
    except DamagedError:
        assert bytes(content) != known.content()


def test_marker_whose_checksum_was_removed_is_damaged(store: Store) -> None:
    values = json.loads(document(store).read_text())
    del values["checksum"]
    document(store).write_text(json.dumps(values))
    assert "its checksum is missing" in damaged(store)


@pytest.mark.parametrize(
    "values",
    [{"ended": "now"}, {"attempt": None}, {"peak": []}, {"artifacts": ["a"]}, {"metrics": {"a": True}}],
)
def test_marker_without_checksum_that_has_another_type_is_damaged(
    store: Store, values: dict[str, Any]
) -> None:
    edit(document(store), files={}, **values)
    content = json.loads(document(store).read_text())
    del content["checksum"]
    document(store).write_text(json.dumps(content))
    with pytest.raises(InputError, match="is damaged"):
        store.marker(DIGEST)


def test_marker_of_another_unit_is_damaged(store: Store) -> None:
    publish(store, "b" * 64)
    shutil.copy(store.root / "done" / f"{'b' * 64}.json", document(store))
    assert "marker of another unit" in damaged(store)


def test_marker_of_version_0_3_1_is_unverified(store: Store) -> None:
    values = json.loads(document(store).read_text())
    del values["checksum"], values["files"]
    document(store).write_text(json.dumps(values))
    (store.folder(DIGEST) / "history.json").unlink()
    found = verify(store, [DIGEST], thorough=False)
    assert (found.damaged, found.unverified) == ({}, {DIGEST})
    assert "history.json is missing" in damaged(store, thorough=True)
