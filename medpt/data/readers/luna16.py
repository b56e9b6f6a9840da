"""LUNA16: chest CT volumes with lung masks, `subset<k>/<uid>.mhd` and `seg-lungs-LUNA16/<uid>.mhd`.

The publisher calls the masks automatic: they are no reference standard. Scans and masks are joined by their
series UID, because not everybody downloads all ten subsets, and each is turned upright by its own header.
The subset is the official fold and stands in `meta`. LUNA16 names series, not patients: a `metadata.csv` of
LIDC-IDRI beside the subsets (columns `Series UID`, `Subject ID`) shows which series are one patient's.
"""

import re
from pathlib import Path
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from medpt.data.card import DatasetCard
from medpt.data.dataset import Dataset, Record
from medpt.data.file_tree import child, files, find_root, folders
from medpt.data.readers import metaimage
from medpt.data.readers.dicom import AIR, METAL
from medpt.data.tables import csv_rows
from medpt.errors import InputError

SUBSET = re.compile(r"subset(\d)", re.IGNORECASE)
MASKS = "seg-lungs-LUNA16"
LUNGS = (3, 4)  # 5 is the trachea
Keep = Literal["largest", "organ_present", "all"]


def open(card: DatasetCard, root: Path, keep: Keep = "largest") -> Dataset:
    """Masks 0 background, 1 lung; images int16 HU; a record's slice is its height toward the head.

    `keep`: of each scan the plane of the largest lung area (as the paper's 2-D set), the planes with lung,
    or all planes. The first two read every mask on opening (about 0.3 s a scan).
    Raises InputError for headers that cannot be read and masks of another size than their scan.
    """
    top = find_root(root, lambda folder: child(folder, MASKS) is not None and bool(_scans(folder)), MASKS)
    scans = _scans(top)
    masks = {path.stem: path for path in files(top / MASKS, ".mhd")}
    problems: list[str] = []
    patients = _patients(top, problems)
    records: list[Record] = []
    for uid in sorted(scans.keys() & masks):
        for plane in _planes(scans[uid], masks[uid], keep, problems):
            records.append(_record(card, top, patients.get(uid, uid), scans[uid], masks[uid], plane))
    counts = {
        "scans without a mask": len(scans.keys() - masks),
        "masks without a scan": len(masks - scans.keys()),
    }
    notes = tuple(f"{top}: {count} {what} excluded" for what, count in counts.items() if count)
    return Dataset(card, top, tuple(records), _image, _mask, notes, problems=tuple(problems))


def _scans(folder: Path) -> dict[str, Path]:
    subsets = [inner for inner in folders(folder) if SUBSET.fullmatch(inner.name)]
    return {path.stem: path for subset in subsets for path in files(subset, ".mhd")}


def _patients(top: Path, problems: list[str]) -> dict[str, str]:
    """Series UID to patient."""
    path = child(top, "metadata.csv")
    if path is None:
        return {}
    return {
        series: patient for _, (series, patient) in csv_rows(path, ("Series UID", "Subject ID"), problems)
    }


def _planes(scan: Path, mask: Path, keep: Keep, problems: list[str]) -> list[int]:
    try:
        image, truth = metaimage.header(scan), metaimage.header(mask)
        sizes = [(v.depth, v.height, v.width) for v in (image, truth)]
        if sizes[0] != sizes[1]:
            raise InputError(f"{mask}: {sizes[1]} voxels (z, y, x); its scan has {sizes[0]}")
        return _kept(truth, keep)
    except InputError as error:
        problems += error.problems
        return []


def _record(card: DatasetCard, top: Path, patient: str, scan: Path, mask: Path, plane: int) -> Record:
    image_path, mask_path = (path.relative_to(top).as_posix() for path in (scan, mask))
    fold = {"fold": int(scan.parent.name[-1])}
    return Record(card.name, image_path, patient, patient, plane, None, mask_path, None, fold)


def _kept(truth: metaimage.Header, keep: Keep) -> list[int]:
    if keep == "all":
        return list(range(truth.depth))
    areas = [int(_lung(metaimage.plane(truth, z)).sum()) for z in range(truth.depth)]
    if keep == "largest":
        return [int(np.argmax(areas))] if any(areas) else []
    return [z for z, area in enumerate(areas) if area]


def _lung(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    return np.isin(values, LUNGS).astype(np.uint8)


def _image(root: Path, record: Record) -> NDArray[np.int16]:
    units = metaimage.plane(metaimage.header(root / record.image_path), cast(int, record.slice))
    return np.clip(np.rint(units), AIR, METAL).astype(np.int16)


def _mask(root: Path, record: Record) -> NDArray[np.uint8]:
    return _lung(metaimage.plane(metaimage.header(root / str(record.mask_path)), cast(int, record.slice)))
