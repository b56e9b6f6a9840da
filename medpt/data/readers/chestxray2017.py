"""ChestXRay2017: `<subset>/<class>/<name>.jpeg`, in the trees of Mendeley version 2, version 3 and Kaggle.

Kaggle's `val` was cut from `train` and counts as train. Files are grey, 283 of them stored as RGB: all become
grey. Numbers of persons restart in each folder, so patients are identified by subset and class too; a
normal case of series `IM` and one of `NORMAL2-IM` with the same number count as one patient, because nothing
says that they are two.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from medpt.data.card import DatasetCard
from medpt.data.dataset import Dataset, Record, Split
from medpt.data.file_tree import child, files, find_root, folders
from medpt.data.readers.image_files import grey_image

SUBSETS: dict[str, Split] = {"train": "train", "val": "train", "test": "test"}
NAMES = {
    "NORMAL": re.compile(r"(?:NORMAL2-)?IM-(?P<person>\d+)-|NORMAL-(?P<person3>\d+)-", re.IGNORECASE),
    "PNEUMONIA": re.compile(
        r"person(?P<person>\d+)_(?P<cause>bacteria|virus)_|(?P<cause3>BACTERIA|VIRUS)-(?P<person3>\d+)-",
        re.IGNORECASE,
    ),
}
EXAMPLES = {"NORMAL": "IM-0115-0001.jpeg", "PNEUMONIA": "person12_virus_45.jpeg"}


def open(card: DatasetCard, root: Path) -> Dataset:
    """Labels 0 NORMAL, 1 PNEUMONIA. Raises InputError for folders and file names that are not the
    publisher's."""
    top = find_root(root, _is_root, "train/PNEUMONIA or test/PNEUMONIA")
    problems: list[str] = []
    records = [record for subset in SUBSETS for record in _subset(card, top, subset, problems)]
    missing = [
        subset for subset in ("train", "test") if not any(record.split == subset for record in records)
    ]
    notes = tuple(f"{top}: no {subset} set" for subset in missing)
    return Dataset(card, top, tuple(records), grey_image, notes=notes, problems=tuple(problems))


def _is_root(folder: Path) -> bool:
    subsets = [child(folder, subset) for subset in SUBSETS]
    return any(subset is not None and child(subset, "PNEUMONIA") is not None for subset in subsets)


def _subset(card: DatasetCard, top: Path, subset: str, problems: list[str]) -> Iterator[Record]:
    folder = child(top, subset)
    if folder is None:
        return
    present = {inner.name.upper(): inner for inner in folders(folder)}
    expected = f"accepted: {' and '.join(card.classes)}"
    problems += [f"{present[name]}: not a class; {expected}" for name in present if name not in card.classes]
    problems += [f"{folder}: no folder {name}; {expected}" for name in card.classes if name not in present]
    for label, name in enumerate(card.classes):
        for path in files(present[name], ".jpeg", ".jpg") if name in present else []:
            match = NAMES[name].match(path.name)
            if match is None:
                problems.append(
                    f"{path}: its name does not contain the patient; accepted: as published, {EXAMPLES[name]}"
                )
            else:
                yield _record(card, path.relative_to(top).as_posix(), subset, label, match)


def _record(card: DatasetCard, path: str, subset: str, label: int, match: re.Match[str]) -> Record:
    found = match.groupdict()
    split = SUBSETS[subset]
    patient = f"{split}/{card.classes[label]}/{int(found['person'] or found['person3'])}"
    cause = found.get("cause") or found.get("cause3")
    meta = {"cause": cause.lower()} if cause else {}
    return Record(card.name, path, patient, patient, label=label, split=split, meta=meta)
