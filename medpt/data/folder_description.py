"""What a folder of images is, as far as its names, its table and a sample of its files say.

`describe_folder` guesses what a card has to say and keeps, for each guess, why it was made and whether a
person has to confirm it. medpt.data.card_draft writes a card of it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from medpt.data.card import MOST_CLASSES, SPLIT_FOLDERS, Modality, Value
from medpt.data.file_tree import walk
from medpt.data.folder_guesses import Guess, guess_modality
from medpt.data.folder_masks import MaskClasses, sample_masks
from medpt.data.folder_tables import TableGuess, read_guess
from medpt.data.readers.folder_files import PICTURES, image_of_mask, is_dicom, stem
from medpt.data.readers.folder_volumes import is_volume
from medpt.errors import InputError

Layout = Literal["class folders", "table", "images and masks"]
Task = Literal["classification", "multilabel", "segmentation"]
TABLES = (".csv", ".tsv", ".txt", ".xlsx", ".xls")
MASK_FOLDERS = ("mask", "seg", "label", "annotation", "truth", "gt", "manual", "contour")
SAMPLE = 50  # file names whose words are looked at
PAIRED = 0.9  # share of the images that have to have a mask of their name


@dataclass(frozen=True)
class FolderDescription:
    """What a card of the folder `home` has to say; paths are relative to it.

    `images_found` counts image files, `class_images` those of each class where a table or folders say it,
    `patients` distinct patients where a column names them. `has_split` says whether folders or a column give
    a training and a test set. `guesses` has a reason for each key of the card. `values` is empty where masks
    hold class numbers.
    """

    home: Path
    layout: Layout
    task: Task
    modality: Modality
    classes: tuple[str, ...]
    images: str
    images_found: int
    guesses: Mapping[str, Guess]
    labels: str | None = None
    masks: str | None = None
    values: Mapping[str, Value] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    class_images: Mapping[str, int] = field(default_factory=dict)
    patients: int | None = None
    has_split: bool = False

    @property
    def unsure(self) -> tuple[str, ...]:
        """What a person has to confirm: "key: reason" of each guess that is unsure."""
        return tuple(f"{key}: {guess.reason}" for key, guess in self.guesses.items() if guess.unsure)


@dataclass(frozen=True)
class _Found:
    """The files of a folder, as paths relative to it."""

    home: Path
    images: tuple[str, ...]
    tables: tuple[str, ...]
    others: tuple[str, ...]


def describe_folder(home: Path) -> FolderDescription:
    """Describe a folder of images with masks, with a table of labels, or with a folder for each class.

    Files are listed, tables are read, and a sample of masks and images is decoded. Raises InputError with
    what was found and what is accepted where the folder is none of these.
    """
    found = _find(home)
    if not found.images:
        raise InputError(f"{home}: no image; found: {_shown(found.others) or 'nothing'}; {ACCEPTED}")
    described = _masked(found) or _tabled(found) or _class_folders(found)
    if described is None:
        tables = f", tables: {_shown(found.tables)}" if found.tables else ", no table"
        text = f"{len(found.images):,} images, such as {_shown(found.images)}{tables}"
        raise InputError(f"{home}: {text}; {ACCEPTED}")
    return _with_modality(described, found)


ACCEPTED = (
    "accepted: a folder for each class; a table (CSV, TSV, Excel) with a column of file names and one of "
    "labels; a folder of images beside a folder of masks with the same names"
)


def _find(home: Path) -> _Found:
    if not home.is_dir():
        raise InputError(f"{home}: no such folder")
    images, tables, others = list[str](), list[str](), list[str]()
    for entry in walk(home):
        name = Path(entry.path).relative_to(home).as_posix()
        lower = name.lower()
        if lower.endswith(PICTURES) or is_volume(name) or is_dicom(entry.path):
            images.append(name)
        else:
            (tables if lower.endswith(TABLES) else others).append(name)
    return _Found(home, tuple(images), tuple(tables), tuple(others))


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:3])


def _masked(found: _Found) -> FolderDescription | None:
    """Images with masks: two folders whose files have the same names, of which one has a mask's name."""
    folders = dict.fromkeys(parent for name in found.images for parent in _parents(name))
    for masks in folders:
        if not any(word in PurePosixPath(masks).name.lower() for word in MASK_FOLDERS):
            continue
        for images in folders:
            inside = PurePosixPath(masks).is_relative_to(images) or PurePosixPath(images).is_relative_to(
                masks
            )
            if not inside and _paired(found.images, images, masks):
                return _of_masks(found, images, masks)
    return None


def _parents(name: str) -> list[str]:
    return [str(parent) for parent in PurePosixPath(name).parents if str(parent) != "."]


def _below(names: Sequence[str], folder: str) -> list[str]:
    start = "" if folder == "." else f"{folder}/"
    return [name.removeprefix(start) for name in names if name.startswith(start)]


def _paired(names: Sequence[str], images: str, masks: str) -> bool:
    drawn = {image_of_mask(stem(name)) for name in _below(names, masks)}
    pictures = [stem(name) for name in _below(names, images)]
    return bool(pictures) and sum(name in drawn for name in pictures) >= PAIRED * len(pictures)


def _of_masks(found: _Found, images: str, masks: str) -> FolderDescription:
    names = _below(found.images, images)
    drawn: MaskClasses = sample_masks([found.home / masks / name for name in _below(found.images, masks)])
    guesses = {
        "task": Guess(f"{masks} has files with the names of those in {images}"),
        "images": Guess(f"{len(names):,} images"),
        "masks": Guess(f"{len(_below(found.images, masks)):,} masks"),
        "classes": Guess(f"{drawn.reason}; give the classes their names", unsure=True),
        "values": Guess(drawn.reason, unsure=drawn.unsure),
    }
    table = _table(found, images, needs_label=False)
    described = FolderDescription(
        home=found.home,
        layout="images and masks",
        task="segmentation",
        modality="natural",
        classes=drawn.classes,
        images=images,
        images_found=len(names),
        guesses=guesses,
        masks=masks,
        values=drawn.values,
    )
    return _with_table(described, *table) if table else _without_patients(described, names)


