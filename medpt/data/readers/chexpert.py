"""CheXpert, small or full, reduced to two classes: 0 no finding, 1 abnormal.

The paper says "2 classes" and no rule. Here: an image in which an excluded finding is positive or uncertain
leaves; `No Finding` is class 0; another finding that is positive makes class 1 (Support Devices is no
finding); what is only uncertain, or has nothing positive, leaves. CheXpert-14 has the findings one by one
(medpt.data.readers.chexpert_findings). The end of a file's name is its view; the number is not.

train.csv is the training set; valid.csv (radiologists' labels) the test set. The hidden test set, published
later in another layout, is not read.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os.path import exists
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medpt.data.card import DatasetCard
from medpt.data.dataset import Dataset, Record, Split
from medpt.data.decode import read_grey
from medpt.data.file_tree import child, find_root, folders
from medpt.data.shared_classes import excluded_classes
from medpt.data.splits import SETS
from medpt.data.tables import csv_rows
from medpt.errors import InputError

SUBSETS: dict[str, Split] = {"train": "train", "valid": "test"}
NORMAL = "No Finding"
FINDINGS = (
    *("Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema"),
    *("Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other"),
    "Fracture",
)
POSITIVE, UNCERTAIN = {"1.0", "1"}, {"-1.0", "-1"}
VALUES = POSITIVE | UNCERTAIN | {"", "0.0", "0"}
NAME = re.compile(r"(?:.*/)?((train|valid)/(patient\d+)/study\d+/view\d+_(frontal|lateral)\.jpg)")
EXPECTED = "train.csv beside the folder train, or folders CheXpert-v1.0 batch 1 to 4"
EXAMPLE = "{}/patient00001/study1/view1_frontal.jpg"
CELLS = "1.0, 0.0, -1.0 or nothing"
BATCH = re.compile(r"CheXpert-v1\.0 batch \d", re.IGNORECASE)  # as the publisher hands the full edition out
VIEWS = {name: {"view": name} for name in ("frontal", "lateral")}  # shared: 182,013 records point at them


def open(card: DatasetCard, root: Path, exclude: Sequence[str] = excluded_classes("CheXpert")) -> Dataset:
    """Labels 0 no finding, 1 abnormal; images with a finding of `exclude`, positive or uncertain, leave.

    By default pneumonia leaves, the class shared with ChestXRay2017 (medpt.data.shared_classes).
    Consolidation and Lung Opacity are near it and stay. Raises InputError for columns, cells and paths that
    are not the publisher's, and for images that are listed but absent.
    """
    _accepted(exclude)
    top = find_root(root, is_root, EXPECTED)
    layout = find_layout(top)
    problems: list[str] = []
    excluded: dict[str, Counter[str]] = {"train": Counter(), "test": Counter()}
    records = [r for subset in SUBSETS for r in _subset(card, layout, subset, exclude, excluded, problems)]
    notes = [
        f"{top}: {count:,} images of the {SETS[split]} set excluded: {why}"
        for split, reasons in excluded.items()
        for why, count in reasons.items()
    ]
    notes += [] if child(layout.tables, "valid.csv") else [f"{layout.tables}: no valid.csv: no test set"]
    counts = {split: reasons.total() for split, reasons in excluded.items() if reasons}
    return Dataset(
        card, top, tuple(records), read, notes=tuple(notes), excluded=counts, problems=tuple(problems)
    )


def _accepted(exclude: Sequence[str]) -> None:
    names = [exclude] if isinstance(exclude, str) else exclude
    unknown = [name for name in names if name not in FINDINGS]
    if unknown or isinstance(exclude, str):
        raise InputError(f"CheXpert: exclude is {exclude!r}; accepted: a list of {', '.join(FINDINGS)}")


def is_root(folder: Path) -> bool:
    usual = child(folder, "train.csv") is not None and child(folder, "train") is not None
    return usual or any(child(batch, "train.csv") for batch in _batches(folder))


def _batches(folder: Path) -> list[Path]:
    return [inner for inner in folders(folder) if BATCH.match(inner.name)]


@dataclass(frozen=True)
class Layout:
    """Where the tables lie and, in the publisher's batches, which folder holds a training patient."""

    top: Path
    tables: Path
    patients: Mapping[str, str]

    def place(self, path: str, subset: str, patient: str) -> str:
        """The path of a table's image, relative to `top`."""
        if self.tables == self.top:
            return path
        if subset == "valid":
            return f"{self.tables.name}/{path}"
        return f"{self.patients.get(patient, self.tables.name)}/{path.removeprefix('train/')}"


def find_layout(top: Path) -> Layout:
    batches = _batches(top)
    tables = next((batch for batch in batches if child(batch, "train.csv")), None)
    if child(top, "train") or tables is None:
        return Layout(top, top, {})
    patients = {inner.name: batch.name for batch in batches for inner in folders(batch)}
    return Layout(top, tables, patients)


def _subset(
    card: DatasetCard,
    layout: Layout,
    subset: str,
    exclude: Sequence[str],
    excluded: dict[str, Counter[str]],
    problems: list[str],
) -> Iterator[Record]:
    table, top = layout.tables / f"{subset}.csv", layout.top
    if subset == "valid" and not table.is_file():
        return
    split = SUBSETS[subset]
    columns = [FINDINGS.index(name) for name in exclude]
    for line, (path, normal, *findings) in csv_rows(table, ("Path", NORMAL, *FINDINGS), problems):
        match = NAME.fullmatch(path)
        if match is None or match[2] != subset:
            problems.append(f"{table}, line {line}: {path!r}; accepted: {EXAMPLE.format(subset)}")
        elif not VALUES.issuperset(findings) or normal not in VALUES:
            strange = next(cell for cell in (normal, *findings) if cell not in VALUES)
            problems.append(f"{table}, line {line}: {strange!r}; accepted: {CELLS}")
        elif isinstance(label := _label(normal, findings, columns), str):
            excluded[split][label] += 1
        elif not exists(f"{top}/{(name := layout.place(match[1], subset, match[3]))}"):
            problems.append(f"{table}, line {line}: no image {top / name}")
        else:
            yield Record(card.name, name, match[3], match[3], None, label, None, split, VIEWS[match[4]])


def _label(normal: str, findings: list[str], columns: list[int]) -> int | str:
    """The class, or why there is none."""
    for n in columns:
        if findings[n] in POSITIVE or findings[n] in UNCERTAIN:
            return f"{FINDINGS[n]} is excluded"
    if normal in POSITIVE:
        return 0
    if not POSITIVE.isdisjoint(findings):
        return 1
    return "nothing positive" if UNCERTAIN.isdisjoint(findings) else "findings uncertain only"


def read(root: Path, record: Record) -> NDArray[np.uint8]:
    return read_grey(root / record.image_path)
