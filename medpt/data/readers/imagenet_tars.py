"""ImageNet ILSVRC2012 in the archives as downloaded, read in place: nothing is unpacked.

`ILSVRC2012_img_train.tar` holds one tar a wnid. `ILSVRC2012_img_val.tar` is flat, and labelled by
`ILSVRC2012_devkit_t12.tar.gz`: ILSVRC ids in the order of the sorted file names. An ILSVRC id is not a class:
the class is the rank of its wnid among the sorted wnids of the devkit, or of the inner tars where there is no
devkit. Without the devkit the validation set is excluded with a note.

Opening reads a header an image, 1.3 million for the whole set.
"""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medpt.data.card import DatasetCard
from medpt.data.dataset import Dataset, Record
from medpt.data.readers import tar
from medpt.data.reading import reading
from medpt.errors import InputError

TRAIN, VAL = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
DEVKIT = "ILSVRC2012_devkit_t12.tar.gz"
META, TRUTH = "data/meta.mat", "data/ILSVRC2012_validation_ground_truth.txt"
INNER = re.compile(r"(n\d{8})\.tar")


@dataclass(frozen=True)
class _Devkit:
    """`wnids`: of the ILSVRC ids that are classes; `truth`: the ILSVRC id of each validation image."""

    wnids: dict[int, str]
    truth: list[int]


def is_root(folder: Path) -> bool:
    return (folder / TRAIN).is_file()


def open(card: DatasetCard, top: Path) -> Dataset:
    """Raises InputError for archives that are cut short, and labels and images that do not match."""
    problems: list[str] = []
    devkit = _devkit(top / DEVKIT) if (top / DEVKIT).is_file() else None
    inner = _inner(top, problems)
    wnids = sorted(devkit.wnids.values() if devkit else inner)
    classes = {wnid: n for n, wnid in enumerate(wnids)}
    problems += [f"{top / TRAIN}!{wnid}.tar: no class of {DEVKIT}" for wnid in inner if wnid not in classes]
    records = [r for wnid in inner if wnid in classes for r in _class(card, top, inner[wnid], classes[wnid])]
    notes: tuple[str, ...] = ()
    if devkit and (top / VAL).is_file():
        records += _validation(card, top, devkit, classes, problems)
    elif (top / VAL).is_file():
        notes = (f"{top / VAL}: excluded: {DEVKIT} has its labels",)
    return Dataset(
        replace(card, classes=tuple(wnids)),
        top,
        tuple(records),
        _image,
        notes=notes,
        problems=tuple(problems),
    )


def _inner(top: Path, problems: list[str]) -> dict[str, tar.Member]:
    """wnid to the tar of its images."""
    found: dict[str, tar.Member] = {}
    for member in tar.members(top / TRAIN):
        match = INNER.fullmatch(member.name)
        if match:
            found[match[1]] = member
        else:
            problems.append(f"{top / TRAIN}!{member.name}: accepted: one tar a wnid, such as n01440764.tar")
    return found


def _class(card: DatasetCard, top: Path, inner: tar.Member, label: int) -> Iterator[Record]:
    for member in tar.members(top / TRAIN, inner):
        path = f"{TRAIN}!{inner.name}!{member.name}"
        where = {"at": member.at, "size": member.size}
        yield Record(card.name, path, path, path, label=label, split="train", meta=where)


def _validation(
    card: DatasetCard, top: Path, devkit: _Devkit, classes: dict[str, int], problems: list[str]
) -> list[Record]:
    images = sorted(tar.members(top / VAL))
    if len(images) != len(devkit.truth):
        problems.append(f"{top / VAL}: {len(images)} images; {DEVKIT} labels {len(devkit.truth)}")
        return []
    strange = sorted({number for number in devkit.truth if number not in devkit.wnids})
    problems += [f"{top / DEVKIT}: {TRUTH} has the id {number}, no class of {META}" for number in strange]
    return [
        Record(card.name, path, path, path, label=classes[devkit.wnids[number]], split="test", meta=where)
        for member, number in zip(images, devkit.truth, strict=True)
        if number in devkit.wnids
        for path, where in [(f"{VAL}!{member.name}", {"at": member.at, "size": member.size})]
    ]


def _devkit(path: Path) -> _Devkit:
    from scipy.io import loadmat

    with reading(path, f"a devkit with {META} and {TRUTH} as published"):
        files = tar.packed(path, _devkit_file)
        if missing := sorted({META, TRUTH} - files.keys()):
            raise InputError(f"{path}: {' and '.join(missing)} is missing")
        synsets = loadmat(io.BytesIO(files[META]), squeeze_me=True)["synsets"]
        leaves = synsets[synsets["num_children"] == 0]
        wnids = {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in leaves}
        return _Devkit(wnids, [int(line) for line in files[TRUTH].split()])


def _devkit_file(name: str) -> str | None:
    short = "/".join(name.split("/")[-2:])
    return short if short in (META, TRUTH) else None


def _image(root: Path, record: Record) -> NDArray[np.uint8]:
    archive, _, name = record.image_path.partition("!")
    return tar.image(root / archive, tar.Member(name, record.meta["at"], record.meta["size"]))
