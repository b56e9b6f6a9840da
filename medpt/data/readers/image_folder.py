"""A user's dataset as its `dataset.yaml` describes it: a folder of images with a CSV file of labels or masks.

Names in the CSV file are those below the folder of the images, with or without suffix. A mask has its image's
name with any suffix, or the name in the column `mask`. Without a column `patient` each image counts as a
patient of its own, and a note says so.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medpt.data.card import FILE, UNLABELLED, DatasetCard, Value, columns
from medpt.data.dataset import IGNORE, Dataset, Reader, Record, Split
from medpt.data.decode import read_image
from medpt.data.masks import read_ids, read_values
from medpt.data.locate import walk
from medpt.data.readers.dicom import hounsfield, intensities
from medpt.data.readers.tables import csv_rows
from medpt.errors import InputError, did_you_mean

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".ppm", ".pgm")
DICOM: dict[str, Callable[[Path], NDArray[Any]]] = {"ct": hounsfield, "mri": intensities}
SPLITS: dict[str, Split] = {"train": "train", "test": "test"}


def open(card: DatasetCard, root: Path) -> Dataset:
    """Read the folder `root` as its card describes it.

    Images of CT stored as .dcm are int16 HU, of MRI stored as .dcm float32; all others are read as pictures.
    `problems` has rows without an image and rows that repeat one, images that no row or mask belongs to,
    labels that are not a class, and patients in both the training and the test set.
    """
    folder = _Folder(card, root)
    records = tuple(folder.records())
    problems = [*folder.problems, *folder.unused(), *folder.shared_patients(), *folder.pictures_of_ct()]
    dicom = DICOM.get(card.modality)
    image: Reader = partial(_image, dicom=dicom) if dicom else _picture
    mask: Reader = partial(_coded, values=card.values, classes=card.classes) if card.values else _ids
    return Dataset(card, root, records, image, mask, folder.remarks(), problems=tuple(problems))


@dataclass(frozen=True)
class Row:
    """One image of the CSV file, or of the folder where there is no CSV file; `source` is where it stands."""

    source: str
    image: str
    label: str | None = None
    patient: str | None = None
    split: str | None = None
    mask: str | None = None


class _Folder:
    """The files of a user's dataset compared with its card; `problems` grows while records are made."""

    def __init__(self, card: DatasetCard, root: Path) -> None:
        self.card, self.file = card, root / FILE
        self.root, self.images = root, root / str(card.images)
        self.table = root / card.labels if card.labels else None
        self.masks = root / card.masks if card.masks else None
        self.image_names = _names(self.images, self._suffixes(), self.masks)
        self.mask_names = _names(self.masks, PICTURES, None)
        self.problems: list[str] = []
        self.known = set(map(_stem, self.image_names))  # also of images that only the table has
        self.used: dict[str, str] = {}  # image or mask: the row that names it first
        self.splits: dict[str, dict[Split, str]] = {}  # of a patient: where it is first in each set

    def _suffixes(self) -> tuple[str, ...]:
        """CT without a pipeline of its own is in Hounsfield units, which pictures do not hold."""
        if self.card.modality == "ct" and not self.card.pipeline:
            return (".dcm",)
        return (*PICTURES, ".dcm") if self.card.modality in DICOM else PICTURES

    def records(self) -> Iterator[Record]:
        images, masks = _index(self.image_names), _index(self.mask_names)
        for row in self.rows():
            self.known.add(_stem(row.image))
            image = self.find(row, row.image, self.images, images)
            if image is None:
                continue
            known = len(self.problems)
            label, split, mask = self.label(row), self.split(row), self.mask(row, image, masks)
            if row.patient == "":
                self.problems.append(f"{row.source}: no patient")
            if len(self.problems) == known:
                yield self.record(row, image, label, split, mask)

    def record(
        self, row: Row, image: str, label: int | None, split: Split | None, mask: str | None
    ) -> Record:
        path = (self.images / image).relative_to(self.root).as_posix()
        truth = (self.masks / mask).relative_to(self.root).as_posix() if self.masks and mask else None
        patient = row.patient or path
        if split is not None:
            self.splits.setdefault(patient, {}).setdefault(split, row.source)
        return Record(self.card.name, path, patient, patient, label=label, mask_path=truth, split=split)

    def rows(self) -> Iterator[Row]:
        if self.table is None:
            yield from (Row(str(self.file), name) for name in self.image_names)
            return
        needed = ("image", "label") if self.card.task == "classification" else ("image",)
        given = columns(self.table)
        names = [*needed, *(name for name in ("patient", "split", "mask") if name in given)]
        for line, cells in csv_rows(self.table, names, self.problems):
            yield Row(f"{self.table}, line {line}", **dict(zip(names, cells, strict=True)))

    def find(self, row: Row, name: str, folder: Path, index: Mapping[str, list[str]]) -> str | None:
        """Return the one file that a row names, used for the first time."""
        matches = index.get(name, [])
        if len(matches) != 1:
            self.used.update((str(folder / other), row.source) for other in matches)
            what = f"is {' or '.join(matches)}; use the whole name" if matches else "is missing"
            self.problems.append(f"{row.source}: {folder / name} {what}")
            return None
        path = str(folder / matches[0])
        if first := self.used.get(path):
            self.problems.append(f"{row.source}: {path} a second time, first in {first}")
            return None
        self.used[path] = row.source
        return matches[0]

    def label(self, row: Row) -> int | None:
        classes = self.card.classes
        if self.card.task != "classification":
            return None
        if row.label in classes:
            return classes.index(row.label)
        self.problems.append(f"{row.source}: label {row.label!r}; {did_you_mean(str(row.label), classes)}")
        return None

    def split(self, row: Row) -> Split | None:
        if row.split is not None and row.split not in SPLITS:
            self.problems.append(f"{row.source}: split {row.split!r}; train or test is accepted")
        return SPLITS.get(row.split or "")

    def mask(self, row: Row, image: str, index: Mapping[str, list[str]]) -> str | None:
        if self.masks is None:
            return None
        name = row.mask or _stem(image)
        if not row.mask and name not in index:
            self.problems.append(f"{self.images / image}: no mask {self.masks / name}.*")
            return None
        return self.find(row, name, self.masks, index)

    def unused(self) -> Iterator[str]:
        """Files that nothing belongs to; none where the table itself could not be read."""
        if not self.used:
            return
        for name in self.image_names:
            if str(path := self.images / name) not in self.used:
                yield f"{path}: in no row of {self.table}"
        for name in self.mask_names if self.masks else []:
            path = Path(str(self.masks)) / name
            if str(path) not in self.used and _stem(name) not in self.known:
                yield f"{path}: a mask without an image"

    def shared_patients(self) -> Iterator[str]:
        for patient, sources in self.splits.items():
            if len(sources) > 1:
                yield f"{sources['test']}: patient {patient} is in the training set too: {sources['train']}"

    def pictures_of_ct(self) -> Iterator[str]:
        if self.card.modality == "ct" and not self.image_names and _names(self.images, PICTURES, self.masks):
            accepted = "use .dcm, or give a `pipeline` without window for pictures that are windowed already"
            yield f"{self.file}: ct is in Hounsfield units, and {self.images} holds pictures; {accepted}"

    def remarks(self) -> tuple[str, ...]:
        if self.table is not None and "patient" in columns(self.table):
            return ()
        return (f"{self.table or self.file}: no column `patient`: each image counts as a patient",)


