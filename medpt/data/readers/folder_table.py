"""The rows of a user's table, or of a folder for each class where there is no table."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from medpt.data.card import FILE, SPLIT_FOLDERS, DatasetCard, columns
from medpt.data.readers.tables import csv_rows

OTHER_NAMES = {  # what columns are called that could be meant
    "patient": (
        *("patientid", "patientname", "patients", "subject", "subjectid", "subjects", "participant"),
        *("participantid", "person", "personid", "case", "caseid", "pid", "patientnumber", "mrn"),
    ),
    "split": ("split", "splits", "set", "fold", "subset", "partition", "phase", "usage", "dataset"),
}
MISSING = (
    "",
    "nan",
    "na",
    "n/a",
    "none",
    "null",
    "unknown",
    "?",
    "-",
    "--",
    "nil",
    "#n/a",
    "missing",
    "<na>",
)


@dataclass(frozen=True)
class Row:
    """One image of the table, or of the folder where there is no table; `source` is where it stands."""

    source: str
    image: str
    label: str | None = None
    patient: str | None = None
    split: str | None = None
    mask: str | None = None


def table_rows(card: DatasetCard, table: Path, problems: list[str]) -> Iterator[Row]:
    """The rows of a table, by the names that the card gives its columns."""
    needed = ("image", "label") if card.task == "classification" else ("image",)
    given = columns(table)
    names = {key: card.columns.get(key, key) for key in ("image", "label", "patient", "split", "mask")}
    keys = [key for key, name in names.items() if key in needed or key in card.columns or name in given]
    if card.task != "classification":
        keys = [key for key in keys if key != "label"]
    for line, cells in csv_rows(table, [names[key] for key in keys], problems):
        yield Row(f"{table}, line {line}", **dict(zip(keys, cells, strict=True)))


def folder_rows(card: DatasetCard, file: Path, images: Sequence[str]) -> Iterator[Row]:
    """A row for each image; in a classification its folder is its class, train or test above it its split."""
    for name in images:
        if card.task != "classification":
            yield Row(str(file), name)
            continue
        folders = PurePosixPath(name).parent.parts
        split = SPLIT_FOLDERS.get(folders[0].lower()) if len(folders) > 1 else None
        yield Row(
            str(file.parent / str(card.images) / name), name, folders[-1] if folders else "", split=split
        )


def unused_columns(card: DatasetCard, table: Path | None) -> tuple[list[str], list[str]]:
    """Problems and notes on columns that could be meant for a patient or a split and are not read."""
    problems, notes = [], []
    given = columns(table) if table else []
    for key, others in OTHER_NAMES.items():
        if key in card.columns or key in given:
            continue
        for name in given:
            if _plain(name) not in others:
                continue
            line = f"`columns: {{{key}: {name}}}` in {FILE}"
            if key == "split":
                notes.append(f"{table}: the column `{name}` is not read; if it is the split, write {line}")
            else:
                other = "`columns: {patient: image}` if each image is a patient"
                problems.append(f"{table}: is the column `{name}` the patient? Write {line}, or {other}")
    return problems, notes


def patient_key(name: str) -> str:
    """What the spellings of one patient have in common: 017, 17 and 17.0; composed and decomposed letters."""
    text = " ".join(unicodedata.normalize("NFKC", name).casefold().split())
    digits = text.removesuffix(".0")
    return digits.lstrip("0") or "0" if digits.isdecimal() else text


def is_missing(cell: str) -> bool:
    return cell.strip().casefold() in MISSING


def _plain(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())
