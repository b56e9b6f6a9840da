"""Shards through Ray Data: written, resumed, cached, streamed, and trials that never starve."""

from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from grid.cluster.ray_session import ray_session
from grid.preparation import loaders, streaming
from grid.preparation.images import ShardJob, prepare_all
from grid.preparation.pipeline import Destination
from grid.prepare import main
from medpt import phantom
from medpt.data import open_dataset, shards
from medpt.data.manifest import Manifest, verify
from medpt.errors import InputError
from medpt.specs import Prepare

PIPELINE = "resize(32)|clahe(2,8)"


@pytest.fixture(scope="module")
def ray() -> Iterator[None]:
    with ray_session(cpus=2):
        yield


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return phantom.write(
        "ChestXRay2017", tmp_path_factory.mktemp("feed") / "chest", train=40, test=20, size=48
    )


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "ROWS", 16)


def job(source: Path, to: Path, name: str = "chest") -> ShardJob:
    return ShardJob(
        name, Prepare("ChestXRay2017", "f", PIPELINE), open_dataset("ChestXRay2017", source), Destination(to)
    )


@pytest.fixture
def prepared(ray: None, source: Path, tmp_path: Path, small_shards: None) -> Path:
    ((_, ended),) = prepare_all([job(source, tmp_path / "shards")])
    assert isinstance(ended, Manifest)
    return tmp_path / "shards"


def test_prepare_all_writes_the_shards_of_a_plain_loop(prepared: Path, source: Path, tmp_path: Path) -> None:
    alone = job(source, tmp_path / "alone")
    alone.start()
    for number, rows in enumerate(alone.chunks):
        path = shards.shard_path(alone.folder, number)
        alone.done[number] = shards.write(alone.dataset, rows, PIPELINE, path)
    alone.write_manifest()
    names = {path.name for path in prepared.iterdir()}
    assert len(names) == 2 * 4 + 1
    for name in names:
        assert (prepared / name).read_bytes() == (alone.folder / name).read_bytes()


def test_prepare_all_resumes_at_missing_shards(prepared: Path, source: Path) -> None:
    """What a kill leaves: some complete shards, one cut, no manifest."""
    (prepared / "manifest.json").unlink()
    shards.shard_path(prepared, 1).unlink()
    cut = shards.shard_path(prepared, 2)
    cut.write_bytes(cut.read_bytes()[:50])
    before = shards.shard_path(prepared, 0).stat().st_mtime_ns
    seen: list[int] = []
    ((_, ended),) = prepare_all([job(source, prepared)], seen.append)
    assert isinstance(ended, Manifest)
    assert sum(seen) == 32
    assert shards.shard_path(prepared, 0).stat().st_mtime_ns == before
    verify(prepared)


def test_prepare_all_fails_only_the_job_with_bad_images(ray: None, source: Path, tmp_path: Path) -> None:
    import shutil

    broken = Path(shutil.copytree(source, tmp_path / "broken"))
    for image in sorted(broken.rglob("*.jpeg"))[:3]:
        image.write_bytes(b"")
    jobs = [job(broken, tmp_path / "a", "broken"), job(source, tmp_path / "b", "sound")]
    ended = dict(prepare_all(jobs))
    assert isinstance(ended["sound"], Manifest)
    failure = ended["broken"]
    assert isinstance(failure, InputError)
    assert len(failure.problems) == 3


def test_array_and_streaming_loaders_scan_the_same_pixels(prepared: Path, tmp_path: Path) -> None:
    found = loaders.open_loader(prepared, tmp_path / "cache", 2**30, "cpu")
    again = loaders.open_loader(prepared, tmp_path / "plain", 0, "cpu")
    rows = np.arange(len(found.index))
    for (images, labels), (streamed, same) in zip(found.scan(rows, 7), again.scan(rows, 7), strict=True):
        assert (images == streamed).all()
        assert (labels == same).all()


