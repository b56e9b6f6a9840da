"""NIH Pancreas-CT: DICOM series as the NBIA retriever stores them, NIfTI labels in a folder of their own.

Traps: labels are transposed, and of four cases one lies as it is, one has its planes, one its rows and one
both reversed; file numbers run against the height in every third case; a folder of one DICOM file beside the
series; case 25, which was withdrawn; a label without a series; `.nii` instead of `.nii.gz`.
"""

import gzip
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medpt.phantom.chaos_ct import abdomen
from medpt.phantom.dicom import computed
from medpt.phantom.paint import Canvas, Rng, ellipse, grid, stream

SLICES = 10
WITHDRAWN = 25
ALONE = 70  # its label is still in the archive
INTERCEPT = -1024


def write(folder: Path, seed: int, train: int = 4, test: int = 2, size: int = 96) -> None:
    """`train` cases, ten slices of size x size each; `test` that no reader may use, 25 and then 70."""
    for n in range(train + test):
        case = n + 1 if n < train else (WITHDRAWN, ALONE)[(n - train) % 2]
        rng = stream(seed, "NIH", case)
        planes = _volume(rng, size)
        if case != ALONE:
            _series(folder / "manifest-1599750808610" / "Pancreas-CT" / f"PANCREAS_{case:04d}", planes, case)
        mask = np.stack([mask for _, mask in planes], axis=2)
        mask = mask[:: -1 if n & 2 else 1, :, :: -1 if n & 1 else 1]
        name = f"label{case:04d}.nii" + ("" if n % 4 == 3 else ".gz")
        _label(folder / "TCIA_pancreas_labels-02-05-2017" / name, mask.transpose(1, 0, 2))


def _volume(rng: Rng, size: int) -> list[tuple[NDArray[np.int16], NDArray[np.uint8]]]:
    """From foot to head: Hounsfield units and pancreas (S, S)."""
    shape = rng.uniform(0.9, 1.1, 8)
    depths = np.linspace(1, 0.1, SLICES)
    return [_plane(rng, size, float(depth), shape) for depth in depths]


def _plane(
    rng: Rng, size: int, depth: float, shape: NDArray[np.floating]
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    x, y = grid(size, size)
    units, _ = abdomen(rng, size, depth, shape)
    pancreas = _pancreas(x, y, depth, shape)
    inside = pancreas > 0.5
    tissue = 88 + 7 * rng.standard_normal((size, size))
    blended = units * (1 - pancreas) + tissue * pancreas
    return np.rint(np.where(pancreas > 0.01, blended, units)).astype(np.int16), inside.astype(np.uint8)


def _pancreas(x: Canvas, y: Canvas, depth: float, shape: NDArray[np.floating]) -> Canvas:
    """Tail above, head below; none near either end of the scan."""
    if not 0.3 < depth < 0.85:
        return np.zeros(x.shape, np.float32)
    along = (depth - 0.3) / 0.55
    centre = (0.3 - 0.5 * along, -0.12 + 0.12 * along)
    return ellipse(x, y, centre, (0.2 * shape[5], 0.09 * shape[6]), 0.15, 0.3)


def _series(folder: Path, planes: list[tuple[NDArray[np.int16], NDArray[np.uint8]]], case: int) -> None:
    study = folder / f"11-24-2015-PANCREAS{case:04d}-Pancreas-18957"
    for place in (study / "Pancreas-99667", study / "Scout-10001"):
        place.mkdir(parents=True)
    for rank, (units, _) in enumerate(planes):
        number = SLICES - rank if case % 3 == 0 else rank + 1
        content = computed(units, INTERCEPT, 1.0 * rank - 150, f"{case}.{rank + 1}")
        (study / "Pancreas-99667" / f"1-{number:03d}.dcm").write_bytes(content)
    scout = computed(planes[0][0], INTERCEPT, 0.0, f"{case}.1000")
    (study / "Scout-10001" / "1-1.dcm").write_bytes(scout)


def _label(path: Path, voxels: NDArray[np.uint8]) -> None:
    import nibabel

    content = nibabel.Nifti1Image(voxels, np.eye(4)).to_bytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
