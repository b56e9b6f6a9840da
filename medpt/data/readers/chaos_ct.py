"""CHAOS-CT, training set: liver masks, one record a slice, also of slices without liver.

DICOM and mask are paired by rank after sorting by the number in the file name, never by position in space:
the positions of some patients run the other way. Opening decodes a few slices of each patient to make sure:
the mean attenuation under their masks must be a liver's. The published test sets have no masks and are not
read.
"""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medpt.data.card import DatasetCard
from medpt.data.dataset import Dataset, Record
from medpt.data.file_tree import child, files, find_root, folders
from medpt.data.masks import read_ids
from medpt.data.readers.dicom import hounsfield
from medpt.errors import InputError

IMAGES = (re.compile(r"i(\d+),\d+b?\.dcm", re.IGNORECASE), re.compile(r"IMG-\d+-(\d+)\.dcm", re.IGNORECASE))
MASKS = (re.compile(r"liver_GT_(\d+)\.png", re.IGNORECASE),)
LIVER_HU = (40.0, 200.0)  # mean of a patient's liver in the portal venous phase
CHECKED = 16  # slices of a patient whose masks are looked at on opening


def open(card: DatasetCard, root: Path) -> Dataset:
    """Masks 0 background, 1 liver; images int16 HU.

    Raises InputError for files that do not pair, or pair wrongly.
    """
    top = find_root(root, _is_root, "CT/<patient>/DICOM_anon with CT/<patient>/Ground")
    problems: list[str] = []
    records: list[Record] = []
    for patient in sorted(folders(top / "CT"), key=lambda folder: (len(folder.name), folder.name)):
        known = len(problems)
        found = _patient(card, top, patient, problems)
        if len(problems) == known:
            problems += _mispaired(top, patient, found)
        records += found
    return Dataset(card, top, tuple(records), _image, _mask, problems=tuple(problems))


def _is_root(folder: Path) -> bool:
    scans = child(folder, "CT")
    return (
        scans is not None and scans.is_dir() and any(child(patient, "Ground") for patient in folders(scans))
    )


def _patient(card: DatasetCard, top: Path, folder: Path, problems: list[str]) -> list[Record]:
    images = _numbered(folder / "DICOM_anon", IMAGES, "i0042,0000b.dcm or IMG-0004-00042.dcm", problems)
    masks = _numbered(folder / "Ground", MASKS, "liver_GT_042.png", problems)
    if len(images) != len(masks):
        problems.append(
            f"{folder}: {len(images)} DICOM files but {len(masks)} masks; accepted: one mask a slice"
        )
        return []
    patient = f"CT-{folder.name}"
    pairs = zip(images, masks, strict=True)
    paths = [(image.relative_to(top).as_posix(), mask.relative_to(top).as_posix()) for image, mask in pairs]
    return [
        Record(card.name, image, patient, patient, mask_path=mask, meta={"rank": rank})
        for rank, (image, mask) in enumerate(paths)
    ]


def _numbered(
    folder: Path, patterns: tuple[re.Pattern[str], ...], example: str, problems: list[str]
) -> list[Path]:
    if not folder.is_dir():
        problems.append(f"{folder}: no such folder")
        return []
    numbered: dict[int, Path] = {}
    used: set[re.Pattern[str]] = set()
    for path in files(folder, ".dcm", ".png"):
        pattern = next((p for p in patterns if p.fullmatch(path.name)), None)
        if pattern is None:
            problems.append(f"{path}: its name has no slice number; accepted: such as {example}")
            continue
        used.add(pattern)
        numbered[int(pattern.fullmatch(path.name)[1])] = path  # type: ignore[index]
    if len(used) > 1:
        problems.append(f"{folder}: both styles of names ({example}) in one patient; their order is unknown")
    return [numbered[n] for n in sorted(numbered)]


def _mispaired(top: Path, folder: Path, records: list[Record]) -> list[str]:
    """A problem if the mean HU under the liver masks of up to CHECKED slices is not a liver's."""
    step = max(1, len(records) // CHECKED)
    try:
        livers = [_image(top, r)[mask > 0] for r in records[::step] if (mask := _mask(top, r)).any()]
    except InputError as error:
        return error.problems
    mean = float(np.concatenate(livers).mean()) if livers else None
    if mean is None or LIVER_HU[0] <= mean <= LIVER_HU[1]:
        return []
    expected = f"expected {LIVER_HU[0]:g} to {LIVER_HU[1]:g}"
    return [
        f"{folder}: mean of {mean:.0f} HU under the liver masks, {expected}: slices and masks are not paired"
    ]


def _image(root: Path, record: Record) -> NDArray[np.int16]:
    return hounsfield(root / record.image_path)


def _mask(root: Path, record: Record) -> NDArray[np.uint8]:
    return (read_ids(root / str(record.mask_path)) > 0).astype(np.uint8)
