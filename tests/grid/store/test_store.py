"""The store: a unit is finished if it has a marker, artifacts are verified, damaged files are set aside."""

from pathlib import Path

import pytest
from made_units import marker

from grid.store.records import DamagedError, Marker, SpaceRecord
from grid.store.store import Store
from medpt.errors import InputError


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "out")
    made.create()
    return made


def published(store: Store, digest: str = "a" * 64, content: bytes = b"weights") -> Path:
    built = store.root / "units" / f"building-{digest[:4]}"
    built.mkdir()
    (built / "best.safetensors").write_bytes(content)
    lease = store.claim(digest)
    assert lease
    store.publish(digest, built, marker(digest, metrics={"auc": 0.5}, attempt=lease.attempt))
    store.leases.withdraw(lease)  # as a process that ended
    return store.artifact(digest, "best.safetensors")


def test_published_unit_is_finished(store: Store) -> None:
    assert not store.is_finished("a" * 64)
    path = published(store)
    assert store.finished() == {"a" * 64}
    assert path.read_bytes() == b"weights"
    assert store.marker("a" * 64).metrics == {"auc": 0.5}


def test_artifacts_without_a_marker_are_replaced(store: Store) -> None:
    published(store, content=b"old")
    (store.root / "done" / f"{'a' * 64}.json").unlink()
    assert store.finished() == set()
    assert published(store, content=b"new").read_bytes() == b"new"


def test_publishing_clears_failure_and_checkpoints(store: Store) -> None:
    store.fail("a" * 64, "data", "was bad")
    store.checkpoints("a" * 64).mkdir()
    published(store)
    assert store.failures() == set()
    assert not store.checkpoints("a" * 64).exists()


def test_artifact_refuses_a_damaged_file(store: Store) -> None:
    published(store).write_bytes(b"weighus")
    with pytest.raises(InputError, match=r"best\.safetensors is not the file that was published"):
        store.artifact("a" * 64, "best.safetensors")


def test_invalidated_unit_is_unfinished_and_its_files_are_kept_aside(store: Store) -> None:
    path = published(store)
    marker_text = (store.root / "done" / f"{'a' * 64}.json").read_bytes()
    path.write_bytes(b"weigh")
    store.invalidate("a" * 64)
    assert store.finished() == set()
    assert (store.root / "quarantine" / ("a" * 64) / "best.safetensors").read_bytes() == b"weigh"
    assert (store.root / "quarantine" / f"{'a' * 64}.json").read_bytes() == marker_text
    assert published(store).read_bytes() == b"weights"


def test_invalidated_prepared_data_become_checkpoints(store: Store) -> None:
    built = store.root / "units" / "building"
    built.mkdir()
    (built / "manifest.json").write_text("{}")
    (built / "shard-0.parquet").write_bytes(b"rows")
    store.publish("a" * 64, built, marker("a" * 64))
    (store.root / "done" / f"{'a' * 64}.json").write_text("{")
    store.invalidate("a" * 64)
    assert (store.checkpoints("a" * 64) / "shard-0.parquet").read_bytes() == b"rows"


def test_create_refuses_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="--out"):
        Store(tmp_path / "file").create()


def test_documents_that_are_nested_without_end_are_damaged(store: Store) -> None:
    deep = b"[" * 100_000
    with pytest.raises(DamagedError, match="cut off or was overwritten"):
        Marker.read(deep, "0" * 64)
    with pytest.raises(DamagedError, match="cut off or was overwritten"):
        SpaceRecord.read(deep)
    store.documents.write("plans/0.json", deep)
    with pytest.raises(ValueError, match="nested too deeply"):
        store.plan("0")
