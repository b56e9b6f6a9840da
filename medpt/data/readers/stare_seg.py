"""STARE by pixel: the vessels that Hoover drew (`im0001.ah.ppm.gz`) on 20 photographs.

The second observer's (`.vk.`) are not read.
"""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medpt.data.card import DatasetCard
from medpt.data.dataset import Dataset, Record
from medpt.data.decode import opencv
from medpt.data.file_tree import files, find_root, folders, walk
from medpt.data.readers import stare

VESSELS = re.compile(r"(im\d{4})\.ah\.ppm(?:\.gz)?", re.IGNORECASE)


def open(card: DatasetCard, root: Path) -> Dataset:
    """Masks 0 background, 1 vessel. Raises InputError for vessels without a photograph."""
    top = find_root(root, _is_root, "im0001.ah.ppm.gz, such as in labels-ah")
    masks = _masks(top)
    images = {
        name: path for folder in stare.photographs(top) for name, path in folder.items()
    }  # smallest last
    problems = [
        f"{top / path}: no photograph {name}.ppm" for name, path in masks.items() if name not in images
    ]
    records = (Record(card.name, images[n], n, n, mask_path=masks[n]) for n in sorted(masks.keys() & images))
    return Dataset(card, top, tuple(records), _image, _mask, problems=tuple(problems))


def _is_root(folder: Path) -> bool:
    return any(VESSELS.fullmatch(path.name) for place in (folder, *folders(folder)) for path in files(place))


def _masks(top: Path) -> dict[str, str]:
    paths = [Path(entry.path) for entry in walk(top)]
    found = ((VESSELS.fullmatch(path.name), path) for path in paths)
    return {match[1].lower(): path.relative_to(top).as_posix() for match, path in found if match}


def _image(root: Path, record: Record) -> NDArray[np.uint8]:
    return stare.read(root / record.image_path)


def _mask(root: Path, record: Record) -> NDArray[np.uint8]:
    drawn = stare.read(root / str(record.mask_path))
    grey = drawn if drawn.ndim == 2 else opencv().cvtColor(drawn, opencv().COLOR_RGB2GRAY)
    return (grey >= 128).astype(np.uint8)