def _names(folder: Path | None, suffixes: tuple[str, ...], without: Path | None) -> list[str]:
    """The files below `folder` by their names there, in order; none of those below `without`."""
    if folder is None:
        return []
    outside = f"{without}/" if without else None
    paths = (entry.path for entry in walk(folder) if entry.name.lower().endswith(suffixes))
    return [
        Path(path).relative_to(folder).as_posix()
        for path in paths
        if not (outside and path.startswith(outside))
    ]


def _index(names: Iterable[str]) -> dict[str, list[str]]:
    """Files by name, and by name without suffix."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(name, []).append(name)
        found.setdefault(_stem(name), []).append(name)
    return found


def _stem(name: str) -> str:
    return PurePosixPath(name).with_suffix("").as_posix() if name else ""


def _picture(root: Path, record: Record) -> NDArray[np.uint8]:
    return read_image(root / record.image_path)


def _image(root: Path, record: Record, dicom: Callable[[Path], NDArray[Any]]) -> NDArray[Any]:
    path = root / record.image_path
    return dicom(path) if path.suffix.lower() == ".dcm" else read_image(path)


def _ids(root: Path, record: Record) -> NDArray[np.uint8]:
    return read_ids(root / str(record.mask_path))


def _coded(
    root: Path, record: Record, values: Mapping[str, Value], classes: tuple[str, ...]
) -> NDArray[np.uint8]:
    """Class ids of a mask that shows classes as grey values or colours."""
    path = root / str(record.mask_path)
    colour = not isinstance(next(iter(values.values())), int)
    codes = _codes(read_image(path), colour, path)
    order = sorted((_code(value), name) for name, value in values.items())
    known = np.array([code for code, _ in order])
    ids = np.array([IGNORE if name == UNLABELLED else classes.index(name) for _, name in order], np.uint8)
    at = np.searchsorted(known, codes).clip(max=len(known) - 1)
    strange = np.unique(codes[known[at] != codes])
    if strange.size:
        shown = ", ".join(_shown(int(code), colour) for code in strange[:3])
        accepted = ", ".join(_shown(code, colour) for code, _ in order)
        raise InputError(
            f"{path}: {strange.size} values that no class has, such as {shown}; accepted: {accepted}"
        )
    return ids[at]


def _codes(pixels: NDArray[np.uint8], colour: bool, path: Path) -> NDArray[np.int32]:
    """(H, W): the grey value, or red, green and blue in one number."""
    wide = pixels.astype(np.int32)
    if colour:
        red, green, blue = (wide, wide, wide) if wide.ndim == 2 else np.moveaxis(wide, 2, 0)
        return red << 16 | green << 8 | blue
    if wide.ndim == 2:
        return wide
    if (wide != wide[:, :, :1]).any():
        raise InputError(f"{path}: a mask in colour; accepted: grey, as the `values` of {FILE} are")
    return wide[:, :, 0]


def _code(value: Value) -> int:
    return value if isinstance(value, int) else value[0] << 16 | value[1] << 8 | value[2]


def _shown(code: int, colour: bool) -> str:
    return str([code >> 16, code >> 8 & 255, code & 255]) if colour else str(code)
