"""The cache against the shards, its builders against each other, batches against their definition."""

import os
from collections import Counter
from itertools import islice
from pathlib import Path
from threading import Barrier, Thread

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from toy_data import SIZE, dataset, image_of, mask_of, prepare

from medpt.data import arrays, open_dataset, shards
from medpt.data.arrays import ArrayFeed, Arrays, BrokenCacheError, Feed
from medpt.data.augment import dihedral
from medpt.data.manifest import Index, Manifest, read_index
from medpt.data.preprocess import default_pipeline, preprocess_pair
from medpt.errors import InputError
from medpt.files import sha256
from medpt.spec import Prepare

TASKS = ["classification", "segmentation"]


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "ROWS", 7)


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    prepare(tmp_path / "shards", dataset("segmentation"))
    return tmp_path / "shards"


@pytest.mark.parametrize("task", TASKS)
def test_cache_holds_what_the_reader_read(tmp_path, task):
    data = dataset(task)
    manifest = prepare(tmp_path / "shards", data)
    made = arrays.from_shards(tmp_path / "shards", tmp_path / "cache")
    records = sorted(data, key=lambda one: one.id)
    np.testing.assert_array_equal(made.images, [image_of(one) for one in records])
    expected = [mask_of(one) if task == "segmentation" else one.label for one in records]
    np.testing.assert_array_equal(made.targets, expected)
    assert made.targets.dtype == (np.uint8 if task == "segmentation" else np.int64)
    assert made.nbytes == arrays.nbytes(manifest)
    _same_index(made.index, read_index(tmp_path / "shards"))
    assert not made.images.flags.writeable


def _same_index(one: Index, two: Index) -> None:
    assert one.__dict__.keys() == two.__dict__.keys()
    for name, value in one.__dict__.items():
        np.testing.assert_array_equal(value, two.__dict__[name])


def test_a_cache_is_built_once(prepared, tmp_path):
    arrays.from_shards(prepared, tmp_path / "cache")
    before = (tmp_path / "cache" / "images.npy").stat()
    arrays.from_shards(prepared, tmp_path / "cache")
    after = (tmp_path / "cache" / "images.npy").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


@pytest.mark.parametrize("name", ["images.npy", "targets.npy", "index.npz", "manifest.json"])
@pytest.mark.parametrize("kept", [0, 1, 200, -1])
def test_truncated_cache_is_found_and_built_again(prepared, tmp_path, name, kept):
    cache = tmp_path / "cache"
    arrays.from_shards(prepared, cache)
    whole = sha256(cache / "images.npy")
    path = cache / name
    path.write_bytes(path.read_bytes()[:kept])
    if (name, kept) != ("manifest.json", -1):  # its last byte is a line end
        with pytest.raises(BrokenCacheError, match="cache"):
            arrays.open_arrays(cache)
    assert arrays.from_shards(prepared, cache).images.shape == (24, SIZE, SIZE, 3)
    assert sha256(cache / "images.npy") == whole


def test_absent_cache():
    with pytest.raises(BrokenCacheError, match="nowhere"):
        arrays.open_arrays(Path("nowhere"))


def test_cache_of_other_shards_is_replaced(prepared, tmp_path):
    prepare(tmp_path / "few", dataset("segmentation"), sample_size=6)
    assert len(arrays.from_shards(tmp_path / "few", tmp_path / "cache").index) == 12
    assert len(arrays.from_shards(prepared, tmp_path / "cache").index) == 24


