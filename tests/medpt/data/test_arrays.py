"""The cache against the shards, its builders against each other, and real images all the way."""

import os
from pathlib import Path
from threading import Barrier, Thread

import numpy as np
import pytest
from toy_data import SIZE, dataset, image_of, mask_of, prepare

from medpt.data import open_dataset, shards
from medpt.data.arrays import ArrayLoader
from medpt.data.cache import Arrays, BrokenCacheError, _columns, build, from_shards, nbytes, open_arrays
from medpt.data.manifest import Index, Manifest, read_index
from medpt.data.preprocess import default_pipeline, preprocess_pair
from medpt.errors import InputError
from medpt.files import sha256
from medpt.specs import Prepare

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
    made = from_shards(tmp_path / "shards", tmp_path / "cache")
    records = sorted(data, key=lambda one: one.id)
    np.testing.assert_array_equal(made.images, [image_of(one) for one in records])
    expected = [mask_of(one) if task == "segmentation" else one.label for one in records]
    np.testing.assert_array_equal(made.targets, expected)
    assert made.targets.dtype == (np.uint8 if task == "segmentation" else np.int64)
    assert made.nbytes == nbytes(manifest)
    _same_index(made.index, read_index(tmp_path / "shards"))
    assert not made.images.flags.writeable


def _same_index(one: Index, two: Index) -> None:
    assert one.__dict__.keys() == two.__dict__.keys()
    for name, value in one.__dict__.items():
        np.testing.assert_array_equal(value, two.__dict__[name])


def test_cache_is_built_once(prepared, tmp_path):
    from_shards(prepared, tmp_path / "cache")
    before = (tmp_path / "cache" / "images.npy").stat()
    from_shards(prepared, tmp_path / "cache")
    after = (tmp_path / "cache" / "images.npy").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


@pytest.mark.parametrize("name", ["images.npy", "targets.npy", "index.npz", "manifest.json"])
@pytest.mark.parametrize("kept", [0, 1, 200, -1])
def test_truncated_cache_is_found_and_built_again(prepared, tmp_path, name, kept):
    cache = tmp_path / "cache"
    from_shards(prepared, cache)
    whole = sha256(cache / "images.npy")
    path = cache / name
    path.write_bytes(path.read_bytes()[:kept])
    if (name, kept) != ("manifest.json", -1):  # its last byte is a line end
        with pytest.raises(BrokenCacheError, match="cache"):
            open_arrays(cache)
    assert from_shards(prepared, cache).images.shape == (24, SIZE, SIZE, 3)
    assert sha256(cache / "images.npy") == whole


def test_absent_cache():
    with pytest.raises(BrokenCacheError, match="nowhere"):
        open_arrays(Path("nowhere"))


def test_cache_of_other_shards_is_replaced(prepared, tmp_path):
    prepare(tmp_path / "few", dataset("segmentation"), sample_size=6)
    assert len(from_shards(tmp_path / "few", tmp_path / "cache").index) == 12
    assert len(from_shards(prepared, tmp_path / "cache").index) == 24


def test_damaged_shards_never_become_a_cache(prepared, tmp_path):
    path = shards.shard_path(prepared, 1)
    content = bytearray(path.read_bytes())
    content[300] ^= 4
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"shard-00001\.parquet: was altered"):
        from_shards(prepared, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def _batches(folder: Path) -> list[dict]:
    manifest = Manifest.read(folder)
    return list(_columns(folder, manifest))


def _build(folder: Path, cache: Path, batches) -> Arrays:
    return open_arrays(build(cache, Manifest.read(folder), read_index(folder), batches))


def test_rows_may_come_in_any_order(prepared, tmp_path):
    shuffled = [
        {name: column[::-1] for name, column in batch.items()} for batch in reversed(_batches(prepared))
    ]
    made = _build(prepared, tmp_path / "shuffled", shuffled)
    expected = from_shards(prepared, tmp_path / "cache")
    np.testing.assert_array_equal(made.images, expected.images)
    np.testing.assert_array_equal(made.targets, expected.targets)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda batches: batches[:-1], "has no pixels in the shards"),
        (lambda batches: [*batches, batches[0]], "is there twice or is not in the index"),
        (lambda batches: [{**batches[0], "id": ["x"] * 7}], "x: is there twice or is not in the index"),
        (
            lambda batches: [{**batches[0], "image": [b"123"] * 7}],
            "images: images/000.png: 3 bytes instead of 432",
        ),
        (
            lambda batches: [{**batches[0], "mask": [None] * 7}],
            "targets: images/000.png: 0 bytes instead of 144",
        ),
    ],
)
def test_wrong_rows_are_refused_and_leave_nothing(prepared, tmp_path, spoil, message):
    with pytest.raises(InputError, match=message):
        _build(prepared, tmp_path / "node" / "cache", spoil(_batches(prepared)))
    assert [path.name for path in (tmp_path / "node").iterdir()] == ["cache.lock"]


def test_one_of_many_builders_builds(prepared, tmp_path):
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
    assert len(open_arrays(tmp_path / "cache").index) == 24


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
    assert len(from_shards(prepared, tmp_path / "node" / "cache").index) == 24
    assert sorted(path.name for path in (tmp_path / "node").iterdir()) == ["cache", "cache.lock"]


@pytest.mark.real
def test_real_images_from_the_original_files_to_batches(real, tmp_path):
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
        manifest = shards.write_manifest(
            folder, data.info, Prepare(name, "f" * 64, pipeline, sample_size=14), infos
        )
        assert (manifest.images["train"], manifest.problems, manifest.shared_groups) == (14, (), 0)
        loader = ArrayLoader(from_shards(folder, tmp_path / f"{name}-cache"))
        places = {row.record.id: number for number, row in enumerate(rows)}
        for number, (images, targets) in enumerate(loader.scan(np.arange(len(rows)), 1)):
            record = rows[places[loader.index.ids[number]]].record
            mask = data.mask(record) if data.info.task == "segmentation" else None
            image, mask = preprocess_pair(data.image(record), mask, pipeline)
            np.testing.assert_array_equal(images[0], image)
            np.testing.assert_array_equal(targets[0], record.label if mask is None else mask)
