"""CheXpert with its fourteen findings as one label: each is present, absent or unknown.

A blank cell counts as absent: the labeller found no mention. An uncertain cell (-1.0) is unknown; Irvin et
al. 2019 compare other policies. The files, subsets and paths are those of medpt.data.readers.chexpert.
"""

from collections.abc import Iterator
from os.path import exists
from pathlib import Path

from medpt.data.card import DatasetCard
from medpt.data.dataset import Dataset, Record
from medpt.data.file_tree import child, find_root
from medpt.data.readers import chexpert
from medpt.data.readers.chexpert import POSITIVE, SUBSETS, UNCERTAIN, VALUES, VIEWS
from medpt.data.tables import csv_rows


def open(card: DatasetCard, root: Path) -> Dataset:
    """Return every image with 1, 0 or nan for each class of the card.

    Raises InputError for columns, cells and paths that are not the publisher's, and for images that are
    listed but missing.
    """
    top = find_root(root, chexpert.is_root, chexpert.EXPECTED)
    layout = chexpert.find_layout(top)
    problems: list[str] = []
    records = tuple(record for subset in SUBSETS for record in _subset(card, layout, subset, problems))
    notes = () if child(layout.tables, "valid.csv") else (f"{layout.tables}: no valid.csv: no test set",)
    return Dataset(card, top, records, chexpert.read, notes=notes, problems=tuple(problems))


def _subset(card: DatasetCard, layout: chexpert.Layout, subset: str, problems: list[str]) -> Iterator[Record]:
    table = layout.tables / f"{subset}.csv"
    if subset == "valid" and not table.is_file():
        return
    for line, (path, *cells) in csv_rows(table, ("Path", *card.classes), problems):
        match = chexpert.NAME.fullmatch(path)
        if match is None or match[2] != subset:
            problems.append(f"{table}, line {line}: {path!r}; accepted: {chexpert.EXAMPLE.format(subset)}")
        elif not VALUES.issuperset(cells):
            strange = next(cell for cell in cells if cell not in VALUES)
            problems.append(f"{table}, line {line}: {strange!r}; accepted: {chexpert.CELLS}")
        elif not exists(f"{layout.top}/{(name := layout.place(match[1], subset, match[3]))}"):
            problems.append(f"{table}, line {line}: no image {layout.top / name}")
        else:
            label = tuple(_value(cell) for cell in cells)
            yield Record(
                card.name, name, match[3], match[3], None, label, None, SUBSETS[subset], VIEWS[match[4]]
            )


def _value(cell: str) -> float:
    if cell in UNCERTAIN:
        return float("nan")
    return 1.0 if cell in POSITIVE else 0.0
