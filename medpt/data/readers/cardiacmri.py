"""CardiacMRI (York): cine MRI of 33 hearts as MATLAB files, contours drawn by hand.

`sol_yxzt_pat<N>.mat` holds a volume (y, x, z, t), `manual_seg_32points_pat<N>.mat` a cell (z, t) of either a
scalar below zero (nobody drew) or 65 rows: 32 endocardial points, a separator, 32 epicardial points, each
(x, y) in MATLAB's coordinates from 1. Folders differ by who unpacked them and do not matter. Where the
contours stand in the other order, which their areas show, they are swapped, and a note counts them.
"""

import os
import re
from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from annotated_types import Ge, MinLen
from numpy.typing import NDArray

from medpt.data.card import DatasetCard
from medpt.data.dataset import Dataset, Record
from medpt.data.file_tree import walk
from medpt.data.reading import check_volume, read_bytes, reading
from medpt.errors import InputError

VOLUME = re.compile(r"sol_yxzt_pat(\d+)\.mat", re.IGNORECASE)
CONTOURS = re.compile(r"manual_seg_32points_pat(\d+)\.mat", re.IGNORECASE)
POINTS = 32
Keep = Literal["all", "segmented"]
Frames = Annotated[Sequence[Annotated[int, Ge(0)]], MinLen(1)] | Literal["all"]
Contour = NDArray[np.float64]


class _Heart(NamedTuple):
    """The two files of one patient."""

    number: int
    volume: Path
    contours: Path


def open(card: DatasetCard, root: Path, frames: Frames = (0,), keep: Keep = "all") -> Dataset:
    """Masks 0 background, 1 inside the endocardium, 2 myocardium; images float32, arbitrary units.

    A record's slice is z + depth t. `frames`: those times, or all; `keep`: also the slices on which nobody
    drew, as background, or only the segmented ones. One frame and all slices make the 399 of Table 1.
    Raises InputError for files that do not pair, and for variables and sizes that are not the publisher's.
    """
    volumes, contours = _find(root)
    top = Path(os.path.commonpath([*volumes.values(), *contours.values()]))
    problems = [f"{volumes[n]}: no manual_seg_32points_pat{n}.mat" for n in sorted(volumes.keys() - contours)]
    problems += [f"{contours[n]}: no sol_yxzt_pat{n}.mat" for n in sorted(contours.keys() - volumes)]
    notes: list[str] = []
    records: list[Record] = []
    for number in sorted(volumes.keys() & contours):
        try:
            heart = _Heart(number, volumes[number], contours[number])
            records += _records(card, top, heart, frames, keep, notes)
        except InputError as error:
            problems += error.problems
    return Dataset(card, top, tuple(records), _image, _mask, tuple(notes), problems=tuple(problems))


def _find(root: Path) -> tuple[dict[int, Path], dict[int, Path]]:
    if not root.is_dir():
        raise InputError(f"{root}: no such folder")
    paths = [Path(entry.path) for entry in walk(root)]
    volumes, contours = (
        {int(match[1]): path for path in paths if (match := pattern.fullmatch(path.name))}
        for pattern in (VOLUME, CONTOURS)
    )
    if not volumes or not contours:
        raise InputError(f"{root}: expected sol_yxzt_pat1.mat and manual_seg_32points_pat1.mat below")
    return volumes, contours


def _records(
    card: DatasetCard, top: Path, heart: _Heart, frames: Sequence[int] | str, keep: Keep, notes: list[str]
) -> list[Record]:
    volume, contours = heart.volume, heart.contours
    _, _, depth, times = _shape(volume)
    drawn = _drawn(contours)
    if drawn.shape != (depth, times):
        raise InputError(f"{contours}: {drawn.shape} cells (z, t); its volume has {(depth, times)}")
    wanted = range(times) if isinstance(frames, str) else frames
    if late := [t for t in wanted if t >= times]:
        raise InputError(f"{volume}: no frame {late[0]}; accepted: 0 to {times - 1}")
    pairs = {(z, t): _pair(drawn[z, t], contours) for t in wanted for z in range(depth)}
    if swapped := sum(pair is not None and pair[2] for pair in pairs.values()):
        notes.append(f"{contours}: {swapped} cells name the epicardium first: swapped")
    paths = [path.relative_to(top).as_posix() for path in (volume, contours)]
    patient = f"pat{heart.number}"
    return [
        Record(card.name, paths[0], patient, patient, z + depth * t, None, paths[1], None, {"z": z, "t": t})
        for (z, t), pair in pairs.items()
        if keep == "all" or pair is not None
    ]


