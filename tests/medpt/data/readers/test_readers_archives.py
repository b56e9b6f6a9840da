"""Natural images as they are published: archives read in place, and the full ADE20K."""

import io
import shutil
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from archives import packed_imagenet, write_devkit
from PIL import Image
from reader_copies import problems, spoil

from medpt.data import open_dataset
from medpt.data.partial_copy import SYNTHETIC
from medpt.data.readers import ade20k_full, tar
from medpt.data.readers.imagenet_tars import DEVKIT, TRAIN, VAL
from medpt.errors import InputError


@spoil("CIFAR-100")
def test_cifar_archive_is_read_in_place(copy: Path) -> None:
    unpacked = open_dataset("CIFAR-100", copy)
    images = [unpacked.image(r) for r in unpacked]
    with tarfile.open(copy / "cifar-100-python.tar.gz", "w:gz") as archive:
        archive.add(copy / "cifar-100-python", "cifar-100-python")
    shutil.rmtree(copy / "cifar-100-python")
    packed = open_dataset("CIFAR-100", copy)
    assert [(r.label, r.slice, r.split, r.patient_id) for r in packed] == [
        (r.label, r.slice, r.split, r.patient_id) for r in unpacked
    ]
    assert packed.records[0].id == "cifar-100-python.tar.gz!cifar-100-python/train#0"
    assert all(np.array_equal(packed.image(r), image) for r, image in zip(packed, images, strict=True))
    assert packed.info.classes == unpacked.info.classes
    assert "not the published file" in packed.notes[0]
    assert {path.name for path in copy.iterdir()} == {"cifar-100-python.tar.gz", SYNTHETIC}


