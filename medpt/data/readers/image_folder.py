"""A user's own dataset, as its `dataset.yaml` says: images in a folder, with a csv of labels or with masks.

Names in the csv are those below the folder of the images, with or without suffix. A mask has its image's
name, whatever the suffix, or the one in the column `mask`. Without a column `patient` each image counts as a
patient of its own, and a remark says so.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medpt.data.dataset import IGNORE, Dataset, Reader, Record, Split
from medpt.data.decode import read_ids, read_image
from medpt.data.locate import walk
from medpt.data.own import FILE, UNLABELLED, UserDataset, Value, header, read
from medpt.data.readers.dicom import hounsfield, intensities
from medpt.data.readers.tables import csv_rows
from medpt.errors import InputError, did_you_mean

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".ppm", ".pgm")
DICOM: dict[str, Callable[[Path], NDArray[Any]]] = {"ct": hounsfield, "mri": intensities}
PARTS: dict[str, Split] = {"train": "train", "test": "test"}


def open(root: Path) -> Dataset:
    """The images of CT as .dcm are int16 HU, of MRI as .dcm float32; all others as pictures.

    In `problems`: rows without an image or a second time, images that no row or mask belongs to, labels that
    are no class, patients in both parts. Raises InputError for a card that is wrong.
    """
    own = read(root / FILE)
    found = _Found(own, _names(own.images, _suffixes(own), own.masks), _names(own.masks, PICTURES, None))
    records = tuple(found.records())
    problems = [*found.problems, *found.unused(), *found.both_parts(), *_pictures_of_ct(own, found.images)]
    dicom = DICOM.get(own.card.modality)
    image: Reader = partial(_image, dicom=dicom) if dicom else _picture
    mask: Reader = partial(_coded, values=own.values, classes=own.card.classes) if own.values else _ids
    remarks = _remarks(own)
    return Dataset(own.card, own.home, records, image, mask, remarks, problems=tuple(problems))


@dataclass(frozen=True)
class Row:
    """One image of the csv, or of the folder where there is no csv (then `place` is the card)."""

    place: str
    image: str
    label: str | None = None
    patient: str | None = None
    split: str | None = None
    mask: str | None = None


class _Found:
    """The files of a card against each other; `problems` grows while records are made."""

    def __init__(self, own: UserDataset, images: list[str], masks: list[str]) -> None:
        self.own, self.images, self.masks = own, images, masks
        self.problems: list[str] = []
        self.known = set(map(_stem, images))  # names of images, also of those that only the table has
        self.used: dict[str, str] = {}  # image or mask: the place that names it first
        self.parts: dict[str, dict[Split, str]] = {}  # of a patient: where it is first in each part

    def records(self) -> Iterator[Record]:
        images, masks = _index(self.images), _index(self.masks)
        for row in self.rows():
            self.known.add(_stem(row.image))
            image = self.file(row, row.image, self.own.images, images)
            if image is None:
                continue
            known = len(self.problems)
            label, split, mask = self.label(row), self.split(row), self.mask(row, image, masks)
            if row.patient == "":
                self.problems.append(f"{row.place}: no patient")
            if len(self.problems) == known:
                yield self.record(row, image, label, split, mask)

    def record(
        self, row: Row, image: str, label: int | None, split: Split | None, mask: str | None
    ) -> Record:
        home = self.own.home
        path = (self.own.images / image).relative_to(home).as_posix()
        truth = (self.own.masks / mask).relative_to(home).as_posix() if self.own.masks and mask else None
        patient = row.patient or path
        if split is not None:
            self.parts.setdefault(patient, {}).setdefault(split, row.place)
        return Record(self.own.card.name, path, patient, patient, label=label, mask_path=truth, split=split)

    def rows(self) -> Iterator[Row]:
        table = self.own.labels
        if table is None:
            yield from (Row(str(self.own.home / FILE), name) for name in self.images)
            return
        needed = ("image", "label") if self.own.card.task == "classification" else ("image",)
        given = header(table)
        columns = [*needed, *(name for name in ("patient", "split", "mask") if name in given)]
        for line, cells in csv_rows(table, columns, self.problems):
            yield Row(f"{table}, line {line}", **dict(zip(columns, cells, strict=True)))

    def file(self, row: Row, name: str, folder: Path, index: Mapping[str, list[str]]) -> str | None:
        """The one file that a row means, used for the first time."""
        found = index.get(name, [])
        if len(found) != 1:
            self.used.update((str(folder / other), row.place) for other in found)
            what = f"is {' or '.join(found)}; accepted: the whole name" if found else "is not there"
            self.problems.append(f"{row.place}: {folder / name} {what}")
            return None
        path = str(folder / found[0])
        if first := self.used.get(path):
            self.problems.append(f"{row.place}: {path} a second time, first in {first}")
            return None
        self.used[path] = row.place
        return found[0]

    def label(self, row: Row) -> int | None:
        classes = self.own.card.classes
        if self.own.card.task != "classification":
            return None
        if row.label in classes:
            return classes.index(row.label)
        self.problems.append(f"{row.place}: label {row.label!r}; {did_you_mean(str(row.label), classes)}")
        return None

    def split(self, row: Row) -> Split | None:
        if row.split is not None and row.split not in PARTS:
            self.problems.append(f"{row.place}: split {row.split!r}; accepted: train, test")
        return PARTS.get(row.split or "")

    def mask(self, row: Row, image: str, index: Mapping[str, list[str]]) -> str | None:
        if self.own.masks is None:
            return None
        name = row.mask or _stem(image)
        if not row.mask and name not in index:
            self.problems.append(f"{self.own.images / image}: no mask {self.own.masks / name}.*")
            return None
        return self.file(row, name, self.own.masks, index)

    def unused(self) -> Iterator[str]:
        """Files that nothing belongs to; not told where the table itself could not be read."""
        if not self.used:
            return
        for name in self.images:
            if str(path := self.own.images / name) not in self.used:
                yield f"{path}: in no row of {self.own.labels}"
        for name in self.masks if self.own.masks else []:
            path = Path(str(self.own.masks)) / name
            if str(path) not in self.used and _stem(name) not in self.known:
                yield f"{path}: a mask without an image"

    def both_parts(self) -> Iterator[str]:
        for patient, places in self.parts.items():
            if len(places) > 1:
                yield f"{places['test']}: patient {patient} is in the train part too: {places['train']}"


def _suffixes(own: UserDataset) -> tuple[str, ...]:
    """CT without a pipeline of its own is in Hounsfield units, which pictures do not hold."""
    if own.card.modality == "ct" and not own.card.pipeline:
        return (".dcm",)
    return (*PICTURES, ".dcm") if own.card.modality in DICOM else PICTURES


def _pictures_of_ct(own: UserDataset, images: list[str]) -> Iterator[str]:
    if own.card.modality == "ct" and not images and _names(own.images, PICTURES, own.masks):
        accepted = "accepted: .dcm, or with a `pipeline` without window pictures that are windowed already"
        yield f"{own.home / FILE}: ct is in Hounsfield units, and {own.images} holds pictures; {accepted}"


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


def _remarks(own: UserDataset) -> tuple[str, ...]:
    if own.labels is not None and "patient" in header(own.labels):
        return ()
    return (f"{own.labels or own.home / FILE}: no column `patient`: each image counts as a patient",)


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
    colour = len(next(iter(values.values()))) == 3
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
    return value[0] if len(value) == 1 else value[0] << 16 | value[1] << 8 | value[2]


def _shown(code: int, colour: bool) -> str:
    return str([code >> 16, code >> 8 & 255, code & 255]) if colour else str(code)
