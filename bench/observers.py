"""How far two people agree on vessels: the second observer's masks scored as a prediction of the first's.

    python -m bench.observers DATA [--sizes 96 256]

DATA holds DRIVE (its test set), STARE-SEG or both. Prints the mean IoU from one confusion matrix over all
images, as segmentation is scored (`medpt.metrics.mean_iou`), and the mean over images, in the owners'
resolution and in that of prepared masks. No network can be expected to pass this agreement.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medpt.data import open_dataset
from medpt.data.dataset import Dataset, Record
from medpt.data.locate import locate
from medpt.data.preprocess import default_pipeline, preprocess_pair
from medpt.errors import InputError
from medpt.metrics import class_iou, confusion_matrix, image_ious

Mask = NDArray[np.uint8]
SECOND = {  # what the names of the second observer's files have in place of the first's
    "DRIVE": (("1st_manual", "2nd_manual"), ("manual1", "manual2")),
    "STARE-SEG": (("labels-ah", "labels-vk"), (".ah.", ".vk.")),
}


def second_of(dataset: Dataset, record: Record) -> Record:
    """Return the record with the second observer's mask."""
    path = str(record.mask_path)
    for first, second in SECOND[dataset.info.name]:
        path = path.replace(first, second)
    return replace(record, mask_path=path)


def tested(dataset: Dataset) -> Iterator[Record]:
    """Yield the records of the official test set, or all where there is none."""
    return (record for record in dataset if record.split != "train" or not dataset.info.official_split)


def prepared(dataset: Dataset, record: Record, size: int | None) -> Mask:
    mask: Mask | None = dataset.mask(record)
    if size is not None:
        mask = preprocess_pair(dataset.image(record), mask, default_pipeline("fundus", size))[1]
    assert mask is not None, record
    return mask


def confusions(dataset: Dataset, size: int | None) -> NDArray[np.int64]:
    """Return the confusion matrices (N, 2, 2) of the second observer's masks against the first's."""
    pairs = ((record, second_of(dataset, record)) for record in tested(dataset))
    masks = ((prepared(dataset, second, size), prepared(dataset, first, size)) for first, second in pairs)
    return np.stack([confusion_matrix(second[None], first[None], 2) for second, first in masks])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--sizes", type=int, nargs="*", default=[96, 256])
    options = parser.parse_args()
    for name in SECOND:
        try:
            dataset = open_dataset(name, locate(name, options.data))
        except InputError as error:
            print(error)
            continue
        for size in (None, *options.sizes):
            found = confusions(dataset, size)
            pooled, images = 100 * class_iou(found.sum(0)).mean(), 100 * image_ious(found).mean()
            where = f"{name:<10} {size or 'original':>8}"
            print(f"{where}  mIoU {pooled:.1f}  mean over images {images:.1f}  n {len(found)}")


if __name__ == "__main__":
    main()
