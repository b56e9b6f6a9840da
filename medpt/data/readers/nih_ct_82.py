"""NIH Pancreas-CT: DICOM series and NIfTI labels, one record a slice.

A label's array is transposed against the DICOM rows and columns, and, by the tool that fetched the series, it
may run the other way up or the other way along the scan. No rule is trusted: opening tries the four ways
on slices of each case and keeps the one under whose mask the voxels are pancreas, in Hounsfield units and
evenly so. A case under OVERLAP in the best way stops the reading. Cases 25 and 70 are copies of case 2, which
the publisher withdrew: they are excluded. So are cases whose slices and label planes differ in number, and
labels without a series.

Opening reads every label and every header: about a second a case, a minute and a half for all.
"""

import os
import re
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from medpt.data.card import DatasetCard
from medpt.data.dataset import Dataset, Record
from medpt.data.file_tree import walk
from medpt.data.readers.dicom import height, hounsfield
from medpt.data.readers.nifti import read_volume
from medpt.errors import InputError

LABEL = re.compile(r"label(\d{4})\.nii(?:\.gz)?", re.IGNORECASE)
CASE = re.compile(r"PANCREAS_(\d{4})", re.IGNORECASE)
WITHDRAWN = {25, 70}
PANCREAS_HU = (-50, 250)  # portal venous phase, with fat between the lobules
OVERLAP = 0.9  # share of the mask's voxels that must be in that range
SPREAD = 400.0  # an SD of so many Hounsfield units weighs as much as the whole share
CHECKED = 8  # planes of a case on which the four ways are tried
Keep = Literal["organ_present", "all"]


class Way(NamedTuple):
    """How a label lies on its series: planes from the other end, rows from the other end."""

    flip_z: bool
    flip_rows: bool


@dataclass
class _Found:
    """What a walk sees, by case: folders with their DICOM files, and the label."""

    series: dict[int, dict[Path, list[Path]]] = field(default_factory=dict)
    labels: dict[int, Path] = field(default_factory=dict)


def open(card: DatasetCard, root: Path, keep: Keep = "organ_present") -> Dataset:
    """Masks 0 background, 1 pancreas; images int16 HU. `keep`: slices with pancreas, or all.

    Raises InputError for labels that cannot be read and for cases that no way of turning fits.
    """
    found = _find(root)
    top = Path(
        os.path.commonpath([*found.labels.values(), *(f for case in found.series.values() for f in case)])
    )
    problems: list[str] = []
    notes: list[str] = []
    records: list[Record] = []
    excluded = 0
    for number in sorted(found.labels):
        try:
            case = _case(card, top, number, found, keep, notes)
            records += case
            excluded += 0 if case else len(_kept(found.labels[number], keep))
        except InputError as error:
            problems += error.problems
    notes += [f"{top}: case {n:04d} excluded: no label" for n in sorted(found.series.keys() - found.labels)]
    return Dataset(
        card, top, tuple(records), _image, _mask, tuple(notes), {"train": excluded}, problems=tuple(problems)
    )


def _find(root: Path) -> _Found:
    if not root.is_dir():
        raise InputError(f"{root}: no such folder")
    found = _Found()
    for entry in walk(root):
        path = Path(entry.path)
        if match := LABEL.fullmatch(path.name):
            found.labels[int(match[1])] = path
        elif path.suffix.lower() == ".dcm":
            case = next((m for part in path.parts[::-1] if (m := CASE.fullmatch(part))), None)
            if case is not None:
                found.series.setdefault(int(case[1]), {}).setdefault(path.parent, []).append(path)
    if not found.series or not found.labels:
        raise InputError(f"{root}: expected PANCREAS_0001/.../*.dcm and label0001.nii.gz somewhere below")
    return found