def test_streaming_loader_gives_every_row_once_per_epoch(prepared: Path) -> None:
    loader = loaders.StreamingLoader(prepared)
    rows = loader.index.rows("train")
    steps = len(rows) // 8
    assert loader.steps_per_epoch(rows, 8) == 8 * steps
    epoch = list(islice(loader.batches(rows, 8, seed=1), steps))
    seen = Counter(image.numpy().tobytes() for images, _, _ in epoch for image in images)
    wanted = Counter(image.numpy().tobytes() for images, _ in loader.scan(rows, 8) for image in images)
    assert seen == wanted
    assert {int(t) for _, _, transforms in epoch for t in transforms} > {0, 1, 2, 3}


def test_streaming_loader_starts_at_any_batch(prepared: Path) -> None:
    loader = loaders.StreamingLoader(prepared)
    rows = loader.index.rows("train")
    steps = len(rows) // 8
    complete = list(islice(loader.batches(rows, 8, seed=1), steps + 2))
    for start in (1, steps - 1, steps, steps + 1):
        part = next(loader.batches(rows, 8, seed=1, start=start))
        assert all((a == b).all() for a, b in zip(part, complete[start], strict=True))
    other = next(loader.batches(rows, 8, seed=2))
    assert not (other[0] == complete[0][0]).all()


def test_streaming_loader_scans_rows_in_any_order(prepared: Path) -> None:
    loader, rows = loaders.StreamingLoader(prepared), np.array([3, 1, 3])
    alone = {n: next(loader.scan(np.array([n]), 1)) for n in (1, 3)}
    found = list(loader.scan(rows, 2))
    assert [len(images) for images, _ in found] == [2, 1]
    for column in (0, 1):
        expected = torch.cat([alone[n][column] for n in rows.tolist()])
        assert torch.equal(torch.cat([batch[column] for batch in found]), expected)


@pytest.mark.parametrize("damage", ["cut", "flipped", "missing"])
def test_open_loader_names_a_damaged_shard(prepared: Path, tmp_path: Path, damage: str) -> None:
    path = shards.shard_path(prepared, 1)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(bytes(content) if damage == "flipped" else bytes(content[:-9]))
    with pytest.raises(InputError, match=path.name):
        loaders.open_loader(prepared, tmp_path / "cache", 2**30, "cpu")
    assert not (tmp_path / "cache").exists()


@pytest.mark.fault
def test_streaming_trials_that_hold_every_cpu_do_not_hang(prepared: Path) -> None:
    """With one CPU a Data task this is the measured deadlock."""
    import ray as cluster

    @cluster.remote(num_cpus=1)
    def trial(seed: int) -> int:
        loader = loaders.StreamingLoader(prepared)
        batches = loader.batches(loader.index.rows("train"), 8, seed)
        return sum(len(labels) for _, labels, _ in islice(batches, 6))

    assert cluster.get([trial.remote(seed) for seed in range(4)], timeout=180) == [48] * 4


def test_with_timeout_raises_starved_error_without_a_batch() -> None:
    import time

    def slow() -> Iterator[int]:
        yield 1
        time.sleep(5)
        yield 2

    batches = streaming.with_timeout(slow(), seconds=0.2)
    assert next(batches) == 1
    with pytest.raises(streaming.StarvedError, match="no batch of data"):
        next(batches)


def test_prepare_command_prints_its_progress_and_the_images_of_each_set(
    ray: None,
    source: Path,
    tmp_path: Path,
    small_shards: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("grid.cluster.ray_session.ray_session", nullcontext)
    to = tmp_path / "to"
    assert main(["ChestXRay2017", str(source), "--to", str(to), "--size", "48"]) == 0
    *progress, last = capsys.readouterr().out.splitlines()
    assert len(progress) == 4
    assert progress[-1].startswith("60 of 60 images, ")
    assert progress[-1].endswith(" a second, 0 s left")
    assert last == f"ChestXRay2017: test 20, train 40; 4 shards in {to}"
    manifest = verify(to)
    assert (manifest.rows, manifest.size, manifest.prepare.split) == (60, 48, "official")
    assert manifest.prepare.pipeline == "crop_xray()|resize(48)|clahe(2,8)"


def test_prepare_command_refuses_a_missing_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["DRIVE", str(tmp_path / "none"), "--to", str(tmp_path / "to")]) == 2
    assert str(tmp_path / "none") in capsys.readouterr().err
    assert not (tmp_path / "to").exists()
