"""REFUGE by pixel: the optic disc, cup included (stored 0 cup, 128 rim, 255 background)."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medpt.data.card import DatasetCard
from medpt.data.dataset import Dataset, Record, Split
from medpt.data.decode import read_grey
from medpt.data.readers import refuge
from medpt.data.readers.image_files import image

DISC = 150  # stored values below are cup or rim; 128 and 255 are published, JPEG traces occur in mirrors


def open(card: DatasetCard, root: Path, test: refuge.Test = "validation400") -> Dataset:
    """Masks 0 background, 1 disc; the test set is the publisher's validation set, or its test set.

    Raises InputError for images without a mask, masks without an image, and mixed editions.
    """
    problems: list[str] = []
    found = refuge.find(root, test, problems)
    problems += [
        f"{found.top / p}: no mask {n}.bmp in Disc_Cup_Masks"
        for n, p in found.images.items()
        if n not in found.masks
    ]
    problems += [
        f"{found.top / p}: no image {n}.jpg" for n, p in found.masks.items() if n not in found.images
    ]

    def make(name: str, split: Split) -> Record | None:
        if name not in found.masks:
            return None
        return Record(card.name, found.images[name], name, name, mask_path=found.masks[name], split=split)

    records = refuge.records(found, test, make)
    return Dataset(
        card, found.top, records, image, _mask, refuge.notes(found, test), problems=tuple(problems)
    )


def _mask(root: Path, record: Record) -> NDArray[np.uint8]:
    return (read_grey(root / str(record.mask_path)) < DISC).astype(np.uint8)
