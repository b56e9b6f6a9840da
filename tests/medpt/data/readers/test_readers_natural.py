"""Readers of natural images on synthetic copies: every trap, and every complaint."""

import pickle
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reader_copies import label, problems, spoil

from medpt.data import open_dataset
from medpt.data.readers.cifar100 import load
from medpt.errors import InputError


def test_ade_scenes_of_enough_images_are_the_classes(copies: Path) -> None:
    dataset = open_dataset("ADE20K", copies / "ADE20K")
    scenes = ("beach", "bedroom", "forest-broadleaf", "living_room", "mountain", "street")
    assert dataset.info.classes == scenes
    assert Counter(r.split for r in dataset) == {"train": 34, "test": 12}
    assert dataset.excluded == {"train": 2}
    assert "2 images excluded" in dataset.notes[0]
    named = dict(line.split() for line in (dataset.root / "sceneCategories.txt").read_text().splitlines())
    assert all(named[Path(r.image_path).stem] == scenes[label(r)] for r in dataset)
    alone = open_dataset("ADE20K", copies / "ADE20K", min_images=1)
    assert set(alone.info.classes) == {*scenes, "lighthouse"}
    with pytest.raises(InputError, match="`min_images` is 0; greater than or equal to 1"):
        open_dataset("ADE20K", copies / "ADE20K", min_images=0)


@spoil("ADE20K")
def test_ade_complaints(copy: Path) -> None:
    top = copy / "ADEChallengeData2016"
    lines = (top / "sceneCategories.txt").read_text().splitlines()
    lines[0] = "ADE_train_00000001"
    (top / "sceneCategories.txt").write_text("\n".join([*lines[:-1], "ADE_val_00009999 street"]))
    text = problems("ADE20K", copy)
    assert "sceneCategories.txt, line 1: 'ADE_train_00000001'; accepted: '<image id> <scene>'" in text
    assert "ADE_val_00000012.jpg: not in sceneCategories.txt" in text
    assert "no image ADE_val_00009999.jpg" in text
    (top / "annotations" / "training" / "ADE_train_00000002.png").unlink()
    (top / "images" / "training" / "ADE_train_00000003.jpg").unlink()
    text = problems("ADE20K-Seg", copy)
    assert "ADE_train_00000002.jpg: no mask" in text
    assert "ADE_train_00000003.png: no image" in text
    (top / "sceneCategories.txt").unlink()
    assert "no such file; it names the scene" in problems("ADE20K", copy)


@spoil("ADE20K")
def test_ade_masks_shift_by_one_and_ignore_zero(copy: Path) -> None:
    dataset = open_dataset("ADE20K-Seg", copy)
    record = next(r for r in dataset if 0 in np.asarray(Image.open(dataset.root / str(r.mask_path))))
    stored = np.asarray(Image.open(dataset.root / str(record.mask_path))).astype(int)
    assert np.array_equal(dataset.mask(record), np.where(stored == 0, 255, stored - 1))
    assert dataset.info.classes[2] == "sky"
    Image.fromarray(np.full((4, 4), 151, np.uint8)).save(dataset.root / str(record.mask_path))
    with pytest.raises(InputError, match="value 151; accepted: 0"):
        dataset.mask(record)


def test_cifar_rows(copies: Path) -> None:
    dataset = open_dataset("CIFAR-100", copies / "CIFAR-100")
    assert Counter(r.split for r in dataset) == {"train": 20, "test": 10}
    assert len(dataset.info.classes) == 100
    record = dataset.records[3]
    raw = load(dataset.root / "train")
    assert np.array_equal(dataset.image(record), raw["data"][3].reshape(3, 32, 32).transpose(1, 2, 0))
    assert record.patient_id.split("/")[1].startswith(dataset.info.classes[label(record)])
    assert record.id == "train#3"
    assert len({r.group_id for r in dataset}) == 30
    assert "not the published file" in dataset.notes[0]


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("code ran",)


@spoil("CIFAR-100")
def test_cifar_runs_no_code_and_checks_what_it_reads(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    top = copy / "cifar-100-python"
    good = load(top / "train")
    (top / "train").write_bytes(pickle.dumps({**good, "extra": Evil()}, protocol=2))
    assert "__builtin__.print; accepted: numpy arrays" in problems("CIFAR-100", copy)
    assert capsys.readouterr().out == ""
    labels = [100, -1, "a", *good["fine_labels"][3:]]
    for changed, message in (
        ({**good, "fine_labels": labels}, "row 0: label 100; accepted: 0 to 99"),
        ({**good, "fine_labels": good["fine_labels"][1:]}, "19 fine_labels for 20 rows"),
        ({**good, "data": good["data"][:, :10]}, r"uint8 (20, 10); accepted: uint8 (N, 3072)"),
        ({"data": 3}, "no data and fine_labels"),
        ([1], "a pickled list; accepted: a dict"),
    ):
        (top / "train").write_bytes(pickle.dumps(changed, protocol=2))
        assert message in problems("CIFAR-100", copy)
    for content in (b"", b"junk", pickle.dumps(good, protocol=2)[:500]):
        (top / "train").write_bytes(content)
        assert "cifar-100-python/train: " in problems("CIFAR-100", copy)


@spoil("ImageNet")
def test_imagenet_classes_formats_and_standard_list(copy: Path) -> None:
    dataset = open_dataset("ImageNet", copy)
    assert Counter(r.split for r in dataset) == {"train": 20, "test": 10}
    assert dataset.info.classes == tuple(sorted(folder.name for folder in (copy / "train").iterdir()))
    opened = [Image.open(copy / r.image_path) for r in dataset]
    assert {image.mode for image in opened} == {"RGB", "CMYK"}
    assert {image.format for image in opened} == {
        "JPEG",
        "PNG",
    }
    assert all(dataset.image(r).shape == (24, 32, 3) for r in dataset)
    assert all(dataset.info.classes[label(r)] in r.image_path for r in dataset)
    wnids = sorted({*dataset.info.classes, "n00000001", "n99999999"})
    (copy / "wnids_sorted_1000.txt").write_text("\n".join(wnids))
    again = open_dataset("ImageNet", copy)
    assert [r.label for r in again] == [label(r) + 1 for r in dataset]
    (copy / "train" / "cats").mkdir()
    (copy / "wnids_sorted_1000.txt").write_text("\n".join([*wnids[::-1], "dog"]))
    text = problems("ImageNet", copy)
    assert "train/cats: no class" in text
    assert "wnids_sorted_1000.txt, line 13: 'dog' is no wnid" in text
    assert "not sorted" in text


@spoil("ImageNet")
def test_imagenet_flat_val_is_excluded_with_a_note(copy: Path) -> None:
    for path in list((copy / "val").rglob("*.JPEG")):
        path.rename(copy / "val" / path.name)
    for folder in (copy / "val").iterdir():
        if folder.is_dir():
            shutil.rmtree(folder)
    dataset = open_dataset("ImageNet", copy)
    assert {r.split for r in dataset} == {"train"}
    assert "no labels" in dataset.notes[0]
