"""Cards: what is known of a dataset before a file of it is seen, built in or a user's `dataset.yaml`.

medpt/data/card_reader.py reads one. docs/own-data.md shows the format of a user's card; a built-in one has
the same keys.
"""

from collections.abc import Mapping
from dataclasses import asdict, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from medpt.schema import accepts, strict_dataclass

FILE = "dataset.yaml"
IMAGE_FOLDER = "image_folder"  # the reader of users' datasets
UNLABELLED = "ignore"  # in `values`: the unlabelled pixels
MOST_CLASSES = 250
FOLDS, MOST_FOLDS = 5, 100  # splits of a small dataset
SPLIT_FOLDERS = {  # above a folder for each class; a validation set is drawn from the training set
    **dict.fromkeys(("train", "training", "val", "valid", "validation"), "train"),
    **dict.fromkeys(("test", "testing"), "test"),
}

Modality = Literal[
    "x-ray",
    "mammography",
    "ct",
    "mri",
    "ultrasound",
    "fundus",
    "oct",
    "dermoscopy",
    "endoscopy",
    "histology",
    "natural",
]
Value = int | tuple[int, int, int]  # a grey value, or red, green and blue


@strict_dataclass
class DatasetCard:
    """What is known of a dataset; the fields are the keys of its file.

    `counts` are what the publisher reports, `paper_counts` what Table 1 of Wen et al. 2021 reports; `notes`
    explains the differences. Licences are as last seen: the publisher's page decides. `classes` is empty
    where only the original files say it; of the task multilabel, it lists the findings, of which an image can
    have any. `pipeline` replaces the modality's default. `folders` are the names that downloads have.
    `reader` and `phantom` name modules of medpt.data.readers and medpt.phantom.

    The other keys are for the reader `image_folder`. `images`, `labels` and `masks` are folders and a CSV
    file, all relative to the card's own; `columns` names the columns of that file. `values` has the grey
    value or colour of each class (and perhaps of `ignore`) in masks that do not hold class numbers. `split`
    says how often the patients are split anew, `{folds: 5}`, where the data have no test set of their own.
    `damaged` names JPEG files, relative to the card's folder, that are read although their data are damaged.
    """

    name: str = field(
        metadata=accepts(
            "a letter, then up to 39 letters, digits, and _ . -", pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,39}$"
        )
    )
    modality: Modality
    task: Literal["classification", "multilabel", "segmentation", "survival"]
    classes: tuple[str, ...] = field(metadata=accepts(f"a list of 2 to {MOST_CLASSES} names"))
    counts: Mapping[str, int] = field(
        default_factory=dict, metadata=accepts("a mapping such as {train: 80, test: 20}")
    )
    licence: str = "not stated"
    citation: str = "not stated"
    pipeline: str | None = None
    images: str | None = None
    labels: str | None = None
    masks: str | None = None
    values: Mapping[str, Value] = field(
        default_factory=dict,
        metadata=accepts("a mapping of classes to grey values (0 to 255) or colours ([red, green, blue])"),
    )
    columns: Mapping[str, str] = field(
        default_factory=dict,
        metadata=accepts("a mapping such as {image: filename, label: diagnosis, patient: patient_id}"),
    )
    bits: int | None = field(
        default=None, metadata=accepts("how many bits of 16-bit images are used: 8 to 16")
    )
    damaged: tuple[str, ...] = ()
    split: Mapping[str, int] = field(
        default_factory=dict, metadata=accepts(f"a mapping such as {{folds: {FOLDS}}}")
    )
    title: str = ""
    source: str = ""
    folders: tuple[str, ...] = ()
    paper_counts: Mapping[str, int] = field(default_factory=dict)
    official_split: bool = False
    ordinal: bool = False  # the classes are grades in their order, judged by the quadratic kappa
    evaluate_by: Literal["patient"] | None = None  # None: by image
    notes: str = ""
    reader: str = IMAGE_FOLDER
    phantom: str | None = None

    @property
    def folds(self) -> int:
        """How many random splits by patient the data are tested on."""
        return self.split.get("folds", 1)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "DatasetCard":
        """Build a card from `to_json`, also from one that version 0.3.1 stored, which has a `home`."""
        stored: Any = _tuples({key: value for key, value in values.items() if key != "home"})
        return cls(**stored)


def has_split_folders(images: Path) -> bool:
    """Whether a folder for each class stands below folders of a training and a test set."""
    found = {SPLIT_FOLDERS.get(path.name.lower()) for path in images.iterdir() if path.is_dir()}
    return {"train", "test"} <= found


@cache
def plain(name: str) -> str:
    """Return what all spellings of a dataset's name have in common."""
    return "".join(character for character in name.lower() if character.isalnum())


def _tuples(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _tuples(inner) for key, inner in value.items()}
    return tuple(value) if isinstance(value, list) else value
