"""NIfTI volumes, read as they are stored, within the bounds of medpt.data.reading."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medpt.data.reading import check_volume, gunzip, read_bytes, reading
from medpt.errors import InputError

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Image


def read_axial(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return (z, y, x) values, z to superior, y to posterior, x to left, and the 4 x 4 affine of the file.

    Raises InputError as `read_volume` does.
    """
    from nibabel.orientations import apply_orientation, axcodes2ornt, io_orientation, ornt_transform

    with reading(path, "a NIfTI file"):
        image = _opened(path)
        stored, affine = _values(image, path), image.affine
        turn = ornt_transform(io_orientation(affine), axcodes2ornt(("L", "P", "S")))
        return np.ascontiguousarray(apply_orientation(stored, turn).transpose(2, 1, 0)), affine


def read_volume(path: Path) -> NDArray[Any]:
    """Return the (x, y, z) values of a .nii or .nii.gz, by the header's slope and intercept.

    Raises InputError naming the file that is damaged, has other than three dimensions (further ones of
    length 1 are dropped), would take more than MAX_BYTES, or holds values that are not finite.
    """
    with reading(path, "a NIfTI file"):
        return _values(_opened(path), path)


def _opened(path: Path) -> "Nifti1Image":
    """The image of a file; a .nii.gz is decompressed to its end, where its checksum stands."""
    from nibabel.nifti1 import Nifti1Image

    return Nifti1Image.from_bytes(gunzip(path) if path.name.lower().endswith(".gz") else read_bytes(path))


def _values(image: "Nifti1Image", path: Path) -> NDArray[Any]:
    if len(image.shape) < 3 or max(image.shape[3:], default=1) > 1:
        found = f"an array of {len(image.shape)} dimensions"
        raise InputError(f"{path}: {found}; accepted: 3, and further ones of length 1")
    check_volume(path, image.shape, image.get_data_dtype().itemsize)
    values = np.asanyarray(image.dataobj).reshape(image.shape[:3])
    if values.dtype.kind not in "buif" or not np.isfinite(values).all():
        raise InputError(f"{path}: values of {values.dtype} that are no number; accepted: finite real values")
    return values
