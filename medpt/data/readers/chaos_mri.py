"""CHAOS-MRI, training set: four abdominal organs in T1 (in and out of phase) and T2 slices.

A mask is named as the in-phase image of T1, or the image of T2, that it was drawn on. The out-of-phase images
have other numbers, interleaved with those, and share the in-phase masks by rank: both were taken in one
breath. Masks hold grey levels an organ; levels outside every organ's range become 255, and a note counts
the masks that have them. MR patients are other people than the CT patients of the same numbers.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from annotated_types import MinLen
from numpy.typing import NDArray

from medpt.data.card import DatasetCard
from medpt.data.dataset import IGNORE, Dataset, Record
from medpt.data.file_tree import child, files, find_root, folders
from medpt.data.masks import read_ids
from medpt.data.readers.dicom import intensities
from medpt.errors import InputError

NUMBER = re.compile(r"IMG-\d+-(\d+)\.(?:dcm|png)", re.IGNORECASE)
PHASES = {"in": "InPhase", "out": "OutPhase"}
LEVELS = ((56, 70), (111, 135), (176, 200), (241, 255))  # of the organs in the order of the classes
Keep = Literal["organ_present", "all"]
Phases = Annotated[Sequence[Literal["in", "out"]], MinLen(1)]


def open(card: DatasetCard, root: Path, keep: Keep = "organ_present", phases: Phases = ("in",)) -> Dataset:
    """Masks 0 background, 1 liver, 2 right kidney, 3 left kidney, 4 spleen; images float32, arbitrary units.

    `keep`: slices with at least one organ, or all; `phases`: of T1, "in", "out" or both.
    Raises InputError for slices and masks that do not pair.
    """
    top = find_root(root, _is_root, "MR/<patient>/T2SPIR/Ground")
    problems: list[str] = []
    records: list[Record] = []
    for patient in sorted(folders(top / "MR"), key=lambda folder: (len(folder.name), folder.name)):
        for phase in dict.fromkeys(phases):
            records += _series(card, top, patient, f"T1-{phase}", PHASES[phase], problems)
        records += _series(card, top, patient, "T2", None, problems)
    return _dataset(card, top, records, keep, problems)


def _is_root(folder: Path) -> bool:
    scans = child(folder, "MR")
    return (
        scans is not None
        and scans.is_dir()
        and any(child(patient / "T2SPIR", "Ground") for patient in folders(scans))
    )


def _series(
    card: DatasetCard, top: Path, folder: Path, sequence: str, phase: str | None, problems: list[str]
) -> list[Record]:
    series = folder / ("T1DUAL" if phase else "T2SPIR")
    images = _numbered(series / "DICOM_anon" / (phase or ""), ".dcm", problems)
    masks = _numbered(series / "Ground", ".png", problems)
    drawn_on = images if phase != "OutPhase" else dict(zip(sorted(masks), _ranked(images), strict=False))
    if len(images) != len(masks):
        problems.append(
            f"{series}: {len(images)} {sequence} images but {len(masks)} masks; accepted: one each"
        )
    elif strange := sorted(masks.keys() - drawn_on):
        problems.append(f"{masks[strange[0]]}: no image of that name; accepted: masks named as their images")
    else:
        return [_record(card, top, folder.name, sequence, drawn_on[n], masks[n]) for n in sorted(masks)]
    return []


def _numbered(folder: Path, suffix: str, problems: list[str]) -> dict[int, Path]:
    if not folder.is_dir():
        problems.append(f"{folder}: no such folder")
        return {}
    found: dict[int, Path] = {}
    for path in files(folder, suffix):
        match = NUMBER.fullmatch(path.name)
        if match is None or int(match[1]) in found:
            problems.append(f"{path}: accepted: one file a number, such as IMG-0004-00002{suffix}")
        else:
            found[int(match[1])] = path
    return found


def _ranked(numbered: dict[int, Path]) -> list[Path]:
    return [numbered[n] for n in sorted(numbered)]


def _record(card: DatasetCard, top: Path, patient: str, sequence: str, image: Path, mask: Path) -> Record:
    paths = (image.relative_to(top).as_posix(), mask.relative_to(top).as_posix())
    name = f"MR-{patient}"
    return Record(card.name, paths[0], name, name, mask_path=paths[1], meta={"sequence": sequence})


def _dataset(card: DatasetCard, top: Path, records: list[Record], keep: Keep, problems: list[str]) -> Dataset:
    """Looks at every mask once: which have an organ, which have levels that are no organ's."""
    organs: dict[str, NDArray[np.bool_]] = {}
    for name in sorted({str(record.mask_path) for record in records}):
        try:
            organs[name] = np.bincount(_labels(top / name).ravel(), minlength=IGNORE + 1) > 0
        except InputError as error:
            problems += error.problems
    present = {name for name, found in organs.items() if found[1:IGNORE].any()}
    kept = [record for record in records if keep == "all" or record.mask_path in present]
    strange = sum(bool(found[IGNORE]) for found in organs.values())
    notes = [f"{top}: {strange} masks have levels of no organ; those pixels are ignored"] * bool(strange)
    if without := len(records) - len(kept):
        notes.append(f"{top}: {without} of {len(records)} labelled slices excluded: no organ in them")
    excluded = {"train": without} if without else {}
    return Dataset(card, top, tuple(kept), _image, _mask, tuple(notes), excluded, tuple(problems))


def _labels(path: Path) -> NDArray[np.uint8]:
    table = np.full(256, IGNORE, np.uint8)
    table[0] = 0
    for organ, (low, high) in enumerate(LEVELS, 1):
        table[low : high + 1] = organ
    return table[read_ids(path)]


def _image(root: Path, record: Record) -> NDArray[np.float32]:
    return intensities(root / record.image_path)


def _mask(root: Path, record: Record) -> NDArray[np.uint8]:
    return _labels(root / str(record.mask_path))
