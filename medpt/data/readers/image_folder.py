"""A user's dataset as its `dataset.yaml` describes it: a folder of images with a CSV file of labels or masks.

Names in the CSV file are those below the folder of the images, with or without suffix. A mask has its image's
name with any suffix, or the name in the column `mask`. Without a column `patient` each image counts as a
patient of its own, and a note says so.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medpt.data.card import FILE, DatasetCard, Value
from medpt.data.dataset import Dataset, Reader, Record, Split
from medpt.data.decode import read_image
from medpt.data.label_counts import image_counts, judge
from medpt.data.masks import check_turned_alike, read_coded, read_ids
from medpt.data.palettes import palette_notes
from medpt.data.preprocess import pipeline_of
from medpt.data.readers.dicom import hounsfield, intensities, picture
from medpt.data.readers.folder_files import (
    DICOM,
    PICTURES,
    FolderFiles,
    image_of_mask,
    is_dicom,
    mask_names,
    stem,
)
from medpt.data.readers.folder_table import (
    Row,
    findings_of,
    folder_rows,
    patient_key,
    patient_problem,
    table_rows,
    unused_columns,
)
from medpt.data.readers.folder_volumes import (
    VOLUMES,
    check_units,
    image_slice,
    is_volume,
    mask_slice,
    slice_numbers,
)
from medpt.data.tables import composed, header
from medpt.errors import InputError, did_you_mean

READ_DICOM: dict[str, Callable[[Path], NDArray[Any]]] = {"ct": hounsfield, "mri": intensities}
SPLITS: dict[str, Split] = {"train": "train", "test": "test"}


def open(card: DatasetCard, root: Path) -> Dataset:
    """Read the folder `root` as its card describes it.

    Images of CT stored as DICOM or NIfTI are int16 HU, of MRI float32; all others are read as pictures. Of a
    NIfTI volume each axial slice is an image, with masks those slices that have more than background.
    `problems` has rows without an image and rows that repeat one, images that no row or mask belongs to,
    labels that are not a class, and patients in both the training and the test set.
    """
    folder = _Folder(card, root)
    records = tuple(folder.records())
    image: Reader = partial(_image, bits=card.bits, damaged=card.damaged, modality=card.modality)
    mask: Reader = partial(_mask, values=card.values, classes=card.classes)
    notes = (*folder.notes(), *palette_notes(card, root, records))
    found = Dataset(card, root, records, image, mask, notes, problems=tuple(folder.all_problems()))
    if found.problems or card.task == "segmentation":
        return found
    return replace(found, problems=tuple(judge(card, image_counts(found)).problems))


class _Folder:
    """The files of a user's dataset compared with its card; `problems` grows while records are made."""

    def __init__(self, card: DatasetCard, root: Path) -> None:
        self.card, self.file = card, root / FILE
        self.root, self.images = root, root / str(card.images)
        self.table = root / card.labels if card.labels else None
        self.masks = root / card.masks if card.masks else None
        self.images_found = FolderFiles(self.images, self._suffixes(), self.masks)
        self.masks_found = FolderFiles(self.masks, (*PICTURES, *self._volumes())) if self.masks else None
        self.problems, self.hints = unused_columns(card, self.table)
        self.classes = tuple(map(composed, card.classes))
        self.known = set(map(stem, self.images_found.names))  # also of images that only the table has
        self.used: dict[str, str] = {}  # image or mask: the row that names it first
        self.splits: dict[str, dict[Split, str]] = {}  # of a patient: where it is first in each set
        self.spellings: dict[str, dict[str, str]] = {}  # of a patient: where each spelling is first

    def _suffixes(self) -> tuple[str, ...]:
        """CT without a pipeline of its own is in Hounsfield units, which pictures do not hold."""
        if self.card.modality == "ct" and not self.card.pipeline:
            return (*DICOM, *VOLUMES)
        return (*PICTURES, *DICOM, *self._volumes())

    def _volumes(self) -> tuple[str, ...]:
        return VOLUMES if self.card.modality in READ_DICOM else ()

    def records(self) -> Iterator[Record]:
        rows = list(self.rows())
        if problem := self.nothing_found(rows):
            self.problems.append(problem)
            return
        for row in rows:
            self.known.add(stem(row.image))
            image = self.find(row, row.image, self.images_found)
            if image is None:
                continue
            known = len(self.problems)
            label, split, mask = self.label(row), self.split(row), self.mask(row, image)
            if row.patient is not None and (problem := patient_problem(row.patient)):
                self.problems.append(f"{row.source}: no patient{problem}")
            if len(self.problems) == known:
                yield from self.slices(self.record(row, image, label, split, mask))

    def slices(self, record: Record) -> Iterator[Record]:
        """Yield a record of each slice that is used of a volume; of a picture the record itself."""
        image, mask = self.root / record.image_path, self.root / (record.mask_path or record.image_path)
        if is_volume(image.name) != is_volume(mask.name):
            self.problems.append(f"{mask}: a volume and a picture; accepted: both of one kind")
        elif not is_volume(image.name):
            yield record
        else:
            try:
                drawn = mask if record.mask_path else None
                if self.card.modality == "ct":
                    check_units(image, pipeline_of(self.card))
                numbers = slice_numbers(image, drawn, self.card.values, self.card.classes)
                yield from (replace(record, slice=number) for number in numbers)
            except InputError as error:
                self.problems += error.problems

    def nothing_found(self, rows: list[Row]) -> str:
        """One line instead of one for each row, where no row names an image that is there; or ""."""
        if not rows:
            no_row = self.table is not None and not self.problems
            return f"{self.table}: no row below the header; accepted: a row for each image" if no_row else ""
        if self.table is None and not any(
            row.label is None or composed(row.label) in self.classes for row in rows
        ):
            text = f"{self.file}: no `labels`, and no image lies in a folder that is called as its class"
            return f"{text}, such as {self.images}/{self.card.classes[0]}; found: {rows[0].image}"
        if self.table is None or any(self.images_found.find(row.image) for row in rows):
            return ""
        if any(self.images_found.find(row.label or "") for row in rows):
            return (
                f"{self.table}: the columns `image` and `label` are swapped: labels name files, images do not"
            )
        there = self.images_found.names or self.images_found.others
        if len(rows) == 1 or not there:
            return ""
        text = f"none of {len(rows):,} rows names a file in {self.images}, such as {rows[0].image!r}"
        hint = self.images_found.hint(rows[0].image)
        return f"{self.table}: {text}; found there: {', '.join(there[:3])}{hint}"

    def record(
        self,
        row: Row,
        image: str,
        label: int | tuple[float, ...] | None,
        split: Split | None,
        mask: str | None,
    ) -> Record:
        path = (self.images / image).relative_to(self.root).as_posix()
        truth = (self.masks / mask).relative_to(self.root).as_posix() if self.masks and mask else None
        patient = row.patient or path
        if split is not None:
            self.splits.setdefault(patient, {}).setdefault(split, row.source)
        if row.patient:
            self.spellings.setdefault(patient_key(patient), {}).setdefault(patient, row.source)
        return Record(self.card.name, path, patient, patient, label=label, mask_path=truth, split=split)

    def rows(self) -> Iterator[Row]:
        if self.table is None:
            return folder_rows(self.card, self.file, self.images_found.names)
        return table_rows(self.card, self.table, self.problems)

    def find(self, row: Row, name: str, files: FolderFiles) -> str | None:
        """Return the one file that a row names, used for the first time."""
        matches = files.find(name)
        if len(matches) != 1:
            self.used.update((str(files.folder / other), row.source) for other in matches)
            what = f"is {' or '.join(matches)}; use the whole name" if matches else files.absent(name)
            self.problems.append(f"{row.source}: {files.folder / name} {what}")
            return None
        path = str(files.folder / matches[0])
        if first := self.used.get(path):
            self.problems.append(f"{row.source}: {path} a second time, first in {first}")
            return None
        self.used[path] = row.source
        return matches[0]

    def label(self, row: Row) -> int | tuple[float, ...] | None:
        if self.card.task == "segmentation":
            return None
        if self.card.task == "multilabel":
            return self.findings(row)
        if (label := composed(str(row.label))) in self.classes:
            return self.classes.index(label)
        number = str(row.label).lstrip("0")
        zeros = f"; quote the class in {FILE} if it is {row.label}" if number in self.classes else ""
        known = did_you_mean(str(row.label), self.classes)
        self.problems.append(f"{row.source}: label {row.label!r}; {known}{zeros}")
        return None

    def findings(self, row: Row) -> tuple[float, ...] | None:
        try:
            return findings_of(row, self.card.classes)
        except InputError as error:
            self.problems += error.problems
            return None

    def split(self, row: Row) -> Split | None:
        if row.split is not None and row.split not in SPLITS:
            self.problems.append(f"{row.source}: split {row.split!r}; train or test is accepted")
        return SPLITS.get(row.split or "")

    def mask(self, row: Row, image: str) -> str | None:
        if self.masks_found is None:
            return None
        name = row.mask or next(filter(self.masks_found.find, mask_names(image)), stem(image))
        if not row.mask and not self.masks_found.find(name):
            what = f"no mask {self.masks_found.folder / name}.*{self.masks_found.hint(f'{name}.')}"
            self.problems.append(f"{self.images / image}: {what}")
            return None
        return self.find(row, name, self.masks_found)

    def all_problems(self) -> Iterator[str]:
        yield from self.problems
        yield from self.unused()
        yield from self.shared_patients()
        yield from self.pictures_of_ct()

    def unused(self) -> Iterator[str]:
        """Files that nothing belongs to; none where the table itself could not be read."""
        if not self.used:
            return
        for name in self.images_found.names:
            if str(path := self.images / name) not in self.used:
                yield f"{path}: in no row of {self.table}"
        for name in self.masks_found.names if self.masks_found else []:
            path = Path(str(self.masks)) / name
            if str(path) not in self.used and image_of_mask(stem(name)) not in self.known:
                yield f"{path}: a mask without an image"

    def shared_patients(self) -> Iterator[str]:
        for patient, sources in self.splits.items():
            if len(sources) > 1:
                yield f"{sources['test']}: patient {patient} is in the training set too: {sources['train']}"

        for spelled in self.spellings.values():
            if len(spelled) > 1:
                names = " and ".join(repr(name) for name in spelled)
                where = ", ".join(spelled.values())
                yield f"{where}: {names} look like one patient; spell it in one way"

    def pictures_of_ct(self) -> Iterator[str]:
        found = self.images_found
        if self.card.modality == "ct" and not found.names and any(o.endswith(PICTURES) for o in found.others):
            accepted = "use .dcm, or give a `pipeline` without window for pictures that are windowed already"
            yield f"{self.file}: ct is in Hounsfield units, and {self.images} holds pictures; {accepted}"
        elif not found.names and found.others:
            others = ", ".join(found.others[:3])
            yield f"{self.images}: no image; found: {others}; accepted: {', '.join(PICTURES)} and DICOM"

    def notes(self) -> tuple[str, ...]:
        if self.card.columns.get("patient") or (self.table and "patient" in header(self.table)):
            return tuple(self.hints)
        alone = f"{self.table or self.file}: no column `patient`: each image counts as a patient"
        return (*self.hints, alone)


def _picture(root: Path, record: Record, bits: int | None, damaged: tuple[str, ...]) -> NDArray[np.uint8]:
    return read_image(root / record.image_path, bits, strict=record.image_path not in damaged)


def _image(
    root: Path, record: Record, bits: int | None, damaged: tuple[str, ...], modality: str
) -> NDArray[Any]:
    path = root / record.image_path
    if record.slice is not None:
        return image_slice(path, record.slice, modality)
    read = READ_DICOM.get(modality, picture)
    return read(path) if is_dicom(str(path)) else _picture(root, record, bits, damaged)


def _mask(
    root: Path, record: Record, values: Mapping[str, Value], classes: tuple[str, ...]
) -> NDArray[np.uint8]:
    path, image = root / str(record.mask_path), root / record.image_path
    if record.slice is not None:
        return mask_slice(path, record.slice, values, classes)
    ids = read_coded(path, values, classes) if values else read_ids(path)
    if not is_dicom(str(image)):
        check_turned_alike(image, path)
    return ids
