"""Cards: what is known of a dataset before a file of it is seen, built in or a user's `dataset.yaml`.

A card is read completely or refused with every problem, each with file and line. docs/own-data.md shows the
format of a user's card; a built-in one has the same keys.
"""

import csv
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from medpt.errors import InputError

FILE = "dataset.yaml"
IMAGE_FOLDER = "image_folder"  # the reader of users' datasets
UNLABELLED = "ignore"  # in `values`: the pixels that nobody labelled
MOST_CLASSES = 250

Modality = Literal["x-ray", "ct", "mri", "fundus", "dermoscopy", "histology", "oct", "natural"]
Value = int | tuple[int, int, int]  # a grey value, or red, green and blue


def _accepts(text: str, **rules: Any) -> dict[str, Any]:
    return {"description": text, **rules}


@dataclass(frozen=True)
class DatasetCard:
    """What is known of a dataset; the fields are the keys of its file.

    `counts` are what the publisher reports, `paper_counts` what Table 1 of Wen et al. 2021 reports; `notes`
    explains the differences. Licences are as last seen: the publisher's page decides. `classes` is empty
    where only the original files say it. `pipeline` replaces the modality's default. `folders` are the names
    that downloads have. `reader` and `phantom` name modules of medpt.data.readers and medpt.phantom.

    `images`, `labels`, `masks` and `values` are for the reader `image_folder`: a CSV file of labels and
    folders, all relative to the card's own, and the grey value or colour of each class (and perhaps of
    `ignore`) in masks that do not hold class numbers.
    """

    __pydantic_config__: ClassVar[Any] = {"strict": True, "extra": "forbid"}

    name: str = field(
        metadata=_accepts(
            "a letter, then up to 39 letters, digits, and _ . -", pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,39}$"
        )
    )
    modality: Modality
    task: Literal["classification", "segmentation", "survival"]
    classes: tuple[str, ...] = field(metadata=_accepts(f"a list of 2 to {MOST_CLASSES} names"))
    counts: Mapping[str, int] = field(
        default_factory=dict, metadata=_accepts("a mapping such as {train: 80, test: 20}")
    )
    licence: str = "not stated"
    citation: str = "not stated"
    pipeline: str | None = None
    images: str | None = None
    labels: str | None = None
    masks: str | None = None
    values: Mapping[str, Value] = field(
        default_factory=dict,
        metadata=_accepts("a mapping of classes to grey values (0 to 255) or colours ([red, green, blue])"),
    )
    title: str = ""
    source: str = ""
    folders: tuple[str, ...] = ()
    paper_counts: Mapping[str, int] = field(default_factory=dict)
    official_split: bool = False
    notes: str = ""
    reader: str = IMAGE_FOLDER
    phantom: str | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "DatasetCard":
        """Build a card from `to_json`, also from one that version 0.3.1 stored, which has a `home`."""
        stored: Any = _tuples({key: value for key, value in values.items() if key != "home"})
        return cls(**stored)


def read_card(path: Path, taken: Collection[str] = ()) -> DatasetCard:
    """Read a card, whose name must not be one of `taken`.

    Raises InputError with every problem, each with file and line.
    """
    from medpt.data.card_checks import content_problems
    from medpt.data.preprocess import canonical
    from medpt.yaml_document import Document, validate, without

    document = Document(path)
    data = _without_nulls(document.data)
    card, problems = validate(DatasetCard, data)
    if isinstance(data, dict):
        sound = without(data, [key_path for key_path, _ in problems])
        problems += content_problems(sound, path.parent, taken)
    if card is None or problems:
        raise InputError(document.located(problems))
    card = replace(card, pipeline=card.pipeline and canonical(card.pipeline))
    return _with_defaults(card, path.parent) if card.reader == IMAGE_FOLDER else card


def columns(table: Path) -> list[str]:
    """Return the names of a CSV file's columns; none where it cannot be read, which its reader reports."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            return [name.strip() for name in next(csv.reader(file), [])]
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def _with_defaults(card: DatasetCard, home: Path) -> DatasetCard:
    """Fill in what a user's card leaves to its folder and its table."""
    return replace(
        card,
        title=card.title or f"{card.name}, a user's dataset",
        source=card.source or f"{home.name}/{FILE}",
        folders=card.folders or (home.name,),
        official_split=card.labels is not None and "split" in columns(home / card.labels),
    )


def plain(name: str) -> str:
    """Return what all spellings of a dataset's name have in common."""
    return "".join(character for character in name.lower() if character.isalnum())


def _tuples(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _tuples(inner) for key, inner in value.items()}
    return tuple(value) if isinstance(value, list) else value


def _without_nulls(data: Any) -> Any:
    """Take a key without a value as absent, and numbers among the classes as names."""
    if not isinstance(data, dict):
        return data
    data = {key: value for key, value in data.items() if value is not None}
    if isinstance(classes := data.get("classes"), list):
        data["classes"] = [str(name) if type(name) is int else name for name in classes]
    return data
