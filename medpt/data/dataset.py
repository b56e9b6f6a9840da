"""What a reader hands over: records, and the functions that turn a record into pixels.

Opening lists files and reads labels; pixels are decoded only by `image` and `mask`. A dataset is immutable
and can be pickled, so that a worker need not list the files again.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from math import isnan
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from medpt.data.card import DatasetCard
from medpt.errors import InputError

IGNORE = 255  # the class id of unlabelled pixels in masks

Split = Literal["train", "test"]


@dataclass(frozen=True)
class Record:
    """One labelled image of the original files; plain data that round-trips through JSON.

    `patient_id` already carries what makes it unique in the dataset; `group_id` is what a split must keep
    together. `split` is the publisher's, None where there is none. `slice` is the row or plane in a file of
    many. `label` is a class number or, of the task multilabel, 1, 0 or nan (unknown) for each class.
    """

    dataset: str
    image_path: str  # relative to the dataset's root, with forward slashes
    patient_id: str
    group_id: str
    slice: int | None = None
    label: int | tuple[float, ...] | None = None
    mask_path: str | None = None
    split: Split | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Unique within the dataset."""
        return self.image_path if self.slice is None else f"{self.image_path}#{self.slice}"

    @property
    def known_label(self) -> int | list[float | None] | None:
        """The label with None instead of nan, which JSON lacks."""
        if not isinstance(self.label, tuple):
            return self.label
        return [None if isnan(value) else value for value in self.label]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> "Record":
        label = value.get("label")
        return Record(**{**value, "label": tuple(label) if isinstance(label, list) else label})


Reader = Callable[[Path, Record], NDArray[Any]]


@dataclass(frozen=True)
class Dataset:
    """Records with their pixels.

    `notes` says, for people, what of the original files became no record and why; `excluded` counts, by
    part, the images among them that are sound. `problems` are what the reader found wrong: `open_dataset`
    refuses a dataset that has any, `medpt.data.check` continues with the records that there are.
    """

    info: DatasetCard
    root: Path
    records: tuple[Record, ...]
    read_image: Reader
    read_mask: Reader | None = None
    notes: tuple[str, ...] = ()
    excluded: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.records:
            raise InputError([*self.problems, f"{self.root}: no labelled image of {self.info.name} found"])
        counts = Counter(record.id for record in self.records)
        if len(counts) < len(self.records):
            twice = [name for name, count in counts.items() if count > 1]
            repeated = (f"{self.root}: {name} is listed {counts[name]} times" for name in twice)
            raise InputError([*self.problems, *repeated])
        if odd := [name for name in self._file_names() if not _is_utf8(name)]:
            remedy = "rename it, such as with `convmv -f cp1252 -t utf8`"
            misnamed = (
                f"{_printable(f'{self.root}/{name}')}: the name is not UTF-8; {remedy}" for name in odd
            )
            raise InputError([*self.problems, *misnamed])

    def _file_names(self) -> Iterator[str]:
        for record in self.records:
            yield record.image_path
            if record.mask_path:
                yield record.mask_path

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    def image(self, record: Record) -> NDArray[Any]:
        """uint8 (H, W, 3) RGB or (H, W) grey; CT: int16 (H, W) in Hounsfield units; MRI: float32 (H, W) as
        stored, in the scanner's arbitrary units.

        Raises InputError naming the file that cannot be decoded.
        """
        return self.read_image(self.root, record)

    def mask(self, record: Record) -> NDArray[np.uint8]:
        """uint8 (H, W) of class ids, 255 for unlabelled pixels. Raises InputError naming the file."""
        if self.read_mask is None or record.mask_path is None:
            raise InputError(f"{record.image_path}: {self.info.name} has no mask for it")
        return self.read_mask(self.root, record)


def _is_utf8(name: str) -> bool:
    return not any("\udc80" <= character <= "\udcff" for character in name)


def _printable(name: str) -> str:
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")
