"""LUNA16: `subset<k>/<uid>.mhd` with `.raw`, `seg-lungs-LUNA16/<uid>.mhd` with `.zraw`, `annotations.csv`.

Traps: every second scan has a TransformMatrix of -1 0 0 0 -1 0 0 0 1, and every third mask has one where its
scan has none; the trachea is id 5; a scan without a mask, and a mask without a scan.
"""

import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medpt.phantom.luna import chest
from medpt.phantom.paint import stream

ROOT = "1.3.6.1.4.1.14519.5.2.1.6279.6001"
DEPTH = 6
SPACING = "0.7 0.7 2.5"
UPRIGHT, TURNED = "1 0 0 0 1 0 0 0 1", "-1 0 0 0 -1 0 0 0 1"


def write(folder: Path, seed: int, train: int = 12, test: int = 2, size: int = 96) -> None:
    """`train` scans with masks; `test` that lack the mask or, by turns, the scan. Six planes each."""
    for n in range(train + test):
        rng = stream(seed, "LUNA16", n)
        shape = rng.uniform(0.9, 1.1, 6)
        planes = [chest(rng, size, 1 - z / (DEPTH - 1), shape) for z in range(DEPTH)]
        uid = f"{ROOT}.{''.join(map(str, stream(0, 'LUNA16', 'uid', n).integers(1, 10, 30)))}"
        if n < train or (n - train) % 2 == 0:
            units = np.stack([units for units, _ in planes])
            _save(folder / f"subset{n % 10}" / uid, units, "MET_SHORT", n % 2 == 1, compressed=False)
        if n < train or (n - train) % 2 == 1:
            ids = np.stack([ids for _, ids in planes])
            _save(folder / "seg-lungs-LUNA16" / uid, ids, "MET_UCHAR", n % 3 == 2, compressed=True)
    (folder / "annotations.csv").write_text("seriesuid,coordX,coordY,coordZ,diameter_mm\n")


def _save(stem: Path, upright: NDArray[np.generic], kind: str, turned: bool, compressed: bool) -> None:
    """Writes voxels (z, y, x); `turned` stores them with x and y reversed and says so in the header."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    stored = np.ascontiguousarray(upright[:, ::-1, ::-1] if turned else upright)
    content = zlib.compress(stored.tobytes()) if compressed else stored.tobytes()
    data = f"{stem.name}.{'zraw' if compressed else 'raw'}"
    (stem.parent / data).write_bytes(content)
    depth, height, width = stored.shape
    extent = f"{0.7 * (width - 1):.4f} {0.7 * (height - 1):.4f}" if turned else "0 0"
    lines = [
        *("ObjectType = Image", "NDims = 3", "BinaryData = True", "BinaryDataByteOrderMSB = False"),
        f"CompressedData = {compressed}",
        *([f"CompressedDataSize = {len(content)}"] if compressed else []),
        f"TransformMatrix = {TURNED if turned else UPRIGHT}",
        *(f"Offset = {extent} 0", "CenterOfRotation = 0 0 0", "AnatomicalOrientation = RAI"),
        *(f"ElementSpacing = {SPACING}", f"DimSize = {width} {height} {depth}"),
        *(f"ElementType = {kind}", f"ElementDataFile = {data}"),
    ]
    (stem.parent / f"{stem.name}.mhd").write_text("\n".join(lines) + "\n")