def test_damaged_shards_never_become_a_cache(prepared, tmp_path):
    path = shards.shard_path(prepared, 1)
    content = bytearray(path.read_bytes())
    content[300] ^= 4
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"shard-00001\.parquet: was altered"):
        arrays.from_shards(prepared, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def _batches(folder: Path) -> list[dict]:
    manifest = Manifest.read(folder)
    return list(arrays._columns(folder, manifest))


def _build(folder: Path, cache: Path, batches) -> Arrays:
    return arrays.open_arrays(arrays.build(cache, Manifest.read(folder), read_index(folder), batches))


def test_rows_may_come_in_any_order(prepared, tmp_path):
    shuffled = [
        {name: column[::-1] for name, column in batch.items()} for batch in reversed(_batches(prepared))
    ]
    made = _build(prepared, tmp_path / "shuffled", shuffled)
    expected = arrays.from_shards(prepared, tmp_path / "cache")
    np.testing.assert_array_equal(made.images, expected.images)
    np.testing.assert_array_equal(made.targets, expected.targets)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda batches: batches[:-1], "has no pixels in the shards"),
        (lambda batches: [*batches, batches[0]], "is there twice or is not in the index"),
        (lambda batches: [{**batches[0], "id": ["x"] * 7}], "x: is there twice or is not in the index"),
        (
            lambda batches: [{**batches[0], "image": [b"123"] * 7}],
            "images: images/000.png: 3 bytes in place of 432",
        ),
        (
            lambda batches: [{**batches[0], "mask": [None] * 7}],
            "targets: images/000.png: 0 bytes in place of 144",
        ),
    ],
)
def test_wrong_rows_are_refused_and_leave_nothing(prepared, tmp_path, spoil, told):
    with pytest.raises(InputError, match=told):
        _build(prepared, tmp_path / "node" / "cache", spoil(_batches(prepared)))
    assert [path.name for path in (tmp_path / "node").iterdir()] == ["cache.lock"]


def test_of_many_builders_one_builds(prepared, tmp_path):
    started, read = Barrier(4), []

    def batches():
        read.append(1)
        yield from _batches(prepared)

    def build():
        started.wait()
        _build(prepared, tmp_path / "cache", batches())

    threads = [Thread(target=build) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read == [1]
    assert len(arrays.open_arrays(tmp_path / "cache").index) == 24


def test_after_a_builder_was_killed_the_next_one_builds(prepared, tmp_path):
    batches = _batches(prepared)

    def die_in_the_middle():
        yield batches[0]
        os._exit(9)

    child = os.fork()
    if child == 0:
        _build(prepared, tmp_path / "node" / "cache", die_in_the_middle())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert list((tmp_path / "node").glob(".tmp-cache-*"))
    assert len(arrays.from_shards(prepared, tmp_path / "node" / "cache").index) == 24
    assert sorted(path.name for path in (tmp_path / "node").iterdir()) == ["cache", "cache.lock"]


def toy_arrays(count: int, task: str = "segmentation") -> Arrays:
    """Pixels and labels that say their row; masks that say their place."""
    names = np.array([f"{row:03d}" for row in range(count)])
    images = np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 4, 4, 3)).copy()
    images[..., 1] = np.arange(16).reshape(4, 4)
    targets = images[..., 1] if task == "segmentation" else np.arange(count)
    index = Index("Toy", task, "natural", ("a", "b"), 4, names, names, names, np.arange(count), None)
    return Arrays(index, images, targets)


def _drawn(batch) -> list[tuple[int, int]]:
    images, _, transforms = batch
    return list(zip(images[:, 0, 0, 0].tolist(), transforms.tolist(), strict=True))


CASES = given(
    count=st.integers(1, 12),
    batch_size=st.integers(1, 40),
    seed=st.integers(0, 2**40),
    augment=st.booleans(),
    start=st.integers(0, 60),
)


