"""Shards against the records they were made from, and every way in which they can be damaged."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet
from toy_data import CLASSES, PIPELINE, SIZE, dataset, image_of, mask_of, prepare

from medpt.data import cache, image_hash, manifest, shards
from medpt.data.dataset import IGNORE, Record
from medpt.errors import InputError

TASKS = ["classification", "segmentation"]


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "ROWS", 7)


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("task", TASKS)
def test_rows_hold_what_the_reader_read(tmp_path, task):
    data = dataset(task)
    prepare(tmp_path, data)
    rows = [row for n in range(4) for row in parquet.read_table(shards.shard_path(tmp_path, n)).to_pylist()]
    assert [row["id"] for row in rows] == sorted(one.id for one in data)
    for row, one in zip(rows, sorted(data, key=lambda one: one.id), strict=True):
        assert (row["split"], row["group"]) == (one.split, one.group_id)
        np.testing.assert_array_equal(np.frombuffer(row["image"], np.uint8), image_of(one).ravel())
        decoded = data.image(one)
        assert (row["exact"], row["near"]) == (
            image_hash.exact_hash(decoded),
            image_hash.perceptual_hash(decoded),
        )
        if task == "classification":
            assert (row["label"], row["mask"], row["pixels"]) == (one.label, None, None)
        else:
            mask = mask_of(one)
            assert row["label"] == -1
            np.testing.assert_array_equal(np.frombuffer(row["mask"], np.uint8), mask.ravel())
            assert row["pixels"] == [(mask == kind).sum() for kind in range(len(CLASSES))]


@pytest.mark.parametrize("task", TASKS)
def test_index_and_manifest_tell_what_is_there(tmp_path, task):
    data = sorted(dataset(task), key=lambda one: one.id)
    made = prepare(tmp_path, dataset(task))
    assert manifest.verify(tmp_path) == manifest.Manifest.read(tmp_path) == made
    index = manifest.read_index(tmp_path)
    assert (index.dataset, index.task, index.classes, index.size) == ("Toy", task, CLASSES, SIZE)
    assert index.ids.tolist() == [one.id for one in data]
    assert index.splits.tolist() == [one.split for one in data]
    assert index.groups.tolist() == [one.group_id for one in data]
    assert index.labels.tolist() == [-1 if one.label is None else one.label for one in data]
    assert index.rows("test").tolist() == [row for row, one in enumerate(data) if one.split == "test"]
    assert (made.rows, made.images, made.shared_groups) == (24, {"train": 18, "test": 6}, 0)
    for part in ("train", "test"):
        mine = [one for one in data if one.split == part]
        if task == "classification":
            assert index.pixels is None
            expected = Counter(one.label for one in mine)
        else:
            expected = Counter(
                value for one in mine for value in mask_of(one).ravel().tolist() if value != IGNORE
            )
        assert made.counts[part] == {name: expected[kind] for kind, name in enumerate(CLASSES)}


@pytest.mark.parametrize("task", TASKS)
def test_equal_input_gives_equal_bytes_whatever_the_order_of_files(tmp_path, task):
    for order in (0, 0, 1):
        prepare(tmp_path / f"{order}{len(list(tmp_path.iterdir()))}", dataset(task, order=order))
    first, *others = [_contents(folder) for folder in sorted(tmp_path.iterdir())]
    assert len(first) == 4 + 4 + 1
    assert all(other == first for other in others)


def test_sample_takes_nested_training_images_and_leaves_the_test_set(tmp_path):
    ids = {}
    for size in (4, 9, None):
        rows = shards.plan(dataset("classification"), "official", 0, size)
        parts = {part: {row.record.id for row in rows if row.split == part} for part in ("train", "test")}
        assert len(parts["train"]) == size or size is None
        assert len(parts["test"]) == 6
        ids[size] = parts["train"]
    assert ids[4] < ids[9] < ids[None]


@pytest.mark.parametrize(("size", "accepted"), [(1, "from 2"), (19, "up to 18")])
def test_sample_that_cannot_be_had_is_refused(size, accepted):
    with pytest.raises(InputError, match=accepted):
        shards.plan(dataset("classification"), "official", 0, size)


def test_labels_that_are_no_class_are_refused_in_one_pass():
    data = dataset("classification")
    records = tuple(replace(one, label=7) if number < 2 else one for number, one in enumerate(data))
    with pytest.raises(InputError) as caught:
        shards.plan(replace(data, records=records), "official", 0, None)
    assert len(caught.value.problems) == 2
    assert all("label 7; accepted: 0 to 2" in problem for problem in caught.value.problems)


def test_unreadable_images_are_reported_and_excluded(tmp_path):
    made = prepare(tmp_path, dataset("classification", broken=(3, 20)))
    assert [problem.split(":")[0] for problem in made.problems] == ["images/003.png", "images/020.png"]
    assert "is truncated" in made.problems[0]
    assert (made.rows, made.images) == (22, {"train": 17, "test": 5})
    assert not {"images/003.png", "images/020.png"} & set(manifest.read_index(tmp_path).ids)
    assert manifest.verify(tmp_path) == made


def test_problem_names_an_image_once_and_no_folder(tmp_path):
    data = dataset("classification")

    def read(root, one):
        if one.id == "images/003.png":
            raise InputError(f"{root / one.image_path}: empty file (0 bytes)")
        return data.read_image(root, one)

    made = prepare(tmp_path, replace(data, read_image=read))
    assert made.problems == ("images/003.png: empty file (0 bytes)",)


def test_shard_without_a_readable_image_is_refused(tmp_path):
    with pytest.raises(InputError) as caught:
        prepare(tmp_path, dataset("classification", broken=tuple(range(7))))
    assert len(caught.value.problems) == 7
    assert list(tmp_path.iterdir()) == []


def test_mask_values_that_are_no_class_are_reported(tmp_path):
    data = replace(
        dataset("segmentation"), read_mask=lambda root, one: mask_of(one) * (2 if "007" in one.id else 1)
    )
    made = prepare(tmp_path, data)
    assert made.rows == 23
    assert made.problems[0].startswith(
        "images/007.png: mask has the values [4, 254]; accepted: 0 to 2, and 255"
    )


def test_wrong_pipeline_is_reported_once_and_not_for_each_image(tmp_path):
    data = dataset("classification")
    with pytest.raises(InputError) as caught:
        shards.write(
            data, shards.plan(data, "official", 0, None), "resize(12)|sharpen()", tmp_path / "a.parquet"
        )
    assert len(caught.value.problems) == 1
    assert "sharpen" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_pipeline_that_crops_after_its_resize_is_refused(tmp_path):
    framed = np.pad(np.full((12, 12, 3), 200, np.uint8), ((6, 6), (6, 6), (0, 0)))
    data = replace(dataset("classification"), read_image=lambda root, one: framed)
    rows = shards.plan(data, "official", 0, None)
    with pytest.raises(InputError, match=r"gives images of \(12, 12, 3\); accepted: \(24, 24, 3\)"):
        shards.write(data, rows, "resize(24)|crop_dermoscopy(10)", tmp_path / "a.parquet")
    assert list(tmp_path.iterdir()) == []


def test_finished_shards_are_recognised_and_damaged_or_other_ones_are_not(tmp_path):
    data = dataset("classification")
    rows = shards.chunks(shards.plan(data, "official", 0, None))[0]
    path = shards.shard_path(tmp_path, 0)
    assert shards.finished(tmp_path, 0, rows, PIPELINE) is None
    info = shards.write(data, rows, PIPELINE, path)
    assert shards.finished(tmp_path, 0, rows, PIPELINE) == info
    assert shards.finished(tmp_path, 0, rows, "resize(14)") is None
    assert shards.finished(tmp_path, 0, rows[:-1], PIPELINE) is None
    _flip(path, 100)
    assert shards.finished(tmp_path, 0, rows, PIPELINE) is None
    assert shards.write(data, rows, PIPELINE, path) == info
    path.unlink()
    assert shards.finished(tmp_path, 0, rows, PIPELINE) is None
    shards.write(data, rows, PIPELINE, path)
    path.with_suffix(".json").write_text('{"name": "shard-0')
    assert shards.finished(tmp_path, 0, rows, PIPELINE) is None


def test_writer_that_dies_leaves_no_half_shard(tmp_path, monkeypatch):
    def die(table, path, **options):
        Path(path).write_bytes(b"PAR1")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(parquet, "write_table", die)
    with pytest.raises(OSError, match="No space left"):
        prepare(tmp_path, dataset("classification"))
    assert list(tmp_path.iterdir()) == []


def test_sealing_removes_what_killed_writers_left(tmp_path):
    (tmp_path / ".tmp-shard-00001.parquet-0123456789ab").write_bytes(b"half")
    prepare(tmp_path, dataset("classification"))
    assert not list(tmp_path.glob(".tmp-*"))


def test_every_damaged_shard_is_named_in_one_pass(tmp_path):
    prepare(tmp_path, dataset("segmentation"))
    first, second, third = (shards.shard_path(tmp_path, number) for number in range(3))
    first.write_bytes(first.read_bytes()[:-1])
    _flip(second, second.stat().st_size // 2)
    third.unlink()
    with pytest.raises(InputError) as caught:
        manifest.verify(tmp_path)
    problems = caught.value.problems
    assert [problem.split(":")[0] for problem in problems] == [str(first), str(second), str(third)]
    for problem, what in zip(problems, ("bytes instead of", "was altered", "is missing"), strict=True):
        assert what in problem


@pytest.mark.parametrize("length", [0, 1, 1000])
def test_truncated_shard_is_refused_also_by_the_cheap_reading(tmp_path, length):
    prepare(tmp_path, dataset("classification"))
    path = shards.shard_path(tmp_path, 1)
    path.write_bytes(path.read_bytes()[:length])
    for read in (manifest.verify, manifest.read_index):
        with pytest.raises(InputError, match=r"shard-00001\.parquet"):
            read(tmp_path)


def _edit(folder: Path, change) -> None:
    path = folder / manifest.MANIFEST
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def test_wrong_counts_are_refused(tmp_path):
    prepare(tmp_path, dataset("classification"))
    _edit(tmp_path, lambda value: value["shards"][2].update(rows=8))
    with pytest.raises(InputError) as caught:
        manifest.verify(tmp_path)
    assert "shard-00002.parquet: has 7 rows instead of 8" in caught.value.problems[0]
    assert "manifest.json: counts 24 images, its shards 25 rows" in caught.value.problems[1]
    with pytest.raises(InputError, match="has 7 rows instead of 8"):
        manifest.read_index(tmp_path)


def test_manifest_that_is_absent_foreign_or_broken_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no prepared data"):
        manifest.verify(tmp_path)
    prepare(tmp_path, dataset("classification"))
    _edit(tmp_path, lambda value: value.update(format=99))
    with pytest.raises(InputError, match="format 99; accepted: 2"):
        manifest.verify(tmp_path)
    for content in ("{", "[]", '{"format": 2}', '{"format": 2, "shards": 3}'):
        (tmp_path / manifest.MANIFEST).write_text(content)
        with pytest.raises(InputError, match=r"manifest\.json: is no manifest"):
            manifest.verify(tmp_path)


def test_labels_of_several_findings_come_back_with_unknown_ones(tmp_path):
    data = sorted(dataset("multilabel"), key=lambda one: one.id)
    made = prepare(tmp_path / "shards", dataset("multilabel"))
    expected = np.array([one.label for one in data], np.float32)
    np.testing.assert_array_equal(manifest.read_index(tmp_path / "shards").labels, expected)
    assert made.counts["train"] == dict(zip(CLASSES, (expected[:18] == 1).sum(0).tolist(), strict=True))
    arrays = cache.from_shards(tmp_path / "shards", tmp_path / "cache")
    assert arrays.targets.dtype == np.float32
    np.testing.assert_array_equal(arrays.targets, expected)
    np.testing.assert_array_equal(arrays.index.labels, expected)


@pytest.mark.parametrize("label", [1, (1, 0), (1.0, 0.0, 2.0), None])
def test_unfit_labels_of_several_findings_are_refused(label):
    data = dataset("multilabel")
    first = replace(data.records[0], label=label)
    with pytest.raises(InputError, match="accepted: 1, 0 or nan"):
        shards.plan(replace(data, records=(first, *data.records[1:])), "official", 0, None)


def test_record_of_several_findings_round_trips_through_json():
    one = replace(dataset("multilabel").records[0], label=(1.0, 0.0, 1.0))
    assert Record.from_json(json.loads(json.dumps(one.to_json()))) == one