def _tabled(found: _Found) -> FolderDescription | None:
    images = _common_folder(found.images)
    table = _table(found, images, needs_label=True)
    if table is None:
        return None
    path, guess = table
    where = f"the columns {_shown(guess.classes)}" if guess.label is None else f"the column `{guess.label}`"
    described = FolderDescription(
        home=found.home,
        layout="table",
        task="multilabel" if guess.is_multilabel else "classification",
        modality="natural",
        classes=guess.classes,
        images=images,
        images_found=len(_below(found.images, images)),
        guesses={
            "task": Guess(f"{path} has labels in {where}", unsure=guess.is_label_unsure),
            "images": Guess(f"{guess.rows_with_image:,} of {guess.rows:,} rows of {path} name a file in it"),
            "classes": Guess(f"what stands in {where}", unsure=guess.is_label_unsure),
        },
        class_images=guess.class_rows,
    )
    return _with_table(described, path, guess)


def _table(found: _Found, images: str, needs_label: bool) -> tuple[str, TableGuess] | None:
    """The table that names most images."""
    names = _below(found.images, images)
    guesses = [(path, read_guess(found.home / path, images, names)) for path in found.tables]
    fitting = [(path, g) for path, g in guesses if g and (g.classes or not needs_label)]
    return max(fitting, key=lambda entry: entry[1].rows_with_image, default=None)


def _with_table(described: FolderDescription, path: str, guess: TableGuess) -> FolderDescription:
    found = {"image": guess.image, "label": guess.label, "patient": guess.patient, "split": guess.split}
    if described.task == "segmentation":
        found |= {"label": None, "mask": guess.mask}
    columns = {key: name for key, name in found.items() if name is not None and name != key}
    patient = (
        Guess(f"{guess.patients:,} patients in `{guess.patient}`", unsure=guess.is_patient_unsure)
        if guess.patient
        else Guess("no column of patients was found: each image counts as a patient", unsure=True)
    )
    split = Guess(guess.split_reason, unsure=guess.split is None and bool(guess.split_reason))
    guesses = {**described.guesses, "labels": Guess(f"{guess.rows:,} rows"), "patient": patient}
    return replace(
        described,
        labels=path,
        columns=columns,
        patients=guess.patients if guess.patient else None,
        has_split=guess.split is not None,
        guesses=guesses | ({"split": split} if guess.split_reason else {}),
    )


def _class_folders(found: _Found) -> FolderDescription | None:
    """A folder for each class, below train and test or not."""
    root = _above_classes(found.images)
    if root is None:
        return None
    names = [PurePosixPath(name) for name in _below(found.images, root)]
    counts = Counter(name.parent.name for name in names)
    parts = {SPLIT_FOLDERS.get(name.parts[0].lower()) for name in names if len(name.parts) > 2}
    where = "the folders below train and test" if parts >= {"train", "test"} else "the folders of the images"
    described = FolderDescription(
        home=found.home,
        layout="class folders",
        task="classification",
        modality="natural",
        classes=tuple(sorted(counts)),
        images=root,
        images_found=len(names),
        guesses={
            "task": Guess(f"images lie in {len(counts)} folders", unsure=len(counts) > len(names) / 4),
            "images": Guess(f"{len(names):,} images"),
            "classes": Guess(where),
        },
        class_images=dict(sorted(counts.items())),
        has_split=parts >= {"train", "test"},
    )
    return _without_patients(described, list(map(str, names)))


def _above_classes(images: Sequence[str]) -> str | None:
    """The folder below which all images lie in CLASS/ or SPLIT/CLASS/; None if there is none."""
    for root in (_common_folder(images), "."):
        names = [PurePosixPath(name) for name in _below(images, root)]
        depths = {len(name.parts) for name in names}
        is_split = all(name.parts[0].lower() in SPLIT_FOLDERS for name in names)
        if (depths == {2} and not is_split) or (depths == {3} and is_split):
            classes = {name.parent.name for name in names}
            return root if 2 <= len(classes) <= MOST_CLASSES else None
    return None


def _common_folder(names: Sequence[str]) -> str:
    """The deepest folder that has all files."""
    common = [set(_parents(name)) for name in names]
    return max(set.intersection(*common), key=len, default=".")


def _without_patients(described: FolderDescription, names: Sequence[str]) -> FolderDescription:
    """Say that patients are unknown, and whether names look as if patients had several images."""
    starts = Counter(PurePosixPath(name).stem.replace("-", "_").partition("_")[0] for name in names)
    several = sum(count for count in starts.values() if count > 1)
    text = "no table names patients: each image counts as a patient"
    if len(starts) > len(names) / 10 and several > len(names) / 4:
        first = next(start for start, count in starts.items() if count > 1)
        text += f"; do names that begin alike, such as {first}, belong to one patient? Then make a table"
    return replace(described, guesses={**described.guesses, "patient": Guess(text, unsure=True)})


def _with_modality(described: FolderDescription, found: _Found) -> FolderDescription:
    first = found.home / described.images / _below(found.images, described.images)[0]
    words = (found.home.name, *described.classes, *found.images[:SAMPLE], *found.tables)
    modality, guess = guess_modality(first, words)
    return replace(described, modality=modality, guesses={**described.guesses, "modality": guess})