@CASES
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_an_epoch_is_each_image_under_each_transform_once(count, batch_size, seed, augment, start):
    feed, rows = ArrayFeed(toy_arrays(13)), np.arange(1, count + 1)
    expanded = count * (8 if augment else 1)
    steps = feed.steps_per_epoch(rows, batch_size, augment)
    assert steps == max(1, expanded // batch_size)
    epoch = start // steps
    seen = Counter()
    for batch in islice(feed.batches(rows, batch_size, seed, epoch * steps, augment), steps):
        assert len(batch[0]) == min(batch_size, expanded)
        seen.update(_drawn(batch))
    assert set(seen.values()) == {1}
    assert set(seen) <= {(row, t) for row in rows for t in range(8 if augment else 1)}
    assert sum(seen.values()) == min(steps * batch_size, expanded)


@CASES
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_a_batch_is_the_same_wherever_the_iteration_began(count, batch_size, seed, augment, start):
    feed, rows = ArrayFeed(toy_arrays(12)), np.arange(count)
    through = islice(feed.batches(rows, batch_size, seed, 0, augment), start, start + 3)
    for one, two in zip(through, feed.batches(rows, batch_size, seed, start, augment), strict=False):
        assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_seeds_and_epochs_have_orders_of_their_own():
    feed, rows = ArrayFeed(toy_arrays(16)), np.arange(16)
    orders = [_drawn(next(feed.batches(rows, 128, seed, start))) for seed in (0, 1) for start in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4
    assert len({tuple(sorted(order)) for order in orders}) == 1


@pytest.mark.parametrize("task", TASKS)
def test_targets_belong_to_their_images(task):
    feed: Feed = ArrayFeed(toy_arrays(9, task))
    for images, targets, transforms in islice(feed.batches(np.arange(9), 6, 0), 24):
        assert (images.dtype, transforms.dtype) == (torch.uint8, torch.int64)
        assert images.shape == (6, 4, 4, 3)
        if task == "classification":
            assert targets.dtype == torch.int64
            assert torch.equal(images[:, 0, 0, 0].long(), targets)
        else:
            assert targets.dtype == torch.uint8
            turned = dihedral(images.permute(0, 3, 1, 2), transforms)
            assert torch.equal(turned[:, 1], dihedral(targets, transforms))


def test_scan_gives_each_row_once_in_the_given_order():
    rows = np.array([5, 1, 8, 0, 3])
    batches = list(ArrayFeed(toy_arrays(9, "classification")).scan(rows, 2))
    assert [len(images) for images, _ in batches] == [2, 2, 1]
    assert torch.cat([targets for _, targets in batches]).tolist() == rows.tolist()
    assert torch.cat([images[:, 0, 0, 0] for images, _ in batches]).tolist() == rows.tolist()
    assert list(ArrayFeed(toy_arrays(9)).scan(np.arange(0), 2)) == []


def test_batches_may_be_changed_without_changing_the_set():
    feed = ArrayFeed(toy_arrays(4))
    for images, targets in feed.scan(np.arange(4), 4):
        images.zero_()
        targets.zero_()
    assert feed.arrays.images[3].any()
    assert feed.arrays.targets[3].any()


@pytest.mark.parametrize("row", [-1, 9])
def test_rows_that_are_not_there(row):
    feed = ArrayFeed(toy_arrays(9))
    with pytest.raises(IndexError):
        next(feed.batches(np.array([0, row]), 2, 0))
    with pytest.raises(IndexError):
        next(feed.scan(np.array([0, row]), 2))


def test_no_rows_to_train_on():
    with pytest.raises(InputError, match="Toy: no images"):
        next(ArrayFeed(toy_arrays(9)).batches(np.arange(0), 2, 0))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("free", [0, 1 << 30])
def test_same_batches_from_a_gpu_whether_the_set_fits_or_not(monkeypatch, task, free):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, free))
    here, there = (ArrayFeed(toy_arrays(9, task), device) for device in ("cpu", "cuda"))
    for one, two in islice(
        zip(here.batches(np.arange(9), 4, 0), there.batches(np.arange(9), 4, 0), strict=True), 40
    ):
        assert all(tensor.is_cuda for tensor in two)
        assert all(torch.equal(a, b.cpu()) for a, b in zip(one, two, strict=True))
    assert (there._resident is None) == (free == 0)


@pytest.mark.real
def test_real_images_from_the_owners_files_to_batches(real, tmp_path):
    for name, root, policy in (
        ("DRIVE", "official/DRIVE", "official"),
        ("ISIC2019", "derived/ISIC2019", "random"),
    ):
        data = open_dataset(name, real / root)
        pipeline = default_pipeline(data.info.modality, 64)
        rows = shards.plan(data, policy, 0, 14)
        parts = shards.chunks(rows)
        folder = tmp_path / name
        infos = [
            shards.write(data, part, pipeline, shards.shard_path(folder, n)) for n, part in enumerate(parts)
        ]
        assert [shards.finished(folder, n, part, pipeline) for n, part in enumerate(parts)] == infos
        manifest = shards.seal(folder, data.info, Prepare(name, "f" * 64, pipeline, sample_size=14), infos)
        assert (manifest.images["train"], manifest.problems, manifest.shared_groups) == (14, (), 0)
        feed = ArrayFeed(arrays.from_shards(folder, tmp_path / f"{name}-cache"))
        places = {row.record.id: number for number, row in enumerate(rows)}
        for number, (images, targets) in enumerate(feed.scan(np.arange(len(rows)), 1)):
            record = rows[places[feed.index.ids[number]]].record
            mask = data.mask(record) if data.info.task == "segmentation" else None
            image, mask = preprocess_pair(data.image(record), mask, pipeline)
            np.testing.assert_array_equal(images[0], image)
            np.testing.assert_array_equal(targets[0], record.label if mask is None else mask)
