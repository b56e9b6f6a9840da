"""Datasets of the user's own: a folder of images with a card, `dataset.yaml`, and no code.

Promises: a card is read whole or refused with every problem, each with file and line; a name means one
dataset. What the card leaves to the files (rows, masks, pixels) is medpt.data.readers.image_folder's.
docs/own-data.md shows the format.
"""

import csv
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from medpt.data import catalog
from medpt.data.card import DatasetCard, Modality
from medpt.data.catalog import OWN, card, plain
from medpt.data.dataset_collections import COLLECTIONS
from medpt.data.locate import folders
from medpt.errors import InputError, did_you_mean
from medpt.files import read_json, write_json

if TYPE_CHECKING:
    from medpt.yaml_document import Document, KeyPath

FILE = "dataset.yaml"
NEEDED = ("name", "modality", "task", "classes", "images")
KEYS = (*NEEDED, "labels", "masks", "values", "pipeline", "counts", "licence", "citation")
TASKS = ("classification", "segmentation")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,39}")
TAKEN = re.compile(r"random|none|ss-.*|.*-\d+k", re.IGNORECASE)  # what space files mean by such names
UNLABELLED = "ignore"  # in `values`: the pixels that nobody labelled
MOST_CLASSES = 250
RECORDED = "datasets"  # folder of cards below a folder of results

Value = tuple[int, ...]  # a grey value, or red, green and blue


@dataclass(frozen=True)
class UserDataset:
    """A card with what its reader needs.

    Paths are of folders and files that exist. `values` gives each class (and perhaps UNLABELLED) its grey
    value or colour in the masks; empty: masks hold class ids.
    """

    card: DatasetCard
    home: Path
    images: Path
    labels: Path | None
    masks: Path | None
    values: Mapping[str, Value]


def register(data: Path) -> None:
    """Makes known to `card` what own datasets lie at `data` or up to two folders below it.

    Raises InputError with the problems of every card, and for a name that two of them give.
    """
    found: dict[str, UserDataset] = {}
    problems: list[str] = []
    for path in _cards(data):
        try:
            own = read(path)
        except InputError as error:
            problems += error.problems
            continue
        first = found.setdefault(plain(own.card.name), own)
        if first is not own:
            problems.append(
                f"{path}: the name {own.card.name} is also that of {first.home / FILE}; rename one"
            )
    if problems:
        raise InputError(problems)
    for own in found.values():
        OWN[own.card.name] = own.card


def _cards(data: Path) -> list[Path]:
    upper = folders(data) if data.is_dir() else []
    places = [data, *upper, *(inner for folder in upper for inner in folders(folder))]
    return [place / FILE for place in places if (place / FILE).is_file()]


def card_of(name: str, data: Path) -> DatasetCard:
    """The card of a dataset that is built in, or an own one at or below `data`. Raises InputError."""
    if plain(name) not in map(plain, catalog.names()):
        register(data)
    return card(name)


def record(folder: Path, names: list[str]) -> None:
    """Keeps the cards of own datasets among `names` beside the results, for reports without the data."""
    for name in names:
        if own := OWN.get(name):
            write_json(folder / RECORDED / f"{name}.json", asdict(own) | {"home": None})


def recall(folder: Path) -> None:
    """Makes known what `record` kept below `folder`, where `register` did not already."""
    for path in sorted((folder / RECORDED).glob("*.json")):
        values: dict[str, Any] = {
            key: tuple(v) if isinstance(v, list) else v for key, v in read_json(path).items()
        }
        OWN.setdefault(values["name"], DatasetCard(**values))


def read(path: Path) -> UserDataset:
    """A card. Raises InputError with every problem, each with file and line."""
    from medpt.yaml_document import Document

    return _Reader(Document(path)).own()


