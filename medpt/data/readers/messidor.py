"""MESSIDOR (the first): grades of retinopathy, 0 to 3, in twelve bases; the publisher's errata applied.

Images and annotations are joined by file name, wherever the bases were unpacked. Nobody says which images are
of one person, so each is its own group: a person's two eyes can be on both sides of a split.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from medpt.data.card import DatasetCard
from medpt.data.dataset import Dataset, Record
from medpt.data.file_tree import files, find_root, folders, walk
from medpt.data.readers.image_files import image
from medpt.data.tables import sheet_rows, whole_number

ANNOTATION = re.compile(r"annotation[ _]?base\d\d\.xlsx?", re.IGNORECASE)
BASE = re.compile(r"base[1-3][1-4]", re.IGNORECASE)
NAME, GRADE, OEDEMA = "Image name", "Retinopathy grade", "Risk of macular edema"
DEPARTMENT = "Ophthalmologic department"

# Errata of the publisher, 2016-08-31 and 2016-10-24: grade as first published, and as corrected.
CORRECTED = {
    "20051020_63045_0100_PP": (3, 0),
    "20051020_64007_0100_PP": (1, 3),
    "20051020_63936_0100_PP": (3, 1),
    "20060523_48477_0100_PP": (2, 3),
}
# 2017-08-16: 13 duplicates in Base33; 2018-02-09: two pairs of one image with different grades.
DUPLICATES = {
    *(
        f"20051202_{n}_0400_PP"
        for n in (54744, 40508, 41238, 41260, 54530, 55607, 41034, 54555, 54611, 55498)
    ),
    *(f"20051205_{n}_0400_PP" for n in (33025, 35099, 35110)),
}
CONTRADICTORY = {
    *(f"20051202_{n}_0400_PP" for n in (55562, 54611, 55626)),
    *(f"20051205_{n}_0400_PP" for n in (33025,)),
}


def open(card: DatasetCard, root: Path, errata: bool = True) -> Dataset:
    """Labels 0..3; the risk of macular oedema, 0..2, is in `meta`.

    With `errata` four grades are corrected (where the table still has the old one), and 15 duplicate or
    contradictory images excluded: 1,185 of 1,200. Without, the data are as the paper had them. Raises
    InputError for tables that cannot be read, grades out of range, and where images and rows differ.
    """
    top = find_root(root, _is_root, "Annotation_Base11.xls or a folder Base11")
    problems: list[str] = []
    images = _images(top, problems)
    records: dict[str, Record] = {}
    corrected = 0
    for place, row in _annotations(top, problems):
        name = Path(str(row[NAME]).strip()).stem
        grade, oedema = whole_number(row[GRADE]), whole_number(row[OEDEMA])
        if grade is None or grade not in range(4) or oedema not in range(3):
            problems.append(
                f"{place}: grade {row[GRADE]!r}, oedema {row[OEDEMA]!r}; accepted: 0 to 3, 0 to 2"
            )
        elif name in records or name not in images:
            what = f"{name} a second time" if name in records else f"no image {name}.tif"
            problems.append(f"{place}: {what}")
        else:
            if errata and name in CORRECTED and grade == CORRECTED[name][0]:
                grade, corrected = CORRECTED[name][1], corrected + 1
            records[name] = _record(card, images[name], grade, oedema, row)
    if not problems:
        problems += [
            f"{top / path}: in no annotation" for name, path in images.items() if name not in records
        ]
    dropped = (DUPLICATES | CONTRADICTORY) & records.keys() if errata else set()
    kept = sorted((r for name, r in records.items() if name not in dropped), key=lambda record: record.id)
    note = f"{top}: errata: {corrected} grades corrected, {len(dropped)} duplicate images excluded"
    return Dataset(
        card,
        top,
        tuple(kept),
        image,
        notes=(note,) * errata,
        excluded={"train": len(dropped)},
        problems=tuple(problems),
    )


def _is_root(folder: Path) -> bool:
    return any(BASE.fullmatch(inner.name) for inner in folders(folder)) or any(
        ANNOTATION.fullmatch(path.name) for path in files(folder)
    )


def _images(top: Path, problems: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in walk(top):
        path = Path(entry.path)
        if path.suffix.lower() in (".tif", ".tiff"):
            name = path.relative_to(top).as_posix()
            if found.setdefault(path.stem, name) != name:
                problems.append(f"{path}: also at {top / found[path.stem]}; keep one")
    return found


def _annotations(top: Path, problems: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    paths = [Path(entry.path) for entry in walk(top) if ANNOTATION.fullmatch(entry.name)]
    if not paths:
        problems.append(f"{top}: no Annotation_BaseNN.xls; they hold the grades")
    for path in paths:
        for number, row in sheet_rows(path, (NAME, GRADE, OEDEMA), problems):
            yield f"{path}, row {number}", row


def _record(card: DatasetCard, path: str, grade: int, oedema: int | None, row: dict[str, Any]) -> Record:
    meta = {"oedema": oedema}
    if row.get(DEPARTMENT):
        meta["department"] = row[DEPARTMENT]
    name = Path(path).stem
    return Record(card.name, path, name, name, label=grade, meta=meta)
