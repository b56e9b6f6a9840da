"""STARE by diagnosis: 15 codes, 0 normal, 1 to 13 named, 14 any other.

An image has one to three codes, the paper one head of 15 classes: the label is the first code, and `meta` has
all. Codes above 14, of a longer list that one of the publisher's systems used, count as 14.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medpt.data.card import DatasetCard
from medpt.data.dataset import Dataset, Record
from medpt.data.file_tree import child, find_root
from medpt.data.readers import stare
from medpt.data.reading import MAX_TEXT, read_bytes
from medpt.errors import InputError

CODES = "all-mg-codes.txt"
OTHER = 14


def open(card: DatasetCard, root: Path) -> Dataset:
    """Labels 0..14. Notes count images without a code and codes without an image, which are excluded.

    Raises InputError for lines of all-mg-codes.txt that are not `<id> TAB <codes> TAB <text>`.
    """
    top = find_root(root, lambda folder: _table(folder) is not None, CODES)
    problems: list[str] = []
    codes = dict(_codes(_table(top) or top / CODES, problems))
    if problems:
        raise InputError(problems)
    images = next(iter(stare.photographs(top)), {})
    records = [_record(card, name, images[name], codes[name]) for name in sorted(images.keys() & codes)]
    return Dataset(card, top, tuple(records), _image, notes=tuple(_notes(top, images, codes)))


def _table(folder: Path) -> Path | None:
    return child(folder, CODES) or child(folder / "diagnoses", CODES)


def _codes(path: Path, problems: list[str]) -> Iterator[tuple[str, list[int]]]:
    seen: set[str] = set()
    for line, text in enumerate(read_bytes(path, MAX_TEXT).decode("latin-1").splitlines(), 1):
        name, *cells = text.strip().split("\t")
        codes = cells[0].split() if cells else []
        if not codes or not all(re.fullmatch("[0-9]{1,4}", code) for code in codes) or name in seen:
            problems += [
                f"{path}, line {line}: {text!r}; accepted: im0001<TAB>13 14<TAB>text, each id once"
            ] * bool(text.strip())
            continue
        seen.add(name)
        yield name.lower(), [int(code) for code in codes]


def _record(card: DatasetCard, name: str, path: str, codes: list[int]) -> Record:
    known = [min(code, OTHER) for code in codes]
    return Record(card.name, path, name, name, label=known[0], meta={"codes": known})


def _notes(top: Path, images: dict[str, str], codes: dict[str, list[int]]) -> Iterator[str]:
    if alone := sorted(images.keys() - codes):
        yield f"{top}: {len(alone)} images without a code excluded, first {alone[0]}"
    if alone := sorted(codes.keys() - images):
        yield f"{top}: {len(alone)} codes without an image, first {alone[0]}"
    if above := sorted(name for name in images.keys() & codes if max(codes[name]) > OTHER):
        yield f"{top}: codes above {OTHER} count as {OTHER} (other) in {len(above)} images, first {above[0]}"


def _image(root: Path, record: Record) -> NDArray[np.uint8]:
    return stare.read(root / record.image_path)
