"""ImageNet ILSVRC2012 with one folder a class: `train/<wnid>/*.JPEG` and, if there, `val/<wnid>/*.JPEG`.

A class is the rank of its wnid among the sorted wnids of `wnids_sorted_1000.txt` (one a line; torchvision's
order) if that file is there, else among the folders of `train`. The validation set is the test set; a flat
`val` has no labels in its names and is excluded with a note. JPEGs in CMYK and the PNG named .JPEG are
decoded as what they are. Where the publisher's archives lie instead of `train`, they are read as they are.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from medpt.data.card import DatasetCard
from medpt.data.dataset import Dataset, Record, Split
from medpt.data.file_tree import child, files, find_root, folders
from medpt.data.readers import imagenet_tars
from medpt.data.readers.image_files import image
from medpt.data.reading import read_text

STANDARD = "wnids_sorted_1000.txt"
SUBSETS: dict[str, Split] = {"train": "train", "val": "test"}
WNID = re.compile(r"n\d{8}")


def open(card: DatasetCard, root: Path) -> Dataset:
    """Raises InputError for folders that are no class and lines of wnids_sorted_1000.txt that are no wnid."""
    expected = f"train/<wnid>, such as train/n01440764, or {imagenet_tars.TRAIN}"
    top = find_root(root, lambda folder: _is_root(folder) or imagenet_tars.is_root(folder), expected)
    if not _is_root(top):
        return imagenet_tars.open(card, top)
    problems: list[str] = []
    classes = _classes(top, problems)
    records = [record for subset in SUBSETS for record in _subset(card, top, subset, classes, problems)]
    flat = top / "val"
    notes = ("a flat val folder has no labels: excluded",) if flat.is_dir() and files(flat, ".jpeg") else ()
    return Dataset(
        replace(card, classes=tuple(classes)),
        top,
        tuple(records),
        image,
        notes=notes,
        problems=tuple(problems),
    )


def _is_root(folder: Path) -> bool:
    train = child(folder, "train")
    return (
        train is not None and train.is_dir() and any(WNID.fullmatch(inner.name) for inner in folders(train))
    )


def _classes(top: Path, problems: list[str]) -> dict[str, int]:
    """wnid to class."""
    path = top / STANDARD
    if not path.is_file():
        return {name: n for n, name in enumerate(sorted(folder.name for folder in folders(top / "train")))}
    wnids = read_text(path).split()
    problems += [
        f"{path}, line {n}: {w!r} is no wnid" for n, w in enumerate(wnids, 1) if not WNID.fullmatch(w)
    ]
    if len(set(wnids)) != len(wnids) or wnids != sorted(wnids):
        problems.append(f"{path}: wnids are not sorted, or not distinct")
    return {wnid: n for n, wnid in enumerate(wnids)}


def _subset(
    card: DatasetCard, top: Path, subset: str, classes: dict[str, int], problems: list[str]
) -> Iterator[Record]:
    folder = top / subset
    for inner in folders(folder) if folder.is_dir() else []:
        if inner.name not in classes or not WNID.fullmatch(inner.name):
            problems.append(
                f"{inner}: no class; accepted: a wnid such as n01440764, of {STANDARD} or of train"
            )
            continue
        for path in files(inner, ".jpeg", ".jpg"):
            name = path.relative_to(top).as_posix()
            yield Record(card.name, name, name, name, label=classes[inner.name], split=SUBSETS[subset])
