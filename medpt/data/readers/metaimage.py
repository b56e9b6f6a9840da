"""MetaImage volumes (`.mhd` with `.raw` or `.zraw`), as ITK writes them, plane by plane.

Read: three-dimensional, one channel, little endian, raw or zlib, a plain number type, and a TransformMatrix
that is diagonal with entries of 1 or -1. Anything else is refused.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medpt.data.reading import check_volume, inflate, read_text, reading
from medpt.errors import InputError

TYPES = {"MET_SHORT": "<i2", "MET_USHORT": "<u2", "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_FLOAT": "<f4"}
AXES = ((1, 0, 0), (0, 1, 0), (0, 0, 1))


@dataclass(frozen=True)
class Header:
    """`flipped`: for the axes x, y, z, whether indices run against the patient's left, back and head."""

    path: Path
    data: Path
    depth: int
    height: int
    width: int
    dtype: str
    compressed: bool
    flipped: tuple[bool, bool, bool]


def header(path: Path) -> Header:
    """Raises InputError with all that is missing or outside of what is read."""
    lines = (line.partition("=") for line in read_text(path).splitlines())
    fields = {key.strip(): value.strip() for key, _, value in lines}
    problems = _problems(fields)
    if problems:
        raise InputError(f"{path}: {problem}" for problem in problems)
    width, height, depth = map(int, fields["DimSize"].split())
    check_volume(path, (depth, height, width), np.dtype(TYPES[fields["ElementType"]]).itemsize)
    return Header(
        path,
        path.parent / fields["ElementDataFile"],
        *(depth, height, width),
        TYPES[fields["ElementType"]],
        _true(fields, "CompressedData"),
        _flips(fields.get("TransformMatrix")) or (False, False, False),
    )


def _problems(fields: dict[str, str]) -> list[str]:
    sizes = fields.get("DimSize", "").split()
    checks = {
        "DimSize": len(sizes) == 3 and all(re.fullmatch("[1-9][0-9]{0,5}", size) for size in sizes),
        "ElementType": fields.get("ElementType") in TYPES,
        "ElementDataFile": _is_beside(fields.get("ElementDataFile", "LOCAL")),
        "TransformMatrix": _flips(fields.get("TransformMatrix")) is not None,
        "ElementNumberOfChannels": fields.get("ElementNumberOfChannels", "1") == "1",
        "BinaryDataByteOrderMSB": not _true(fields, "BinaryDataByteOrderMSB"),
    }
    accepted = {
        "DimSize": "three numbers",
        "ElementType": ", ".join(TYPES),
        "ElementDataFile": "the name of a file in the same folder",
        "TransformMatrix": "diagonal, of 1 and -1",
        "ElementNumberOfChannels": "1",
        "BinaryDataByteOrderMSB": "False",
    }
    return [
        f"{key} is {fields.get(key, 'missing')}; accepted: {accepted[key]}"
        for key, good in checks.items()
        if not good
    ]


def _is_beside(name: str) -> bool:
    """Whether it is the name of a file in the header's own folder: none is read from anywhere else."""
    return name not in ("", ".", "..", "LOCAL", "LIST") and not any(mark in name for mark in "/\\\0")


def _true(fields: dict[str, str], key: str) -> bool:
    return fields.get(key, "False").lower() == "true"


def _flips(matrix: str | None) -> tuple[bool, bool, bool] | None:
    if matrix is None:
        return (False, False, False)
    try:
        rows = np.array([float(value) for value in matrix.split()]).reshape(3, 3)
    except ValueError:
        return None
    if not np.array_equal(np.abs(rows), np.array(AXES)):
        return None
    x, y, z = (bool(rows[axis, axis] < 0) for axis in range(3))
    return x, y, z


def plane(volume: Header, z: int) -> NDArray[Any]:
    """(H, W) at height z counted toward the head; x runs to the patient's left, y to the back.

    Raises InputError naming the data file that is absent or of another length than the header says.
    """
    x_flip, y_flip, z_flip = volume.flipped
    values = _values(volume)[volume.depth - 1 - z if z_flip else z]
    return np.array(values[:: -1 if y_flip else 1, :: -1 if x_flip else 1])


@lru_cache(maxsize=2)  # a scan and its mask
def _values(volume: Header) -> NDArray[Any]:
    shape = (volume.depth, volume.height, volume.width)
    size = int(np.prod(shape)) * np.dtype(volume.dtype).itemsize
    with reading(volume.data, "a file of voxels"):
        found = volume.data.stat().st_size
        if not volume.compressed and found == size:
            return _finite(np.memmap(volume.data, volume.dtype, "r", shape=shape), volume)
        content = inflate(volume.data, size) if volume.compressed else None
    if content is None or len(content) != size:
        length = f"{found if content is None else min(len(content), size)} bytes"
        more = "more than " if content is not None and len(content) > size else ""
        raise InputError(f"{volume.data}: {more}{length} of voxels; {volume.path.name} says {size}")
    return _finite(np.frombuffer(content, volume.dtype).reshape(shape), volume)


def _finite(values: NDArray[Any], volume: Header) -> NDArray[Any]:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise InputError(f"{volume.data}: values that are no number; accepted: finite values")
    return values
