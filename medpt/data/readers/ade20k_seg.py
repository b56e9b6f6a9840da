"""ADE20K by pixel: the 150 classes of SceneParse150, from its masks or, where those are not there, from the
full release of 2016 or 2021.

In SceneParse150 a stored value v is class v - 1; the stored 0 (other objects) becomes 255 and is ignored, as
in the benchmark.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medpt.data.card import DatasetCard
from medpt.data.dataset import Dataset, Record, Split
from medpt.data.file_tree import files
from medpt.data.masks import read_ids
from medpt.data.readers import ade20k_full, sceneparse
from medpt.data.readers.image_files import image
from medpt.errors import InputError

CLASSES = 150


def open(card: DatasetCard, root: Path) -> Dataset:
    """Raises InputError for images without a mask and masks without an image."""
    top = sceneparse.find(root)
    if top is None:
        return _full(card, ade20k_full.find(root))
    images = sceneparse.images(top)
    masks = dict(_masks(top))
    problems = [
        f"{top / path}: no mask {name}.png in annotations"
        for name, (path, _) in images.items()
        if name not in masks
    ]
    problems += [f"{top / path}: no image {name}.jpg" for name, path in masks.items() if name not in images]
    return Dataset(card, top, _records(card, images, masks), image, _mask, problems=tuple(problems))


def _full(card: DatasetCard, top: Path) -> Dataset:
    images = ade20k_full.images(top)
    masks, problems = ade20k_full.masks(top, images)
    if problems:
        raise InputError(problems)
    return Dataset(card, top, _records(card, images, masks), image, ade20k_full.read_mask)


def _records(
    card: DatasetCard, images: dict[str, tuple[str, Split]], masks: dict[str, str]
) -> tuple[Record, ...]:
    return tuple(
        Record(card.name, path, name, name, mask_path=masks[name], split=split)
        for name, (path, split) in sorted(images.items())
        if name in masks
    )


def _masks(top: Path) -> Iterator[tuple[str, str]]:
    for subset in sceneparse.SUBSETS:
        folder = top / "annotations" / subset
        for path in files(folder, ".png") if folder.is_dir() else []:
            yield path.stem, path.relative_to(top).as_posix()


def _mask(root: Path, record: Record) -> NDArray[np.uint8]:
    path = root / str(record.mask_path)
    ids = read_ids(path)
    if ids.max() > CLASSES:
        raise InputError(f"{path}: value {ids.max()}; accepted: 0 (other) to {CLASSES}")
    return ids - np.uint8(1)  # 0 wraps to 255, ignored
