"""The rows of a user's table, or of a folder for each class where there is no table."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import nan
from pathlib import Path, PurePosixPath

from medpt.data.card import FILE, SPLIT_FOLDERS, DatasetCard
from medpt.data.tables import composed, header
from medpt.data.tables import table_rows as read_rows
from medpt.errors import InputError, did_you_mean

OTHER_NAMES = {  # what columns are called that could be meant
    "patient": (
        *("case", "caseid", "casenumber", "caseno", "pid", "mrn", "medicalrecordnumber", "recordid"),
        *("usubjid", "animalid", "studyinstanceuid", "studyuid", "accessionnumber", "visitid"),
        *("lesion", "lesionid"),  # photographed several times, which must not stand on both sides of a split
    ),
    "split": (
        *("split", "splits", "set", "fold", "subset", "partition", "phase", "usage", "dataset", "datasplit"),
        *("datasetsplit", "splitname", "splitset", "traintest", "trainortest", "trainvaltest", "cvfold"),
        *("kfold", "istest", "istrain", "istraining", "isval", "isvalidation", "test", "train"),
    ),
}
PERSON = re.compile(  # a person, and what their number is called
    r"(?:anon|anonymi[sz]ed|pseudo|pseudonymi[sz]ed|hashed|dicom|study|original)?"
    r"(?:patient(?:en|in)?|pat|subject|subj|sub|participant|person|individual|donor|volunteer|proband|animal)s?"
    r"(?:id|ids|uid|no|nr|nummer|num|number|name|code|key|hash|identifier|index)?"
)
NUMBER = re.compile(r"[+]?\d{1,15}(?:\.\d*)?(?:e[+]\d{1,2})?")  # longer ones lose digits as a float
SHORTENED = re.compile(
    r"\d[.,]\d{1,5}E[+](1[1-9]|[2-9]\d)", re.IGNORECASE
)  # as Excel shows a number of more than eleven digits
LOOK_ALIKE = str.maketrans("\u0430\u0435\u043e\u0440\u0441\u0445\u0443\u0456", "aeopcxyi")  # Cyrillic
NUMBERS = ("id", "identifier", "uid", "code", "number", "no", "nr")  # of an image or of a patient
NO_FINDING = ("no finding", "no findings", "normal", "negative")
MISSING = (
    *("", "nan", "na", "n/a", "none", "null", "unknown", "?", "-", "--", "nil", "#n/a", "missing"),
    *("<na>", "n.a.", "nat", "not available", "anonymous", "anonymized", "anonymised", "undefined"),
    *(".", "_", "#ref!", "#value!", "#name?", "#div/0!", "#null!", "#num!"),
)


@dataclass(frozen=True)
class Row:
    """One image of the table, or of the folder where there is no table; `source` is where it stands."""

    source: str
    image: str
    label: str | None = None
    findings: tuple[str, ...] | None = None  # the cells of a column for each class
    patient: str | None = None
    split: str | None = None
    mask: str | None = None


def table_rows(card: DatasetCard, table: Path, problems: list[str]) -> Iterator[Row]:
    """The rows of a table, by the names that the card gives its columns."""
    given = header(table)
    has_columns = card.task == "multilabel" and set(card.classes) <= set(
        header(table)
    )  # one for each finding
    findings = card.classes if has_columns else ()
    needed = ("image",) if card.task == "segmentation" or findings else ("image", "label")
    names = {key: card.columns.get(key, key) for key in ("image", "label", "patient", "split", "mask")}
    keys = [key for key, name in names.items() if key in needed or key in card.columns or name in given]
    if "label" not in needed:
        keys = [key for key in keys if key != "label"]
    for line, cells in read_rows(table, [*(names[key] for key in keys), *findings], problems):
        found = dict(zip(keys, cells, strict=False))
        row = Row(f"{table}, line {line}", **found)  # type: ignore[arg-type]  # all of them are text
        yield replace(row, findings=cells[len(keys) :]) if findings else row


def findings_of(row: Row, classes: Sequence[str]) -> tuple[float, ...]:
    """Return 1, 0 or nan (unknown) for each class. Raises InputError for other cells and unknown names.

    A column for each class holds 1, 0, or -1, nothing or a word for a missing value, which are unknown. A
    column with names has them separated by `|`; one of NO_FINDING stands alone.
    """
    if row.findings is not None:
        return tuple(
            _finding(cell, name, row.source) for cell, name in zip(row.findings, classes, strict=True)
        )
    classes = tuple(map(composed, classes))
    names = [composed(name.strip()) for name in (row.label or "").split("|")]
    if len(names) == 1 and names[0] not in classes and names[0].casefold() in NO_FINDING:
        return (0.0,) * len(classes)
    if unknown := [name for name in names if name not in classes]:
        accepted = did_you_mean(unknown[0], classes)
        raise InputError(f"{row.source}: label {unknown[0]!r}; {accepted}; `No Finding` for none of them")
    return tuple(float(name in names) for name in classes)


def _finding(cell: str, name: str, source: str) -> float:
    if cell in ("0", "0.0", "1", "1.0"):
        return float(cell)
    if cell in ("-1", "-1.0") or is_missing(cell):
        return nan
    raise InputError(f"{source}: {name} is {cell!r}; accepted: 1, 0, or -1 or nothing for unknown")


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
    given = header(table) if table else []
    used = {card.columns.get(key, key) for key in ("image", "label", "patient", "split", "mask")}
    problems, notes = list(_ambiguous(used, given, table)), []
    used |= set(card.classes) if card.task == "multilabel" else set()
    for key, others in OTHER_NAMES.items():
        if key in card.columns or key in given:
            continue
        for name in [name for name in given if name not in used]:
            line = f"`columns: {{{key}: {name}}}` in {FILE}"
            if key == "split" and _plain(name) in others:
                notes.append(f"{table}: the column `{name}` is not read; if it is the split, write {line}")
            elif key == "patient" and _plain(name) in NUMBERS:
                notes.append(f"{table}: the column `{name}` is not read; if it names patients, write {line}")
            elif key == "patient" and (_plain(name) in others or is_person(name)):
                other = "`columns: {patient: image}` if each image is a patient"
                problems.append(f"{table}: is the column `{name}` the patient? Write {line}, or {other}")
    return problems, notes


def _ambiguous(used: set[str], given: Sequence[str], table: Path | None) -> Iterator[str]:
    """Columns that differ from one that is read in case, spaces and punctuation alone."""
    for name in sorted(used & set(given)):
        for other in given:
            if other != name and _plain(other) == _plain(name):
                yield f"{table}: the columns `{name}` and `{other}`: which is meant? Rename or remove one"


def patient_key(name: str) -> str:
    """What the spellings of one patient have in common: 017, 17 and 17.0; P-017 and p_17; forms of a letter.

    Invisible characters are dropped. Dashes, underscores and spaces are alike. Digits of other scripts and
    letters that look like Latin ones count as the Latin ones.
    """
    text = unicodedata.normalize("NFKC", name).casefold().translate(LOOK_ALIKE)
    sign = "-" if re.fullmatch(r"\s*[-\u2212]\d+\s*", text) else ""
    text = "".join(_visible(character) for character in text).strip("'` ")
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    if NUMBER.fullmatch(text):
        text = f"{float(text):.0f}" if float(text).is_integer() else text
    return sign + re.sub(r"(?<![\d.])0+(?=\d)", "", " ".join(text.split()))


def _visible(character: str) -> str:
    kind = unicodedata.category(character)
    if kind in ("Cc", "Cf"):
        return ""
    if kind == "Nd":
        return str(unicodedata.digit(character))
    return " " if kind in ("Pd", "Pc", "Zs") else character


def is_person(column: str) -> bool:
    """Whether a column is called as a person, or as the number of one."""
    return PERSON.fullmatch(_plain(column)) is not None


def patient_problem(name: str) -> str:
    """What follows "no patient" of a cell that names none: a missing value, or a number without its end."""
    if not is_missing(name):
        text = f"{name!r} is a number that a spreadsheet has cut; export the column as text"
        return f": {text}" if SHORTENED.fullmatch(name) else ""
    text = f"{name!r} stands for a missing value; give each such patient a name of its own"
    return f": {text}" if name else " in this row; a name is accepted"


def is_missing(cell: str) -> bool:
    return cell.strip().casefold() in MISSING


def _plain(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())
