"""One DICOM slice to numbers: Hounsfield units, intensities, its place along the scan."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medpt.errors import InputError

if TYPE_CHECKING:
    from pydicom import FileDataset

AIR, METAL = -1024, 3071  # Hounsfield units; outside the field of view scanners write less


def hounsfield(path: Path) -> NDArray[np.int16]:
    """(H, W): stored values by RescaleSlope and RescaleIntercept, clipped to [-1024, 3071] HU.

    Raises InputError naming the file that is no DICOM, is cut short or has no rescaling.
    """
    scan, stored = _scan(path)
    try:
        units = stored.astype(np.float32) * float(scan.RescaleSlope) + float(scan.RescaleIntercept)
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(f"{path}: {error}") from None
    return np.clip(np.rint(units), AIR, METAL).astype(np.int16)


def intensities(path: Path) -> NDArray[np.float32]:
    """(H, W) as stored, in the scanner's arbitrary units. Raises InputError as `hounsfield` does."""
    return _scan(path)[1].astype(np.float32)


def height(path: Path) -> float:
    """z of ImagePositionPatient in mm, from the header alone. Raises InputError where there is none."""
    scan = _read(path, tags=["ImagePositionPatient"])
    try:
        return float(scan.ImagePositionPatient[2])
    except (AttributeError, TypeError, ValueError, IndexError):
        raise InputError(f"{path}: no ImagePositionPatient; the order of slices needs it") from None


def _scan(path: Path) -> tuple["FileDataset", NDArray[Any]]:
    scan = _read(path)
    try:
        return scan, scan.pixel_array
    except (AttributeError, ValueError, KeyError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{path}: {error}") from None


def _read(path: Path, tags: list[str] | None = None) -> "FileDataset":
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        return pydicom.dcmread(path, stop_before_pixels=tags is not None, specific_tags=tags)
    except (InvalidDicomError, OSError, EOFError) as error:
        raise InputError(f"{path}: not a DICOM file that can be read: {error}") from None
