"""What the columns of a table beside images are: file names, labels, patients, a split."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from medpt.data.card import MOST_CLASSES
from medpt.data.readers.folder_files import spelling, stem
from medpt.data.readers.folder_table import NO_FINDING, OTHER_NAMES, is_missing, is_person
from medpt.data.tables import table_lines
from medpt.errors import InputError

NAMED = 0.5  # share of the rows that have to name an image
LABEL_NAMES = (
    *("label", "labels", "class", "diagnosis", "dx", "target", "category", "grade", "level", "finding"),
    *("findings", "findinglabels", "outcome", "disease", "groundtruth", "y", "result", "severity", "stage"),
)
FINDING_CELLS = {"0", "1", "0.0", "1.0", "-1", "-1.0", ""}
SPLIT_CELLS = {"train", "test"}
REPEATED = 4  # a column with fewer rows for each of its values is no label, unless its name says so

Column = Sequence[str]


@dataclass(frozen=True)
class TableGuess:
    """The columns of a table by what they are; `label` is None where each class has a column of 0 and 1."""

    image: str
    rows: int
    rows_with_image: int
    label: str | None = None
    classes: tuple[str, ...] = ()
    class_rows: Mapping[str, int] = field(default_factory=dict)
    is_multilabel: bool = False
    is_label_unsure: bool = True
    patient: str | None = None
    patients: int = 0
    is_patient_unsure: bool = True
    split: str | None = None
    split_reason: str = ""
    mask: str | None = None


def read_guess(path: Path, folder: str, images: Sequence[str]) -> TableGuess | None:
    """Describe a table; None where no column names `images`, below `folder`, or it is unreadable."""
    try:
        (_, header), *lines = table_lines(path)
    except (InputError, ValueError):
        return None
    rows = [cells for _, cells in lines if len(cells) >= len(header)]
    columns = {name: [cells[n] for cells in rows] for n, name in enumerate(header) if name}
    known = {spelling(key) for name in images for key in _keys(PurePosixPath(folder).name, name)}
    named = {name: sum(spelling(cell) in known for cell in cells) for name, cells in columns.items()}
    image = max(named, key=lambda name: named[name], default=None)
    if image is None or not rows or named[image] < NAMED * len(rows):
        return None
    rest = {name: cells for name, cells in columns.items() if name != image}
    return _with_labels(_with_patients(TableGuess(image, len(rows), named[image]), rest), rest)


def _keys(folder: str, name: str) -> Iterator[str]:
    """How a table may name a file: with or without folders and suffix."""
    short = PurePosixPath(name).name
    yield from (name, stem(name), short, stem(short), f"{folder}/{name}", f"{folder}/{stem(name)}")


def _plain(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())


def _named(columns: Mapping[str, Column], names: Sequence[str]) -> str | None:
    """The column that has the first of `names` that there is."""
    by_plain = {_plain(name): name for name in reversed(list(columns))}
    return next((by_plain[name] for name in names if name in by_plain), None)


def _with_patients(guess: TableGuess, columns: Mapping[str, Column]) -> TableGuess:
    persons = [_plain(name) for name in columns if is_person(name)]
    patient = _named(columns, ("patient", *persons, *OTHER_NAMES["patient"]))
    split = _named(columns, OTHER_NAMES["split"])
    guess = replace(guess, mask=_named(columns, ("mask", "maskfile", "maskpath", "segmentation")))
    if patient:
        count, exact = len(set(columns[patient])), patient == "patient"
        guess = replace(guess, patient=patient, patients=count, is_patient_unsure=not exact)
    if split is None:
        return guess
    cells = sorted(set(columns[split]))
    if set(cells) == SPLIT_CELLS:
        return replace(guess, split=split, split_reason=f"`{split}` has train and test")
    shown = ", ".join(cells[:5])
    return replace(guess, split_reason=f"`{split}` has {shown}; it is not used (accepted: train and test)")


def _with_labels(guess: TableGuess, columns: Mapping[str, Column]) -> TableGuess:
    taken = (guess.patient, guess.split, guess.mask)
    free = {name: cells for name, cells in columns.items() if name not in taken}
    label = _named(free, LABEL_NAMES)
    findings = [
        name for name, cells in free.items() if set(cells) <= FINDING_CELLS and set(cells) & {"1", "1.0"}
    ]
    if label is None and len(findings) > 1:
        counts = {name: sum(cell in ("1", "1.0") for cell in free[name]) for name in findings}
        return replace(guess, classes=tuple(findings), class_rows=counts, is_multilabel=True)
    sure = label is not None
    label = label or next((name for name, cells in free.items() if _is_like_a_label(cells)), None)
    if label is None:
        return guess
    several = any("|" in cell for cell in free[label])
    parts = [name.strip() for cell in free[label] for name in (cell.split("|") if several else [cell])]
    counts = Counter(name for name in parts if not (several and name.casefold() in NO_FINDING))
    classes = tuple(sorted(name for name in counts if not is_missing(name)))
    if not 2 <= len(classes) <= MOST_CLASSES:
        return guess
    kept = {name: counts[name] for name in classes}
    return replace(
        guess, label=label, classes=classes, class_rows=kept, is_multilabel=several, is_label_unsure=not sure
    )


def _is_like_a_label(cells: Column) -> bool:
    """Whether a column has few values, each often, and no measured numbers."""
    values = set(cells)
    return 2 <= len(values) <= len(cells) / REPEATED and not any("." in value for value in values)
