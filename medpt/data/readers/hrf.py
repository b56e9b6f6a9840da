"""HRF: 45 fundus photographs of 3504x2336 pixels with vessels and fields of view.

Read as all.zip unpacks (images, manual1, mask) and as the nine archives do, which have no folder inside:
files are known by their names. There is no official split. Resized to 256 pixels most vessels vanish; so it
is in the paper.
"""

import re
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medpt.data.card import DatasetCard
from medpt.data.dataset import Dataset, Reader, Record
from medpt.data.decode import read_grey
from medpt.data.file_tree import files, find_root, folders, walk
from medpt.data.readers.image_files import bright_mask, image
from medpt.errors import InputError

KINDS = {
    "image": re.compile(r"(\d\d_(?:h|g|dr))\.jpg", re.IGNORECASE),
    "vessels": re.compile(r"(\d\d_(?:h|g|dr))\.tif", re.IGNORECASE),
    "view": re.compile(r"(\d\d_(?:h|g|dr))_mask\.tif", re.IGNORECASE),
}
NAMES = {"image": "{}.jpg", "vessels": "{}.tif", "view": "{}_mask.tif"}
OUTSIDE = "outside the field of view"


def open(card: DatasetCard, root: Path, classes: Literal[2, 3] = 2) -> Dataset:
    """Masks 0 background, 1 vessel; with `classes=3` also 2 outside the field of view.

    Table 1 counts three classes and does not say which; the paper's task is the vessels. Raises InputError
    for an image without vessels or field of view, and for either without an image.
    """
    top = find_root(root, _is_root, "01_h.jpg and 01_h.tif, such as in images and manual1")
    problems: list[str] = []
    found = {kind: _named(top, pattern, problems) for kind, pattern in KINDS.items()}
    everyone = sorted(set().union(*found.values()))
    problems += [
        f"{top}: {name} has no {kind}, {NAMES[kind].format(name)}"
        for name in everyone
        for kind in KINDS
        if name not in found[kind]
    ]
    complete = [name for name in everyone if all(name in names for names in found.values())]
    records = tuple(_record(card, name, {kind: found[kind][name] for kind in KINDS}) for name in complete)
    info = card if classes == 2 else replace(card, classes=(*card.classes, OUTSIDE))
    mask: Reader = bright_mask if classes == 2 else _vessels_and_view
    return Dataset(info, top, records, image, mask, problems=tuple(problems))


def _is_root(folder: Path) -> bool:
    names = [path.name for place in (folder, *folders(folder)) for path in files(place, ".jpg", ".tif")]
    return all(any(KINDS[kind].fullmatch(name) for name in names) for kind in ("image", "vessels"))


def _named(top: Path, pattern: re.Pattern[str], problems: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in walk(top):
        match = pattern.fullmatch(entry.name)
        if match:
            path = Path(entry.path).relative_to(top).as_posix()
            if found.setdefault(match[1].lower(), path) != path:
                problems.append(f"{entry.path}: also at {top / found[match[1].lower()]}; keep one")
    return found


def _record(card: DatasetCard, name: str, paths: dict[str, str]) -> Record:
    patient = f"HRF-{name}"
    view = {"field_of_view": paths["view"]}
    return Record(card.name, paths["image"], patient, patient, mask_path=paths["vessels"], meta=view)


def _vessels_and_view(root: Path, record: Record) -> NDArray[np.uint8]:
    vessels = bright_mask(root, record)
    outside = read_grey(root / record.meta["field_of_view"]) < 128
    if outside.shape != vessels.shape:
        raise InputError(
            f"{root / record.meta['field_of_view']}: shape {outside.shape}; its vessels have {vessels.shape}"
        )
    return np.where(outside & (vessels == 0), np.uint8(2), vessels)