def _case(
    card: DatasetCard, top: Path, number: int, found: _Found, keep: Keep, notes: list[str]
) -> list[Record]:
    """None, with a note, where the case is withdrawn or its label has no series of as many slices."""
    label, patient = found.labels[number], f"PANCREAS_{number:04d}"
    slices = [] if number in WITHDRAWN else _slices(found.series.get(number, {}))
    depth = _planes(label).shape[2]
    if len(slices) != depth:
        why = (
            "withdrawn, a copy of case 2" if number in WITHDRAWN else f"{depth} planes, {len(slices)} slices"
        )
        notes.append(f"{label}: case excluded: {why}")
        return []
    way, overlap = _way(label, slices)
    meta = {"flip_rows": way.flip_rows, "overlap": round(overlap, 4)}
    paths = {k: _slice_at(slices, k, way).relative_to(top).as_posix() for k in _kept(label, keep)}
    truth = label.relative_to(top).as_posix()
    return [
        Record(card.name, path, patient, patient, mask_path=truth, meta={"plane": k, **meta})
        for k, path in paths.items()
    ]


def _kept(label: Path, keep: Keep) -> list[int]:
    """Planes of a label, all or those with pancreas."""
    planes = _planes(label)
    return [int(k) for k in np.flatnonzero(planes.any(axis=(0, 1)) | (keep == "all"))]


def _slices(folders: dict[Path, list[Path]]) -> list[Path]:
    """The files of the one series, from foot to head."""
    series = [paths for paths in folders.values() if len(paths) > 1]
    if len(series) > 1:
        names = ", ".join(map(str, sorted(folders)))
        raise InputError(f"{names}: {len(series)} series of more than one slice; accepted: one a case")
    return sorted(series[0], key=height) if series else []


def _slice_at(slices: list[Path], plane: int, way: Way) -> Path:
    return slices[len(slices) - 1 - plane if way.flip_z else plane]


@lru_cache(maxsize=2)
def _planes(path: Path) -> NDArray[np.bool_]:
    """(rows, columns, planes) of a label, transposed into the image plane."""
    values = read_volume(path)
    return (values > 0).transpose(1, 0, 2)


def _way(label: Path, slices: list[Path]) -> tuple[Way, float]:
    """The way of the best score and its share of voxels in PANCREAS_HU."""
    planes, present = _planes(label), _kept(label, "organ_present")
    tried = present[:: max(1, -(-len(present) // CHECKED))]
    if not tried:
        raise InputError(f"{label}: no pancreas in it")
    scores: dict[Way, tuple[float, float]] = {}
    for way in (Way(*flips) for flips in product((False, True), repeat=2)):
        values = np.concatenate([_under(_slice_at(slices, k, way), planes[:, :, k], way) for k in tried])
        share = float(np.mean((values >= PANCREAS_HU[0]) & (values <= PANCREAS_HU[1])))
        scores[way] = (share - float(values.std()) / SPREAD, share)
    best = max(scores, key=lambda way: scores[way][0])
    share = scores[best][1]
    if share < OVERLAP:
        raise InputError(
            f"{label}: at best {share:.0%} of the mask is in {PANCREAS_HU[0]} to {PANCREAS_HU[1]} HU; "
            f"accepted: {OVERLAP:.0%}: label and series are not one case"
        )
    return best, share


def _under(path: Path, mask: NDArray[np.bool_], way: Way) -> NDArray[np.int16]:
    """Hounsfield units of the voxels under the mask."""
    units = _units(path)
    if units.shape != mask.shape:
        raise InputError(f"{path}: {units.shape} pixels; its label has {mask.shape}")
    return units[mask[::-1] if way.flip_rows else mask]


_units = lru_cache(maxsize=CHECKED)(hounsfield)  # two ways try the same slices


def _image(root: Path, record: Record) -> NDArray[np.int16]:
    return hounsfield(root / record.image_path)


def _mask(root: Path, record: Record) -> NDArray[np.uint8]:
    plane = _planes(root / str(record.mask_path))[:, :, record.meta["plane"]]
    return np.ascontiguousarray(plane[::-1] if record.meta["flip_rows"] else plane).astype(np.uint8)
