"""LUNA as the paper counts it: the 267 CT slices of Kaggle's "Finding and Measuring Lungs in CT Data".

`2d_images/ID_0000_Z_0142.tif` with `2d_masks/` of the same names; one slice a patient. Images hold signed
16- or 32-bit or float Hounsfield units in one channel: what was converted to 8 bits has lost them and is
refused. The volumes beside them (`3d_images`) are not read.
"""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medpt.data.card import DatasetCard
from medpt.data.dataset import Dataset, Record
from medpt.data.decode import read_grey, read_numbers
from medpt.data.file_tree import child, files, find_root
from medpt.data.readers.dicom import AIR, METAL

IMAGES, MASKS = "2d_images", "2d_masks"
NAME = re.compile(r"(ID_\d{4})_Z_(\d{4})\.tiff?", re.IGNORECASE)


def open(card: DatasetCard, root: Path) -> Dataset:
    """Masks 0 background, 1 lung; images int16 HU.

    Raises InputError for names that are not the publisher's, images without a mask and masks without an
    image.
    """
    top = find_root(root, lambda folder: child(folder, IMAGES) is not None, IMAGES)
    problems: list[str] = []
    images, masks = (_named(top, name, problems) for name in (IMAGES, MASKS))
    problems += [f"{images[n]}: no mask of that name in {MASKS}" for n in sorted(images.keys() - masks)]
    problems += [f"{masks[n]}: no image of that name in {IMAGES}" for n in sorted(masks.keys() - images)]
    return Dataset(
        card,
        top,
        tuple(_record(card, top, images[n], masks[n]) for n in sorted(images.keys() & masks)),
        _image,
        _mask,
        problems=tuple(problems),
    )


def _named(top: Path, name: str, problems: list[str]) -> dict[str, Path]:
    folder = child(top, name)
    if folder is None or not folder.is_dir():
        problems.append(f"{top / name}: no such folder")
        return {}
    paths = files(folder, ".tif", ".tiff")
    problems += [f"{p}: accepted: such as ID_0000_Z_0142.tif" for p in paths if not NAME.fullmatch(p.name)]
    return {path.stem: path for path in paths if NAME.fullmatch(path.name)}


def _record(card: DatasetCard, top: Path, image: Path, mask: Path) -> Record:
    patient = image.name[: len("ID_0000")]
    path, truth = image.relative_to(top).as_posix(), mask.relative_to(top).as_posix()
    return Record(card.name, path, patient, patient, mask_path=truth)


def _image(root: Path, record: Record) -> NDArray[np.int16]:
    return read_units(root / record.image_path)


def read_units(path: Path) -> NDArray[np.int16]:
    """Return (H, W) in Hounsfield units of a TIFF. Raises InputError naming the file."""
    units = read_numbers(path)
    if units.dtype == np.uint16:  # a signed image whose header does not say so
        units = units.view(np.int16)
    return np.clip(np.rint(units), AIR, METAL).astype(np.int16)


def _mask(root: Path, record: Record) -> NDArray[np.uint8]:
    return (read_grey(root / str(record.mask_path)) > 0).astype(np.uint8)
