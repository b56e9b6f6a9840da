"""NIfTI volumes, read as they are stored, within the bounds of medpt.data.reading."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medpt.data.reading import check_volume, reading
from medpt.errors import InputError


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
