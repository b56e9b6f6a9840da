"""OCT2017: retinal sections in four classes, versions 2 (OCT2017.tar.gz, Kaggle) and 3 (ZhangLabData.zip).

Version 3 is what lies in a folder `OCT` (CellData/OCT), all else is version 2; `val` was cut from `train` and
counts as train. In version 2 most test images are of patients who are in the training set too: those
patients' training images are excluded, unless asked for. A patient can be in two classes.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from medpt.data.card import DatasetCard
from medpt.data.dataset import Dataset, Record, Split
from medpt.data.file_tree import child, files, find_root, folders
from medpt.data.readers.image_files import grey_image

SUBSETS: dict[str, Split] = {"train": "train", "val": "train", "test": "test"}
NAME = re.compile(r"(CNV|DME|DRUSEN|NORMAL)-(\d+)-(\d+)\.jpe?g", re.IGNORECASE)
VERSION_2 = {"train": 83484, "test": 968}  # and 32 in val
VAL = 32


def open(card: DatasetCard, root: Path, shared: Literal["drop", "keep"] = "drop") -> Dataset:
    """Labels 0 CNV, 1 DME, 2 DRUSEN, 3 NORMAL.

    `shared="keep"` keeps training images of patients of the test set, for a random split by patient. Raises
    InputError for folders and file names that are not the publisher's.
    """
    top = find_root(root, _is_root, "train/CNV or test/CNV")
    problems: list[str] = []
    records = [record for subset in SUBSETS for record in _subset(card, top, subset, problems)]
    tested = (
        {record.patient_id for record in records if record.split == "test"} if shared == "drop" else set()
    )
    kept = tuple(r for r in records if r.split == "test" or r.patient_id not in tested)
    version, counts = _version(card, top)
    notes = [f"{top}: read as version {version}"]
    if dropped := len(records) - len(kept):
        notes.append(f"{top}: {dropped:,} training images excluded: their patients are in the test set")
    info = replace(card, counts=counts)
    return Dataset(
        info, top, kept, grey_image, notes=tuple(notes), excluded={"train": dropped}, problems=tuple(problems)
    )


def _is_root(folder: Path) -> bool:
    subsets = [child(folder, subset) for subset in SUBSETS]
    return any(subset is not None and child(subset, "CNV") is not None for subset in subsets)


def _version(card: DatasetCard, top: Path) -> tuple[int, dict[str, int]]:
    if top.name.upper() == "OCT":
        return 3, dict(card.counts)
    return 2, VERSION_2 | ({"train": VERSION_2["train"] + VAL} if child(top, "val") else {})


def _subset(card: DatasetCard, top: Path, subset: str, problems: list[str]) -> Iterator[Record]:
    folder = child(top, subset)
    if folder is None:
        return
    present = {inner.name.upper(): inner for inner in folders(folder)}
    accepted = f"accepted: {', '.join(card.classes)}"
    problems += [f"{present[name]}: not a class; {accepted}" for name in present if name not in card.classes]
    problems += [f"{folder}: no folder {name}; {accepted}" for name in card.classes if name not in present]
    prefix = len(str(top)) + 1
    for label, kind in enumerate(card.classes):
        for path in files(present[kind], ".jpeg", ".jpg") if kind in present else []:
            match = NAME.fullmatch(path.name)
            if match is None or match[1].upper() != kind:
                problems.append(
                    f"{path}: its name does not contain class and patient; accepted: {kind}-1016042-1.jpeg"
                )
                continue
            name = str(path)[prefix:].replace("\\", "/")
            yield Record(card.name, name, match[2], match[2], label=label, split=SUBSETS[subset])
