"""The store: finished means marker, artifacts are what was published, damage is seen and contained."""

from pathlib import Path

import pytest

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
    store.publish(digest, built, {"metrics": {"auc": 0.5}, "attempt": lease.attempt})
    store.leases.withdraw(lease)  # as a process that ended
    return store.artifact(digest, "best.safetensors")


def test_published_is_finished(store: Store) -> None:
    assert not store.is_finished("a" * 64)
    path = published(store)
    assert store.finished() == {"a" * 64}
    assert path.read_bytes() == b"weights"
    assert store.marker("a" * 64)["metrics"] == {"auc": 0.5}


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


@pytest.mark.parametrize("cut", [0, 1, 3, 6])
def test_a_truncated_artifact_is_refused_and_done_again(store: Store, cut: int) -> None:
    path = published(store)
    path.write_bytes(b"weights"[:cut])
    with pytest.raises(InputError, match=r"best\.safetensors"):
        store.artifact("a" * 64, "best.safetensors")
    assert "best.safetensors" in str(store.demote("a" * 64))
    assert store.finished() == set()
    assert (store.root / "quarantine" / ("a" * 64) / "best.safetensors").exists()


def test_a_flipped_bit_is_seen(store: Store) -> None:
    path = published(store)
    path.write_bytes(b"weighus")
    assert store.demote("a" * 64) is not None


def test_what_is_whole_stays(store: Store) -> None:
    published(store)
    assert store.demote("a" * 64) is None
    assert store.finished() == {"a" * 64}


def test_a_marker_that_is_no_json_counts_as_damage(store: Store) -> None:
    published(store)
    (store.root / "done" / f"{'a' * 64}.json").write_text("{")
    assert store.demote("a" * 64) is not None


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="--out"):
        Store(tmp_path / "file").create()