def header(table: Path) -> list[str]:
    """The names of a csv's columns; none where it cannot be read, which its reader complains of."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            return [name.strip() for name in next(csv.reader(file), [])]
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


class _Reader:
    """Reads one card, collecting every problem before it raises."""

    def __init__(self, document: "Document") -> None:
        self.document, self.home = document, document.path.parent
        self.problems: list[str] = []
        plain_data = document.data
        self.data: dict[str, Any] = plain_data if isinstance(plain_data, dict) else {}
        if not isinstance(plain_data, dict):
            self.problem((), "not a mapping of keys to values")

    def problem(self, place: "KeyPath", text: str) -> None:
        self.problems.append(f"{self.document.where(place)}: {text}")

    def own(self) -> UserDataset:
        for key in self.data:
            if key not in KEYS:
                self.problem((key,), f"unknown key `{key}`; {did_you_mean(key, KEYS)}")
        for key in (*NEEDED, *self.truth()):
            if self.data.get(key) is None:
                self.problem((key,), f"no `{key}`; needed: {', '.join((*NEEDED, *self.truth()))}")
        images, masks = self.path("images", Path.is_dir), self.path("masks", Path.is_dir)
        labels = self.path("labels", Path.is_file)
        if masks is not None and masks == images:
            self.problem(("masks",), "`masks` is the folder of the images; accepted: another folder")
        info = self.card(labels)
        values = self.values(info.classes)
        if self.problems:
            raise InputError(self.problems)
        assert images is not None  # noqa: S101 - its absence is a problem
        return UserDataset(info, self.home, images, labels, masks, values)

    def truth(self) -> tuple[str, ...]:
        return {"classification": ("labels",), "segmentation": ("masks",)}.get(str(self.data.get("task")), ())

    def card(self, labels: Path | None) -> DatasetCard:
        return DatasetCard(
            name=self.name(),
            title=f"{self.data.get('name')}, a dataset of the user's own",
            modality=self.one_of("modality", get_args(Modality)),
            task=self.one_of("task", TASKS),
            classes=self.classes(),
            counts=self.counts(),
            paper_counts={},
            official_split=labels is not None and "split" in header(labels),
            licence=self.text("licence") or "not stated",
            source=f"{self.home.name}/{FILE}",
            citation=self.text("citation") or "not stated",
            folders=(self.home.name,),
            notes="",
            pipeline=self.pipeline() or None,
            home=self.home,
        )

    def text(self, key: str) -> str:
        value = self.data.get(key)
        if value is not None and (not isinstance(value, str) or not value.strip()):
            self.problem((key,), f"`{key}` is {value!r}; text is accepted")
        return str(value or "").strip()

    def name(self) -> str:
        name = self.text("name")
        if not name:
            return name
        taken = {plain(known): known for known in (*catalog.names(), *COLLECTIONS)}
        if not NAME.fullmatch(name):
            accepted = "a letter, then up to 39 letters, digits, and _ . - are accepted"
            self.problem(("name",), f"`name` is {name!r}; {accepted}")
        elif plain(name) in taken or TAKEN.fullmatch(name):
            built_in = taken.get(plain(name), "a word of space files")
            self.problem(("name",), f"`name` is {name!r}, which is taken ({built_in}); choose another")
        return name

    def one_of(self, key: str, known: tuple[str, ...]) -> Any:
        value = self.data.get(key)
        if value is not None and value not in known:
            self.problem((key,), f"`{key}` is {value!r}; {did_you_mean(str(value), known)}")
        return value

    def classes(self) -> tuple[str, ...]:
        values = self.data.get("classes")
        if values is None:
            return ()
        if not isinstance(values, list) or not 2 <= len(values) <= MOST_CLASSES:
            self.problem(("classes",), f"`classes` is {values!r}; a list of 2 to {MOST_CLASSES} is accepted")
            return ()
        names = list(map(str, values))
        for n, value in enumerate(values):
            if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
                self.problem(("classes", n), f"the class {value!r}: text is accepted, so quote it")
            elif value == UNLABELLED:
                self.problem(
                    ("classes", n), f"the class {value!r}: that word stands for what nobody labelled"
                )
            elif names[n] in names[:n]:
                self.problem(("classes", n), f"the class {value!r} is given twice; keep one")
        return tuple(names)

    def counts(self) -> dict[str, int]:
        given = self.data.get("counts")
        good = isinstance(given, dict) and all(
            part in ("train", "test") and type(number) is int and number >= 0
            for part, number in given.items()
        )
        if given is not None and not good:
            self.problem(("counts",), f"`counts` is {given!r}; such as {{train: 80, test: 20}} is accepted")
        return dict(given) if isinstance(given, dict) and good else {}

    def path(self, key: str, is_there: Any) -> Path | None:
        """Of a file or folder below the card's own."""
        value = self.text(key)
        if not value:
            return None
        path = self.home / value
        if not path.resolve().is_relative_to(self.home.resolve()):
            self.problem((key,), f"`{key}` is {value!r}; a path below the folder of {FILE} is accepted")
        elif not is_there(path):
            self.problem((key,), f"`{key}` is {value!r}: no such {'file' if key == 'labels' else 'folder'}")
        return path

    def pipeline(self) -> str:
        from medpt.data.preprocess import canonical

        text = self.text("pipeline")
        try:
            return canonical(text) if text else ""
        except InputError as error:
            for problem in error.problems:
                self.problem(("pipeline",), problem)
            return ""

    def values(self, classes: tuple[str, ...]) -> dict[str, Value]:
        given = self.data.get("values")
        if given is None:
            return {}
        if not isinstance(given, dict) or self.data.get("masks") is None:
            accepted = "of classes with `masks` is accepted, such as {background: 0, vessel: 255}"
            self.problem(("values",), f"`values` is {given!r}; a mapping {accepted}")
            return {}
        found = {name: self.value(name, value) for name, value in given.items()}
        for name in given:
            if name not in (*classes, UNLABELLED):
                self.problem(("values", name), f"unknown class `{name}`; {did_you_mean(name, classes)}")
        for name in classes:
            if name not in given:
                self.problem(("values",), f"the class `{name}` has no value; every class needs one")
        self.told_apart(found)
        return found

    def value(self, name: str, value: Any) -> Value:
        parts = value if isinstance(value, list) else [value]
        if len(parts) not in (1, 3) or not all(type(part) is int and 0 <= part <= 255 for part in parts):
            accepted = "a grey value from 0 to 255, or three such for red, green and blue, is accepted"
            self.problem(("values", name), f"the value of `{name}` is {value!r}; {accepted}")
            return ()
        return tuple(parts)

    def told_apart(self, values: Mapping[str, Value]) -> None:
        first: dict[Value, str] = {}
        for name, value in values.items():
            if value and first.setdefault(value, name) != name:
                self.problem(("values", name), f"`{name}` has the value of `{first[value]}`")
        if len({len(value) for value in values.values() if value}) > 1:
            self.problem(("values",), "grey values and colours are mixed; accepted: one kind for all classes")
