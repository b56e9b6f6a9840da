"""ISIC 2019, training set: images named by a one-hot csv, grouped by lesion.

2,074 files are named `<id>_downsampled.jpg`. Images that share a `lesion_id` are one group; an image without
one is its own. The published test images have no labels and are not read.
"""

from collections.abc import Iterator
from pathlib import Path

from medpt.data.card import DatasetCard
from medpt.data.dataset import Dataset, Record
from medpt.data.file_tree import child, find_root, walk
from medpt.data.readers.image_files import image
from medpt.data.tables import csv_rows, header

TRUTH = "ISIC_2019_Training_GroundTruth.csv"
METADATA = "ISIC_2019_Training_Metadata.csv"
IMAGES = "ISIC_2019_Training_Input"
KEPT = ("age_approx", "anatom_site_general", "sex")


def open(card: DatasetCard, root: Path) -> Dataset:
    """Labels 0..8 in the order of the csv's columns (8, UNK, has no image).

    Raises InputError for missing columns, rows that are not one-hot, ids given twice and images that are
    absent.
    """
    top = find_root(root, lambda folder: child(folder, TRUTH) is not None, TRUTH)
    problems: list[str] = []
    metadata = {row["image"]: row for _, row in _rows(top, METADATA, ("image", "lesion_id"), problems)}
    images = _images(top, problems)
    records: list[Record] = []
    for line, row in _rows(top, TRUTH, ("image", *card.classes), problems):
        label = _label(row, card.classes)
        path = (
            images.get(row["image"])
            or images.get(f"{row['image']}_downsampled")
            or images.get(row["image"].removesuffix("_downsampled"))
        )
        if label is None:
            problems.append(
                f"{top / TRUTH}, line {line}: {row['image']} is not one-hot; accepted: one 1, else 0"
            )
        elif path is None:
            problems.append(f"{top / TRUTH}, line {line}: no image {row['image']}.jpg in {top / IMAGES}")
        else:
            records.append(_record(card, path, row["image"], label, metadata.get(row["image"], {})))
    return Dataset(
        card, top, tuple(sorted(records, key=lambda record: record.id)), image, problems=tuple(problems)
    )


def _rows(
    top: Path, name: str, columns: tuple[str, ...], problems: list[str]
) -> Iterator[tuple[int, dict[str, str]]]:
    path = child(top, name)
    if path is None:
        problems.append(f"{top / name}: no such file")
        return
    seen: set[str] = set()
    optional = [column for column in header(path) if column in KEPT and column not in columns]
    for line, cells in csv_rows(path, (*columns, *optional), problems):
        row = dict(zip((*columns, *optional), cells, strict=True))
        if row["image"] in seen:
            problems.append(f"{path}, line {line}: {row['image']} a second time")
        else:
            yield line, row
        seen.add(row["image"])


def _images(top: Path, problems: list[str]) -> dict[str, str]:
    folder = child(top, IMAGES)
    if folder is None:
        problems.append(f"{top / IMAGES}: no such folder")
        return {}
    paths = (Path(entry.path) for entry in walk(folder))
    return {path.stem: path.relative_to(top).as_posix() for path in paths if path.suffix.lower() == ".jpg"}


def _label(row: dict[str, str], classes: tuple[str, ...]) -> int | None:
    try:
        values = [float(row[name]) for name in classes]
    except ValueError:
        return None
    return values.index(1.0) if sorted(values) == [0.0] * (len(values) - 1) + [1.0] else None


def _record(card: DatasetCard, path: str, name: str, label: int, row: dict[str, str]) -> Record:
    group = row.get("lesion_id") or f"IMG:{name}"
    meta = {key: row[key] for key in KEPT if row.get(key)}
    return Record(card.name, path, group, group, label=label, meta=meta)
