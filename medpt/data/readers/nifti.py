"""NIfTI volumes, read as they are stored, within the bounds of medpt.data.reading."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medpt.data.reading import check_volume, reading
from medpt.errors import InputError


def read_axial(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return (z, y, x) values, z to superior, y to posterior, x to left, and the 4 x 4 affine of the file.

    Raises InputError as `read_volume` does.
    """
    from nibabel.nifti1 import Nifti1Image
    from nibabel.orientations import apply_orientation, axcodes2ornt, io_orientation, ornt_transform

    stored = read_volume(path)
    with reading(path, "a NIfTI file"):
        affine = Nifti1Image.from_filename(path).affine
        turn = ornt_transform(io_orientation(affine), axcodes2ornt(("L", "P", "S")))
        return np.ascontiguousarray(apply_orientation(stored, turn).transpose(2, 1, 0)), affine


def read_volume(path: Path) -> NDArray[Any]:
    """Return the (x, y, z) values of a .nii or .nii.gz, by the header's slope and intercept.

    Raises InputError naming the file that is damaged, has other than three dimensions, would take more than
    MAX_BYTES, or holds values that are not finite.
    """
    from nibabel.nifti1 import Nifti1Image

    with reading(path, "a NIfTI file"):
        image = Nifti1Image.from_filename(path)
        if len(image.shape) != 3:
            raise InputError(f"{path}: an array of {len(image.shape)} dimensions; accepted: 3")
        check_volume(path, image.shape, image.get_data_dtype().itemsize)
        values = np.asanyarray(image.dataobj)
    if values.dtype.kind not in "buif" or not np.isfinite(values).all():
        raise InputError(f"{path}: values of {values.dtype} that are no number; accepted: finite real values")
    return values
