"""MURA 1.1: radiographs of the upper limb, each with its study's label: 0 normal, 1 abnormal.

The csv files have no header: the first line is data. Files come grey and RGB: all become grey. A patient of
several body parts is one patient. The hidden test set is not published.
"""

import re
from collections.abc import Iterator
from os.path import exists
from pathlib import Path

from medpt.data.card import DatasetCard
from medpt.data.dataset import Dataset, Record, Split
from medpt.data.file_tree import child, find_root
from medpt.data.readers.image_files import grey_image
from medpt.data.tables import csv_lines
from medpt.errors import InputError

SUBSETS: dict[str, Split] = {"train": "train", "valid": "test"}
BODY_PARTS = ("ELBOW", "FINGER", "FOREARM", "HAND", "HUMERUS", "SHOULDER", "WRIST")
STUDY = r"(?:.*/)?((train|valid)/XR_([A-Z]+)/(patient\d{5})/study\d+_(positive|negative))/"
IMAGE = re.compile(STUDY + r"(image\d+\.png)")
LABELLED = re.compile(STUDY)


def open(card: DatasetCard, root: Path) -> Dataset:
    """Raises InputError for lines that are not the publisher's, labels that contradict the folder's name,
    studies without a label and images that are listed but absent."""
    top = find_root(
        root, lambda folder: child(folder, "train_image_paths.csv") is not None, "train_image_paths.csv"
    )
    problems: list[str] = []
    records = [record for subset in SUBSETS for record in _subset(card, top, subset, problems)]
    missing = [subset for subset in SUBSETS if not any(record.split == SUBSETS[subset] for record in records)]
    return Dataset(
        card,
        top,
        tuple(records),
        grey_image,
        notes=tuple(f"{top}: no {subset} set" for subset in missing),
        problems=tuple(problems),
    )


def _subset(card: DatasetCard, top: Path, subset: str, problems: list[str]) -> Iterator[Record]:
    table = top / f"{subset}_image_paths.csv"
    if subset == "valid" and not table.is_file():
        return
    labels = _labels(top, subset, problems)
    for line, (path, *_) in _lines(table, problems):
        match = IMAGE.fullmatch(path)
        if match is None or match[2] != subset or match[3] not in BODY_PARTS:
            example = f"MURA-v1.1/{subset}/XR_WRIST/patient00006/study1_positive/image1.png"
            problems.append(f"{table}, line {line}: {path!r}; accepted: such as {example} (no header)")
            continue
        name = f"{match[1]}/{match[6]}"
        if match[1] not in labels:
            problems.append(f"{table}, line {line}: {match[1]} has no line in {subset}_labeled_studies.csv")
        elif not exists(f"{top}/{name}"):
            problems.append(f"{table}, line {line}: no image {top / name}")
        else:
            meta = {"body_part": match[3], "study": match[1]}
            yield Record(
                card.name, name, match[4], match[4], None, labels[match[1]], None, SUBSETS[subset], meta
            )


def _labels(top: Path, subset: str, problems: list[str]) -> dict[str, int]:
    """Study folder to label."""
    table = top / f"{subset}_labeled_studies.csv"
    labels: dict[str, int] = {}
    for line, cells in _lines(table, problems):
        match = LABELLED.fullmatch(cells[0])
        if match is None or match[2] != subset or len(cells) != 2 or cells[1] not in ("0", "1"):
            example = f"MURA-v1.1/{subset}/XR_WRIST/patient00006/study1_positive/,1"
            problems.append(
                f"{table}, line {line}: {','.join(cells)!r}; accepted: such as {example} (no header)"
            )
        elif (cells[1] == "1") != (match[5] == "positive"):
            problems.append(f"{table}, line {line}: label {cells[1]} of a study that is called {match[5]}")
        else:
            labels[match[1]] = int(cells[1])
    return labels


def _lines(table: Path, problems: list[str]) -> Iterator[tuple[int, list[str]]]:
    if not table.is_file():
        problems.append(f"{table}: no such file")
        return
    try:
        yield from csv_lines(table)
    except InputError as error:
        problems += error.problems