@lru_cache(maxsize=2)
def _shape(path: Path) -> tuple[int, ...]:
    """(y, x, z, t) of a volume, from its header alone."""
    from scipy.io import whosmat

    shapes = {name: shape for name, shape, _ in _matlab(whosmat, path)}
    shape = shapes.get("sol_yxzt", ())
    if len(shape) != 4:
        raise InputError(f"{path}: sol_yxzt of shape {shape}; accepted: four dimensions (y, x, z, t)")
    check_volume(path, shape, 8)
    return shape


@lru_cache(maxsize=2)
def _drawn(path: Path) -> NDArray[Any]:
    """Cells (z, t)."""
    from scipy.io import loadmat

    cells = _matlab(loadmat, path).get("manual_seg_32points")
    if not isinstance(cells, np.ndarray) or cells.dtype != object or cells.ndim != 2:
        raise InputError(f"{path}: no cell manual_seg_32points of two dimensions (z, t)")
    return cells


@lru_cache(maxsize=1)
def _volume(path: Path) -> NDArray[np.float32]:
    from scipy.io import loadmat

    _shape(path)  # its bounds, before the values are read
    values = _matlab(loadmat, path)["sol_yxzt"]
    if values.dtype.kind not in "buif" or not np.isfinite(values).all():
        raise InputError(f"{path}: sol_yxzt of {values.dtype}; accepted: finite real numbers")
    return values.astype(np.float32)


def _matlab(load: Any, path: Path) -> Any:
    with reading(path, "a MATLAB 5 file"):
        return load(BytesIO(read_bytes(path)))


def _pair(cell: Any, path: Path) -> tuple[Contour, Contour, bool] | None:
    """Endocardium and epicardium as (x, y) from 0, and whether they stood in the other order."""
    values = np.asarray(cell, np.float64)
    if values.size == 1 and values.item() < 0:
        return None
    if values.shape != (2 * POINTS + 1, 2):
        raise InputError(f"{path}: a cell of shape {values.shape}; accepted: (65, 2), or one number below 0")
    first, second = values[:POINTS] - 1, values[POINTS + 1 :] - 1
    swapped = area(first) > area(second)
    return (second, first, True) if swapped else (first, second, False)


def area(points: Contour) -> float:
    """Of a polygon (N, 2), in the square of its unit."""
    x, y = points.T
    return 0.5 * abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))))


def filled(points: Contour, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """(H, W), true where the pixel's centre is inside the polygon (N, 2) of (x, y): even-odd rule."""
    rows, columns = np.arange(shape[0]), np.arange(shape[1])
    inside = np.zeros(shape, bool)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        crossed = np.flatnonzero((y0 <= rows) != (y1 <= rows))
        x = x0 + (crossed - y0) * (x1 - x0) / (y1 - y0) if len(crossed) else crossed
        inside[crossed] ^= columns < x[:, None]
    return inside


def _image(root: Path, record: Record) -> NDArray[np.float32]:
    volume = _volume(root / record.image_path)
    return np.ascontiguousarray(volume[:, :, record.meta["z"], record.meta["t"]])


def _mask(root: Path, record: Record) -> NDArray[np.uint8]:
    path = root / str(record.mask_path)
    pair = _pair(_drawn(path)[record.meta["z"], record.meta["t"]], path)
    mask = np.zeros(_shape(root / record.image_path)[:2], np.uint8)
    if pair is not None:
        mask[filled(pair[1], mask.shape)] = 2
        mask[filled(pair[0], mask.shape)] = 1
    return mask