@spoil("CIFAR-100")
def test_cifar_archives_that_are_incomplete(copy: Path) -> None:
    archive = copy / "cifar-100-python.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(copy / "cifar-100-python" / "train", "cifar-100-python/train")
    shutil.rmtree(copy / "cifar-100-python")
    assert "tar.gz!cifar-100-python/test: " in problems("CIFAR-100", copy)
    whole = archive.read_bytes()
    for content in (b"", b"junk" * 100, whole[: len(whole) // 2]):
        archive.write_bytes(content)
        assert "cifar-100-python.tar.gz: " in problems("CIFAR-100", copy)


@spoil("ImageNet")
def test_imagenet_archives_give_what_the_folders_give(copy: Path) -> None:
    folders = open_dataset("ImageNet", copy)
    expected = {Path(r.image_path).name: (r.label, r.split, folders.image(r)) for r in folders}
    packed_imagenet(copy)
    before = sorted(path.name for path in copy.iterdir())
    dataset = open_dataset("ImageNet", copy)
    assert dataset.info.classes == folders.info.classes
    assert len(dataset) == len(expected) == 30
    for record in dataset:
        label, split, image = expected[record.image_path.split("!")[-1]]
        assert (record.label, record.split) == (label, split)
        assert np.array_equal(dataset.image(record), image)
    assert dataset.records[0].image_path.startswith(f"{TRAIN}!n11939491.tar!n11939491_")
    assert sorted(path.name for path in copy.iterdir()) == before


@spoil("ImageNet")
def test_imagenet_archives_without_devkit_or_validation(copy: Path) -> None:
    packed_imagenet(copy)
    (copy / DEVKIT).unlink()
    dataset = open_dataset("ImageNet", copy)
    assert {r.split for r in dataset} == {"train"}
    assert len(dataset.info.classes) == 10
    assert f"excluded: {DEVKIT} has its labels" in dataset.notes[0]
    (copy / VAL).unlink()
    assert open_dataset("ImageNet", copy).notes == ()


@spoil("ImageNet")
def test_imagenet_archive_complaints(copy: Path) -> None:
    wnids = packed_imagenet(copy)
    with tarfile.open(copy / DEVKIT) as archive:
        meta = archive.extractfile("ILSVRC2012_devkit_t12/data/meta.mat")
        assert meta is not None
        files = {"meta.mat": meta.read()}
    truth = "ILSVRC2012_validation_ground_truth.txt"
    write_devkit(copy, files)
    assert f"{truth} is missing" in problems("ImageNet", copy)
    write_devkit(copy, {**files, truth: b"1\n2\n"})
    assert "10 images; ILSVRC2012_devkit_t12.tar.gz labels 2" in problems("ImageNet", copy)
    write_devkit(copy, {**files, truth: b"99\n" * 10})
    assert "has the id 99, no class of data/meta.mat" in problems("ImageNet", copy)
    with tarfile.open(copy / TRAIN, "a") as archive:
        archive.addfile(tarfile.TarInfo("readme.txt"))
        archive.addfile(tarfile.TarInfo("n00000001.tar"))
    text = problems("ImageNet", copy)
    assert "readme.txt: accepted: one tar a wnid" in text
    assert "n00000001.tar: no class of ILSVRC2012_devkit_t12.tar.gz" in text
    whole = (copy / VAL).read_bytes()
    write_devkit(copy, {**files, truth: b"1\n" * 10})
    (copy / VAL).write_bytes(whole[:-11000])
    assert f"{VAL}: cut short" in problems("ImageNet", copy)
    (copy / DEVKIT).write_bytes(b"junk")
    assert DEVKIT in problems("ImageNet", copy)
    assert len(wnids) == 10


@spoil("ImageNet")
def test_imagenet_archive_names_the_image_that_cannot_be_read(copy: Path) -> None:
    packed_imagenet(copy)
    dataset = open_dataset("ImageNet", copy)
    record = dataset.records[0]
    with (copy / TRAIN).open("r+b") as file:
        file.seek(record.meta["at"])
        file.write(b"\0" * record.meta["size"])
    with pytest.raises(InputError, match=r"train\.tar!n11939491\.tar!n11939491_\d+\.JPEG: not an image"):
        dataset.image(record)


def test_tar_members_agree_with_tarfile(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for kind in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        path = tmp_path / f"{kind}.tar"
        with tarfile.open(path, "w", format=kind) as archive:
            archive.addfile(folder_entry("a"))
            for n, size in enumerate((0, 1, 511, 512, 513, 5000)):
                entry = tarfile.TarInfo(
                    f"{'d' * (60 if kind == tarfile.USTAR_FORMAT else 1)}/{'n' * 60}{n}"[-99:]
                )
                entry.size, entry.mtime = size, 0.5
                archive.addfile(entry, io.BytesIO(rng.bytes(size)))
        with tarfile.open(path) as archive:
            expected = [(e.name, e.offset_data, e.size) for e in archive if e.isfile()]
        assert [tuple(m) for m in tar.members(path)] == expected


def folder_entry(name: str) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type = tarfile.DIRTYPE
    return entry


def test_tar_refuses_links_and_what_is_no_tar(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(InputError, match=r"x\.tar: link is an entry of type b'2'; accepted: files"):
        list(tar.members(path))
    path.write_bytes(b"junk" * 1000)
    with pytest.raises(InputError, match=r"x\.tar: byte 0 is no tar header"):
        list(tar.members(path))
    path.write_bytes(b"")
    with pytest.raises(InputError, match=r"x\.tar: cut short"):
        list(tar.members(path))
    with pytest.raises(InputError, match="No such file"):
        list(tar.members(tmp_path / "absent.tar"))


def full_release(copy: Path, year: int) -> Path:
    """Turns a copy of SceneParse150 into the full release: folders, encoding and neighbours as published."""
    top, old = copy / f"ADE20K_{year}", copy / "ADEChallengeData2016"
    named = dict(line.split() for line in (old / "sceneCategories.txt").read_text().splitlines())
    objects = [int(group.split("/")[-1]) for group in ade20k_full.OBJECTS.split()]
    for path in sorted(old.glob("images/*/ADE*.jpg")):
        part, scene = path.parent.name, named[path.stem].replace("-", "/")
        place = {2016: top / "images" / part / scene[0], 2021: top / "images" / "ADE" / part / "urban"}[year]
        if scene == "misc":
            place, scene = place.parent, "misc" if year == 2016 else "unclassified/misc"
        if path.stem.endswith("09"):
            place = place.parent / "outliers" / place.name if year == 2016 else place
        target = place / scene / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
        ids = np.asarray(Image.open(old / "annotations" / part / f"{path.stem}.png"))
        numbers = np.array([0, *objects])[ids]
        numbers[:2] = 3000  # an object of no class of the 150
        colours = np.stack([10 * (numbers // 256), numbers % 256, 5 * (ids % 9)], axis=2).astype(np.uint8)
        Image.fromarray(colours).save(target.with_name(f"{path.stem}_seg.png"))
        Image.fromarray(colours).save(target.with_name(f"{path.stem}_parts_1.png"))
        if year == 2021:
            (target.parent / path.stem).mkdir()
            shutil.copy(path, target.parent / path.stem / "instance_000.jpg")
    return top


@pytest.mark.parametrize("year", [2016, 2021])
@spoil("ADE20K")
def test_full_ade_gives_scenes_and_masks_of_the_benchmark(copy: Path, year: int) -> None:
    scenes, masks = open_dataset("ADE20K", copy), open_dataset("ADE20K-Seg", copy)
    expected = {Path(r.image_path).stem: masks.mask(r) for r in masks}
    labels = {Path(r.image_path).stem: (r.label, r.split) for r in scenes}
    full_release(copy, year)
    shutil.rmtree(copy / "ADEChallengeData2016")
    full, full_masks = open_dataset("ADE20K", copy), open_dataset("ADE20K-Seg", copy)
    assert full.info.classes == scenes.info.classes
    assert {Path(r.image_path).stem: (r.label, r.split) for r in full} == labels
    assert full.excluded == scenes.excluded
    assert len(full_masks) == len(expected)
    for record in full_masks:
        mask, benchmark = full_masks.mask(record), expected[Path(record.image_path).stem]
        assert (mask[:2] == 255).all()
        assert np.array_equal(mask[2:], benchmark[2:])
    assert Counter(r.split for r in full_masks) == {"train": 36, "test": 12}


@spoil("ADE20K")
def test_full_ade_complaints(copy: Path) -> None:
    top = full_release(copy, 2016)
    shutil.rmtree(copy / "ADEChallengeData2016")
    dataset = open_dataset("ADE20K-Seg", copy)
    path = top / str(dataset.records[0].mask_path)
    Image.new("L", (4, 4)).save(path)
    with pytest.raises(InputError, match=r"_seg\.png: a mask of one channel; accepted: RGB"):
        dataset.mask(dataset.records[0])
    path.unlink()
    assert f"{path.name}: no such file" in problems("ADE20K-Seg", copy)


def test_objects_of_the_150_classes_are_distinct() -> None:
    numbers = [int(n) for group in ade20k_full.OBJECTS.split() for n in group.split("/")]
    assert len(ade20k_full.OBJECTS.split()) == 150
    assert len(set(numbers)) == len(numbers) == 153
    assert max(numbers) <= ade20k_full.LARGEST
