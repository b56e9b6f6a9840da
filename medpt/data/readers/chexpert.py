"""CheXpert, small or full, reduced to two classes: 0 no finding, 1 abnormal.

The paper says "2 classes" and no rule. Here: an image in which an excluded finding is positive or uncertain
leaves; `No Finding` is class 0; another finding that is positive makes class 1 (Support Devices is no
finding); what is only uncertain, or has nothing positive, leaves. The labels of the 12 findings one by one
are not read: a record has one label. Views are told by the file name's end, not by its number.

train.csv is the training part; valid.csv (radiologists' labels) the test part. The hidden test set, published
later in another layout, is not read.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from os.path import exists
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medpt.data.card import DatasetCard
from medpt.data.dataset import Dataset, Record, Split
from medpt.data.decode import read_grey
from medpt.data.locate import child, find_root
from medpt.data.readers.tables import csv_rows
from medpt.data.shared_classes import excluded
from medpt.errors import InputError

PARTS: dict[str, Split] = {"train": "train", "valid": "test"}
NORMAL = "No Finding"
FINDINGS = (
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
)
POSITIVE, UNCERTAIN = {"1.0", "1"}, {"-1.0", "-1"}
VALUES = POSITIVE | UNCERTAIN | {"", "0.0", "0"}
NAME = re.compile(r"(?:.*/)?((train|valid)/(patient\d+)/study\d+/view\d+_(frontal|lateral)\.jpg)")
VIEWS = {name: {"view": name} for name in ("frontal", "lateral")}  # shared: 182,013 records point at them


def open(card: DatasetCard, root: Path, exclude: Sequence[str] = excluded("CheXpert")) -> Dataset:
    """Labels 0 no finding, 1 abnormal; images with a finding of `exclude`, positive or uncertain, leave.

    By default pneumonia leaves, the class shared with ChestXRay2017 (medpt.data.shared_classes).
    Consolidation and Lung Opacity are near it and stay. Raises InputError for columns, cells and paths that
    are not the owner's, and for images that are listed but absent.
    """
    _accepted(exclude)
    top = find_root(root, _is_root, "train.csv beside the folder train")
    problems: list[str] = []
    left_out: dict[str, Counter[str]] = {"train": Counter(), "test": Counter()}
    records = [r for part in PARTS for r in _part(card, top, part, exclude, left_out, problems)]
    remarks = [
        f"{top}: {count:,} images of the {split} part left out: {why}"
        for split, reasons in left_out.items()
        for why, count in reasons.items()
    ]
    remarks += [] if child(top, "valid.csv") else [f"{top}: no valid.csv: no test part"]
    counts = {split: reasons.total() for split, reasons in left_out.items() if reasons}
    return Dataset(
        card, top, tuple(records), _image, remarks=tuple(remarks), left_out=counts, problems=tuple(problems)
    )


def _accepted(exclude: Sequence[str]) -> None:
    names = [exclude] if isinstance(exclude, str) else exclude
    unknown = [name for name in names if name not in FINDINGS]
    if unknown or isinstance(exclude, str):
        raise InputError(f"CheXpert: exclude is {exclude!r}; accepted: a list of {', '.join(FINDINGS)}")


def _is_root(folder: Path) -> bool:
    return child(folder, "train.csv") is not None and child(folder, "train") is not None


def _part(
    card: DatasetCard,
    top: Path,
    part: str,
    exclude: Sequence[str],
    left_out: dict[str, Counter[str]],
    problems: list[str],
) -> Iterator[Record]:
    table = top / f"{part}.csv"
    if part == "valid" and not table.is_file():
        return
    split = PARTS[part]
    excluded = [FINDINGS.index(name) for name in exclude]
    for line, (path, normal, *findings) in csv_rows(table, ("Path", NORMAL, *FINDINGS), problems):
        match = NAME.fullmatch(path)
        if match is None or match[2] != part:
            problems.append(
                f"{table}, line {line}: {path!r}; accepted: {part}/patient00001/study1/view1_frontal.jpg"
            )
        elif not VALUES.issuperset(findings) or normal not in VALUES:
            strange = next(cell for cell in (normal, *findings) if cell not in VALUES)
            problems.append(f"{table}, line {line}: {strange!r}; accepted: 1.0, 0.0, -1.0 or nothing")
        elif isinstance(label := _label(normal, findings, excluded), str):
            left_out[split][label] += 1
        elif not exists(f"{top}/{match[1]}"):
            problems.append(f"{table}, line {line}: no image {top / match[1]}")
        else:
            yield Record(card.name, match[1], match[3], match[3], None, label, None, split, VIEWS[match[4]])


def _label(normal: str, findings: list[str], excluded: list[int]) -> int | str:
    """The class, or why there is none."""
    for n in excluded:
        if findings[n] in POSITIVE or findings[n] in UNCERTAIN:
            return f"{FINDINGS[n]} is excluded"
    if normal in POSITIVE:
        return 0
    if not POSITIVE.isdisjoint(findings):
        return 1
    return "nothing positive" if UNCERTAIN.isdisjoint(findings) else "findings uncertain only"


def _image(root: Path, record: Record) -> NDArray[np.uint8]:
    return read_grey(root / record.image_path)
