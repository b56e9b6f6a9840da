"""Archives that name places outside: read in place or refused, and nothing appears anywhere."""

import io
import tarfile
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from archives import packed_imagenet, write_devkit

from medpt import phantom
from medpt.data import open_dataset, tables
from medpt.data.catalog import card
from medpt.data.readers.imagenet_tars import DEVKIT, META, TRAIN
from medpt.errors import InputError

OUTSIDE = ("../outside", "../../outside", "a/../../../outside", "/outside")


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def cifar(tmp_path: Path) -> Path:
    folder = tmp_path / "deep" / "CIFAR-100"
    phantom.write("CIFAR-100", folder, train=20, test=10)
    return folder


@pytest.fixture
def imagenet(tmp_path: Path) -> Path:
    folder = tmp_path / "deep" / "ImageNet"
    phantom.write("ImageNet", folder, train=20, test=10, size=24)
    packed_imagenet(folder)
    return folder


def pack(folder: Path, names: dict[str, bytes], links: dict[str, str]) -> None:
    """Makes the folder's files its archive, with members of other names and links besides."""
    with tarfile.open(folder / "cifar-100-python.tar.gz", "w:gz") as archive:
        for path in sorted((folder / "cifar-100-python").iterdir()):
            if f"cifar-100-python/{path.name}" not in links:
                archive.add(path, f"cifar-100-python/{path.name}")
            path.unlink()
        for name, content in names.items():
            add(archive, name, content)
        for name, target in links.items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    (folder / "cifar-100-python").rmdir()


def test_other_members_of_cifar_s_archive_go_nowhere(cifar: Path, tmp_path: Path) -> None:
    expected = [record.label for record in open_dataset("CIFAR-100", cifar)]
    pack(cifar, dict.fromkeys(OUTSIDE, b"x"), {"link": "../../outside"})
    before = tree(tmp_path)
    assert [record.label for record in open_dataset("CIFAR-100", cifar)] == expected
    assert tree(tmp_path) == before
    assert not Path("/outside").exists()


@pytest.mark.parametrize("target", ["../../../secret", "/etc/hostname", "train"])
def test_link_in_cifar_s_archive_is_not_followed_out_of_it(cifar: Path, tmp_path: Path, target: str) -> None:
    (tmp_path / "secret").write_bytes((cifar / "cifar-100-python" / "train").read_bytes())
    pack(cifar, {}, {"cifar-100-python/train": target})
    with pytest.raises(InputError, match=r"cifar-100-python/train"):
        open_dataset("CIFAR-100", cifar)


def test_images_of_imagenet_that_point_outside_stay_in_their_archive(imagenet: Path, tmp_path: Path) -> None:
    dataset = open_dataset("ImageNet", imagenet)
    image = next(record for record in dataset if record.split == "train")
    pixels = dataset.image(image)
    wnid = image.image_path.split("!")[1].removesuffix(".tar")
    content = io.BytesIO()
    with tarfile.open(imagenet / TRAIN) as archive, tarfile.open(fileobj=content, mode="w") as inner:
        whole = archive.extractfile(f"{wnid}.tar")
        assert whole
        with tarfile.open(fileobj=whole) as old:
            first = old.extractfile(old.getnames()[0])
            assert first
            jpeg = first.read()
        for name in OUTSIDE:
            add(inner, f"{name}.JPEG", jpeg)
    with tarfile.open(imagenet / TRAIN, "w") as archive:
        add(archive, f"{wnid}.tar", content.getvalue())
    before = tree(tmp_path)
    with suppress(InputError):
        found = [r for r in open_dataset("ImageNet", imagenet) if r.split == "train"]
        assert len(found) == len(OUTSIDE)
        assert all(r.image_path.startswith(f"{TRAIN}!{wnid}.tar!") for r in found)
        assert all(dataset.image(r).shape == pixels.shape for r in found)
    assert tree(tmp_path) == before
    assert not Path("/outside.JPEG").exists()


def test_tar_of_imagenet_is_named_by_its_wnid_alone(imagenet: Path, tmp_path: Path) -> None:
    with tarfile.open(imagenet / TRAIN, "a") as archive:
        add(archive, "../n01440764.tar", b"")
    before = tree(tmp_path)
    with pytest.raises(InputError, match=r"\.\./n01440764\.tar: accepted: one tar a wnid"):
        open_dataset("ImageNet", imagenet)
    assert tree(tmp_path) == before


def test_devkit_that_points_outside_leaves_nothing(imagenet: Path, tmp_path: Path) -> None:
    write_devkit(imagenet, {f"../../{name}": b"junk" for name in OUTSIDE})
    before = tree(tmp_path)
    with pytest.raises(InputError, match="is missing"):
        open_dataset("ImageNet", imagenet)
    assert tree(tmp_path) == before


def test_link_in_the_devkit_that_leads_to_itself_is_no_file(imagenet: Path) -> None:
    with tarfile.open(imagenet / DEVKIT, "w:gz") as archive:
        entry = tarfile.TarInfo(META)
        entry.type, entry.linkname = tarfile.SYMTYPE, Path(META).name
        archive.addfile(entry)
    with pytest.raises(InputError, match="is missing"):
        open_dataset("ImageNet", imagenet)


def test_sheet_with_members_outside_is_read_in_memory(tmp_path: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    book.active.append(["name", "grade"])
    book.active.append(["a.tif", 2])
    path = tmp_path / "deep" / "sheet.xlsx"
    path.parent.mkdir()
    book.save(path)
    with zipfile.ZipFile(path, "a") as archive:
        for name in OUTSIDE:
            archive.writestr(name, b"x")
    before = tree(tmp_path)
    assert tables._xlsx(path) == [["name", "grade"], ["a.tif", 2]]
    assert tree(tmp_path) == before
    assert not Path("/outside").exists()


@pytest.mark.parametrize("name", ["../../etc", "/etc/passwd", "DRIVE/../x", ";rm", "x" * 300, ".."])
def test_hostile_name_is_no_dataset(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown dataset"):
        card(name)
    with pytest.raises(InputError, match="unknown dataset"):
        open_dataset(name, tmp_path)


def test_list_of_places_is_outside(tmp_path: Path) -> None:
    """What the tests above plant would land outside if it were unpacked without care."""
    folder = tmp_path / "deep" / "data"
    folder.mkdir(parents=True)
    for name in OUTSIDE:
        assert not (folder / name).resolve().is_relative_to(folder)
    assert np.unique(OUTSIDE).size == len(OUTSIDE)
