"""EyePACS (Kaggle 2015), labelled training set: diabetic retinopathy, grades 0 to 4.

Both eyes of a person are one patient. A few published images are black: they are images all the same. The
paper pre-trains on this subset alone; Kaggle's test set is not read.
"""

import re
from pathlib import Path

from medpt.data.card import DatasetCard
from medpt.data.dataset import Dataset, Record
from medpt.data.file_tree import child, find_root, walk
from medpt.data.readers.image_files import image
from medpt.data.tables import csv_rows

TRUTH = "trainLabels.csv"
NAME = re.compile(r"(\d+)_(left|right)")
GRADES = {str(grade): grade for grade in range(5)}


def open(card: DatasetCard, root: Path) -> Dataset:
    """Labels 0..4. Raises InputError for rows that are not the publisher's, and where images and rows
    differ."""
    top = find_root(root, lambda folder: child(folder, TRUTH) is not None, TRUTH)
    problems: list[str] = []
    images = _images(top, problems)
    records: dict[str, Record] = {}
    for line, (name, level) in csv_rows(top / TRUTH, ("image", "level"), problems):
        place = f"{top / TRUTH}, line {line}"
        match = NAME.fullmatch(name)
        if match is None or level not in GRADES or name in records:
            problems.append(
                f"{place}: {name},{level}; accepted: such as 10_left,0 (level 0 to 4), each image once"
            )
        elif name not in images:
            problems.append(f"{place}: no image {top / 'train' / name}.jpeg")
        else:
            meta = {"eye": match[2]}
            records[name] = Record(
                card.name, images[name], match[1], match[1], label=GRADES[level], meta=meta
            )
    if not problems:
        problems += [f"{top / path}: not in {TRUTH}" for name, path in images.items() if name not in records]
    return Dataset(
        card,
        top,
        tuple(sorted(records.values(), key=lambda record: record.id)),
        image,
        problems=tuple(problems),
    )


def _images(top: Path, problems: list[str]) -> dict[str, str]:
    folder = child(top, "train")
    if folder is None or not folder.is_dir():
        problems.append(f"{top / 'train'}: no such folder")
        return {}
    prefix = len(str(top)) + 1
    paths = (entry.path[prefix:].replace("\\", "/") for entry in walk(folder))
    return {Path(path).stem: path for path in paths if path.lower().endswith((".jpeg", ".jpg"))}
