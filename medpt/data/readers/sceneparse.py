"""The tree of SceneParse150 (ADEChallengeData2016), from which ADE20K is read by scene and by pixel."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medpt.data.dataset import Record, Split
from medpt.data.decode import read_image
from medpt.data.locate import child, files, find_root

PARTS: dict[str, Split] = {"training": "train", "validation": "test"}


def find(root: Path) -> Path:
    """The folder that holds images/training or images/validation."""
    return find_root(root, lambda folder: any(_folder(folder, part) for part in PARTS), "images/training")


def images(top: Path) -> dict[str, tuple[str, Split]]:
    """Image id (its file's stem) to its path relative to `top` and its split; validation is the test part."""
    found: dict[str, tuple[str, Split]] = {}
    for part, split in PARTS.items():
        folder = _folder(top, part)
        for path in files(folder, ".jpg") if folder else []:
            found[path.stem] = (path.relative_to(top).as_posix(), split)
    return found


def read(root: Path, record: Record) -> NDArray[np.uint8]:
    return read_image(root / record.image_path)


def _folder(top: Path, part: str) -> Path | None:
    parent = child(top, "images")
    return child(parent, part) if parent and parent.is_dir() else None
