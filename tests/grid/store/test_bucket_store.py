"""A store in a bucket as two nodes see it, each with copies of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import bucket_server
import pytest
from made_units import marker

from grid.execution import inputs
from grid.store import verification
from grid.store.backends import BucketBackend
from grid.store.store import Store, SupersededError
from grid.store.verification import verify
from medpt.errors import InputError

DIGEST = "a" * 64
Node = Callable[[str], Store]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with bucket_server.server() as made:
        yield made


@pytest.fixture
def node(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    """A store as the node of a name sees it; the driver's is called `one`, which alone makes folders."""

    def seen_by(name: str) -> Store:
        monkeypatch.setenv("MEDPT_COPIES", str(tmp_path / name))
        store = Store(f"{server}/{tmp_path.name}")
        if name == "one":
            store.create()
        return store

    return seen_by


def bucket(store: Store) -> BucketBackend:
    assert isinstance(store.documents, BucketBackend)
    return store.documents


def built(store: Store, **contents: bytes) -> Path:
    folder = store.root / "units" / "built"
    folder.mkdir(parents=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


def published(store: Store, **contents: bytes) -> int:
    lease = store.claim(DIGEST)
    assert lease
    with store.leases.held(lease):
        store.publish(DIGEST, built(store, **contents), marker(DIGEST, attempt=lease.attempt))
    return lease.attempt


def test_what_one_node_published_another_reads(node: Node) -> None:
    published(node("one"), best=b"weights", history=b"[]")
    other = node("other")
    assert other.finished() == {DIGEST}
    assert not other.folder(DIGEST).exists()
    assert other.artifact(DIGEST, "best").read_bytes() == b"weights"
    assert [path.name for path in other.fetch_all(DIGEST).iterdir()] == ["best", "history"]


def test_notes_come_without_weights(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grid.store.store.SMALL", 4)
    published(node("one"), best=b"weights", history=b"[]")
    assert [path.name for path in node("other").small_artifacts(DIGEST)] == ["history"]
    assert not (node("other").folder(DIGEST) / "best").exists()


def test_damaged_copy_is_fetched_again(node: Node) -> None:
    published(node("one"), best=b"weights")
    (node("one").folder(DIGEST) / "best").write_bytes(b"weigh")
    assert node("one").artifact(DIGEST, "best").read_bytes() == b"weights"
    assert verify(node("one"), [DIGEST], thorough=True).damaged == {}


def test_damaged_object_is_set_aside_and_done_again(node: Node) -> None:
    attempt = published(node("one"), best=b"weights")
    store = node("other")
    bucket(store).write(f"units/{DIGEST}/{attempt}/best", b"weighus")
    assert store.suspects({DIGEST}) == set()
    with pytest.raises(InputError, match="best"):
        store.artifact(DIGEST, "best")
    assert store.suspects({DIGEST}) == {DIGEST}
    assert "best" in verify(store, [DIGEST], thorough=True).damaged[DIGEST]
    store.invalidate(DIGEST)
    assert bucket(store).names(f"quarantine/{DIGEST}/{attempt}") == [f"quarantine/{DIGEST}/{attempt}/best"]
    assert not store.is_finished(DIGEST)
    assert store.suspects({DIGEST}) == set()
    assert published(store, best=b"weights") == attempt + 1
    assert node("one").artifact(DIGEST, "best").read_bytes() == b"weights"


@pytest.mark.parametrize("many", [1, 50])
def test_object_that_is_missing_or_cut_is_found_although_this_node_has_a_copy(
    node: Node, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "MANY", many)
    store = node("one")
    attempt = published(store, best=b"weights", history=b"[]")
    assert verify(store, [DIGEST], thorough=False).damaged == {}
    bucket(store).write(f"units/{DIGEST}/{attempt}/best", b"weigh")
    bucket(store).remove(f"units/{DIGEST}/{attempt}/history")
    assert "best, history" in verify(store, [DIGEST], thorough=False).damaged[DIGEST]


def test_of_two_who_publish_one_counts(node: Node) -> None:
    one, other = node("one"), node("other")
    first = one.leases.claim(DIGEST)
    assert first
    one.leases.withdraw(first)  # lost, and given to the other one
    assert published(other, best=b"other") == 1
    with pytest.raises(SupersededError):
        one.publish(DIGEST, built(one, best=b"one"), marker(DIGEST))
    assert one.artifact(DIGEST, "best").read_bytes() == b"other"


def test_next_node_resumes_from_the_last_checkpoint(node: Node) -> None:
    store = node("one")
    with store.synced(DIGEST):
        folder = store.checkpoints(DIGEST)
        (folder / "0000000002.safetensors").write_bytes(b"two")
        store.live(DIGEST).write_text('{"step": 2}\n')
    other = node("other")
    with other.synced(DIGEST):
        assert [path.name for path in other.checkpoints(DIGEST).iterdir()] == ["0000000002.safetensors"]
        assert other.live_rows(DIGEST) == '{"step": 2}\n'
        (other.checkpoints(DIGEST) / "0000000004.safetensors").write_bytes(b"four")
        (other.checkpoints(DIGEST) / "0000000002.safetensors").unlink()
    published(other, best=b"weights")
    assert bucket(other).names(f"checkpoints/{DIGEST}") == []


def test_node_that_has_nothing_yet_keeps_live_metrics(node: Node) -> None:
    node("one")
    other = node("other")
    with other.synced(DIGEST):
        inputs.append_metrics(other.live(DIGEST))({"step": 2})
    assert node("one").live_rows(DIGEST) == '{"step": 2}\n'


def test_shards_that_a_node_kept_are_not_sent_again(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    store, sent = node("one"), []
    (folder := store.checkpoints(DIGEST)).mkdir(parents=True)
    (folder / "shard-0.parquet").write_bytes(b"rows")
    store.artifacts.keep(DIGEST, folder / "shard-0.parquet")
    other = node("other")
    other.artifacts.resume(DIGEST)
    upload = BucketBackend.upload
    monkeypatch.setattr(BucketBackend, "upload", lambda *given: (sent.append(given[2]), upload(*given)))
    (other.checkpoints(DIGEST) / "manifest.json").write_text("{}")
    other.publish(DIGEST, other.checkpoints(DIGEST), marker(DIGEST))
    assert sent == [f"units/{DIGEST}/1/manifest.json"]
    assert (node("third").fetch_all(DIGEST) / "shard-0.parquet").read_bytes() == b"rows"


def test_bucket_that_is_not_there_is_reported(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"--out s3://no-such-bucket/x: .*can be written"):
        Store("s3://no-such-bucket/x").create()
