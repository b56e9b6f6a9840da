"""Images that no dataset lists, as a network is applied to: files and folders to pixels.

They are decoded as the reader of the network's dataset decodes its own. Of a volume each axial slice is an
image.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medpt.data.card import DatasetCard
from medpt.data.decode import read_grey, read_image
from medpt.data.preprocess import steps
from medpt.data.readers import luna, metaimage, stare
from medpt.data.readers.dicom import AIR, METAL, picture
from medpt.data.readers.folder_files import DICOM, PICTURES, FolderFiles, is_dicom
from medpt.data.readers.folder_volumes import VOLUMES, check_units, image_slice, is_volume, slice_numbers
from medpt.data.readers.image_folder import READ_DICOM
from medpt.errors import InputError

GREY = ("chestxray2017", "chexpert", "chexpert_findings", "mura", "oct2017")  # readers that drop colour
META, PACKED = ".mhd", ".ppm.gz"
SUFFIXES = (*PICTURES, *DICOM, *VOLUMES, META, PACKED)


@dataclass(frozen=True)
class NewImage:
    """An image of a file, or of the slice of a volume; `name` is the file's in results."""

    path: Path
    name: str
    slice: int | None = None

    @property
    def id(self) -> str:
        """What names it in results, as the records of datasets are named."""
        return self.name if self.slice is None else f"{self.name}#{self.slice}"


def find_images(paths: Sequence[Path], modality: str, pipeline: str, problems: list[str]) -> list[NewImage]:
    """Return the images of files, and of all files below folders, ordered by id.

    Files of a folder are named from it on. `problems` gets what cannot be read and names that are not unique.
    """
    found: dict[str, NewImage] = {}
    for path, name in _files(paths, problems):
        try:
            images = [NewImage(path, name, number) for number in _slices(path, modality, pipeline)]
        except InputError as error:
            problems += error.problems
            continue
        for image in images:
            other = found.setdefault(image.id, image)
            if other.path != path:
                problems.append(f"{other.path} and {path}: both are called {name}; give a folder with both")
    return sorted(found.values(), key=lambda image: image.id)


def _files(paths: Sequence[Path], problems: list[str]) -> Iterator[tuple[Path, str]]:
    for path in paths:
        if not path.is_dir():
            yield path, path.name
            continue
        names = FolderFiles(path, SUFFIXES).names
        if not names:
            problems.append(f"{path}: no image; accepted: {', '.join(SUFFIXES)} and DICOM without suffix")
        yield from ((path / name, name) for name in names)


def _slices(path: Path, modality: str, pipeline: str) -> Sequence[int | None]:
    if is_volume(path.name):
        if modality == "ct":
            check_units(path, pipeline)
        return slice_numbers(path, None, {}, ())
    if path.name.lower().endswith(META):
        return range(metaimage.header(path).depth)
    return (None,)


def read_new_image(image: NewImage, card: DatasetCard, pipeline: str) -> NDArray[Any]:
    """Return the pixels as medpt.data.dataset.Dataset.image gives them, for the pipeline of a dataset.

    Raises InputError naming the file that cannot be read, or that has no Hounsfield units where the pipeline
    needs them.
    """
    pixels = _read(image, card)
    if steps(pipeline)[0][0] == "window" and pixels.dtype == np.uint8:
        raise InputError(
            f"{image.path}: a picture, and {card.name} is in Hounsfield units; "
            "accepted: DICOM, NIfTI, MetaImage or TIFF of CT"
        )
    return pixels


def _read(image: NewImage, card: DatasetCard) -> NDArray[Any]:
    path, name = image.path, image.path.name.lower()
    if name.endswith(META):
        return _plane(path, image.slice or 0, card.modality)
    if image.slice is not None:
        return image_slice(path, image.slice, card.modality)
    if is_dicom(str(path)):
        return READ_DICOM.get(card.modality, picture)(path)
    if name.endswith(PACKED):
        return stare.read(path)
    if card.reader == "luna":
        return luna.read_units(path)
    return read_grey(path) if card.reader in GREY else read_image(path, card.bits)


def _plane(path: Path, number: int, modality: str) -> NDArray[Any]:
    values = metaimage.plane(metaimage.header(path), number)
    if modality == "ct":
        return np.clip(np.rint(values), AIR, METAL).astype(np.int16)
    return values.astype(np.float32)
