"""NIfTI volumes of users' datasets as axial slices, oriented as DICOM: rows to posterior, columns to left.

A file is decompressed once for the slices that are read of it in a row.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medpt.data.card import FILE, Value
from medpt.data.dataset import IGNORE
from medpt.data.masks import class_numbers
from medpt.data.preprocess import steps
from medpt.data.readers.dicom import AIR, METAL
from medpt.data.readers.nifti import read_axial
from medpt.errors import InputError

VOLUMES = (".nii", ".nii.gz")
AIR_AT_MOST = -500  # Hounsfield units
ALIGNED = 1e-3  # of the affines of an image and its mask, in mm


def is_volume(name: str) -> bool:
    return name.lower().endswith(VOLUMES)


def slice_numbers(
    image: Path, mask: Path | None, values: Mapping[str, Value], classes: tuple[str, ...]
) -> list[int]:
    """Return the slices to use: all, or those whose mask has more than background.

    Raises InputError for a mask of another grid, or without a class in any slice.
    """
    planes, affine = _volume(image)
    if mask is None:
        return list(range(len(planes)))
    drawn, drawn_affine = _volume(mask)
    if drawn.shape != planes.shape or not np.allclose(affine, drawn_affine, atol=ALIGNED):
        raise InputError(
            f"{mask}: {drawn.shape} values (z, y, x) on another grid than {image}, {planes.shape}"
        )
    background = values.get(classes[0], 0)
    found = np.flatnonzero((drawn != background).any(axis=(1, 2))).tolist()
    if not found:
        raise InputError(f"{mask}: background alone in every slice")
    return found


def check_units(path: Path, pipeline: str) -> None:
    """Raise InputError for a CT volume whose values are not those that the pipeline takes."""
    planes = _volume(path)[0]
    if problem := units_problem(float(planes.min()), float(planes.max()), pipeline):
        raise InputError(f"{path}: {problem}")


def units_problem(low: float, high: float, pipeline: str) -> str | None:
    """Return what is wrong with CT whose values range from `low` to `high`, or None.

    Air and fat are below water, which is 0, and bone is above it. Images without values below 0, such as
    those of a skull-stripped brain, need a pipeline that does not begin with a window from below 0.
    """
    if low < 0 < high:
        return None
    text = f"values from {low:g} to {high:g}, not Hounsfield units (air is -1000, water 0)"
    if low < 0 or high <= 1:  # air alone, or fractions, which rounding would lose
        return text
    name, arguments = steps(pipeline)[0]
    if name != "window" or arguments[0] >= 0:
        return None
    accepted = "percentile(lo,hi) or a window from 0, such as window(0,80)|resize(256)|clahe(2,8)"
    return f"{text}; if these values are right, write a `pipeline` into {FILE} that begins with {accepted}"


def image_slice(path: Path, number: int, modality: str) -> NDArray[Any]:
    """Return (H, W): int16 Hounsfield units of CT, else float32 as stored."""
    plane = _volume(path)[0][number]
    if modality == "ct":
        return np.clip(np.rint(plane), AIR, METAL).astype(np.int16)
    return plane.astype(np.float32)


def mask_slice(
    path: Path, number: int, values: Mapping[str, Value], classes: tuple[str, ...]
) -> NDArray[np.uint8]:
    """Return (H, W) of class numbers. Raises InputError for fractions and for values that no class has."""
    stored = _whole(_volume(path)[0][number], path)
    return class_numbers(stored, values, classes, path) if values else stored


def mask_values(path: Path) -> set[int]:
    """Return the numbers of a volume that is a mask. Raises InputError as `mask_slice` does."""
    return set(np.flatnonzero(np.bincount(_whole(_volume(path)[0], path).ravel())).tolist())


def is_hounsfield(path: Path) -> bool:
    """Whether a volume has the values of air that CT has."""
    return float(_volume(path)[0].min()) <= AIR_AT_MOST


def _whole(stored: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    """Return stored numbers as uint8. Raises InputError for fractions and for other than 0 to 255."""
    low, high = stored.min(), stored.max()
    if low < 0 or high > IGNORE or (np.rint(stored) != stored).any():
        raise InputError(f"{path}: values from {low:g} to {high:g}; accepted: classes 0 to 255")
    return stored.astype(np.uint8)


def _volume(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    return _cached(path, path.stat().st_mtime_ns if path.exists() else 0)


@lru_cache(maxsize=2)  # an image and its mask
def _cached(path: Path, time: int) -> tuple[NDArray[Any], NDArray[np.float64]]:
    return read_axial(path)
