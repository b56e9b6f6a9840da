"""Small sets in memory that a network can learn, served by the real feed."""

from dataclasses import replace

import numpy as np

from medpt.data.arrays import ArrayLoader, Arrays
from medpt.data.manifest import Index


def _index(classes: int, size: int, train: int, labels: np.ndarray, masks: np.ndarray | None) -> Index:
    """The first `train` images are training data, the others test data; each is a patient of its own."""
    task = "classification" if masks is None else "segmentation"
    total, pixels = len(labels), None
    if masks is not None:
        pixels = np.stack([np.bincount(mask[mask != 255], minlength=classes) for mask in masks])
    return Index(
        *("Toy", task, "fundus", tuple("abcdefg"[:classes]), size),
        ids=np.array([f"{n:03}" for n in range(total)]),
        splits=np.array(["train"] * train + ["test"] * (total - train)),
        groups=np.array([f"p{n:03}" for n in range(total)]),
        labels=labels,
        pixels=pixels,
    )


def shades(train: int = 12, test: int = 6, classes: int = 2, size: int = 32, noise: int = 120) -> ArrayLoader:
    """Classification: the class is the brightness."""
    rng = np.random.default_rng(5)
    labels = np.arange(train + test) % classes
    level = 30 + 190 * labels // (classes - 1)
    images = level[:, None, None, None] + rng.integers(-noise, noise, (train + test, size, size, 3))
    index = _index(classes, size, train, labels, None)
    return ArrayLoader(Arrays(index, images.clip(0, 255).astype(np.uint8), labels))


def squares(
    train: int = 8, test: int = 4, classes: int = 2, size: int = 32, ignored: bool = False
) -> ArrayLoader:
    """Segmentation: squares as bright as their class on a dark ground; perhaps with the first row ignored."""
    rng = np.random.default_rng(6)
    masks = np.zeros((train + test, size, size), np.uint8)
    for number, mask in enumerate(masks):
        y, x = rng.integers(0, size // 2, 2)
        mask[y : y + size // 3, x : x + size // 3] = 1 + number % (classes - 1)
    level = 40 + 180 * masks.astype(int) // (classes - 1)
    images = level[..., None] + rng.integers(-20, 20, (*masks.shape, 3))
    masks[:, 0] = 255 if ignored else masks[:, 0]
    index = _index(classes, size, train, np.full(train + test, -1), masks)
    return ArrayLoader(Arrays(index, images.clip(0, 255).astype(np.uint8), masks))


def findings(train: int = 24, test: int = 12, size: int = 32) -> ArrayLoader:
    """Multilabel: an image is bright, red, both or neither; some labels are unknown."""
    rng = np.random.default_rng(7)
    labels = rng.integers(0, 2, (train + test, 2)).astype(np.float32)
    images = rng.integers(0, 40, (train + test, size, size, 3)) + 100 * labels[:, :1, None, None].astype(int)
    images[..., 0] += 100 * labels[:, 1, None, None].astype(int)
    labels[::5, 1] = np.nan
    index = replace(_index(2, size, train, labels, None), task="multilabel")
    return ArrayLoader(Arrays(index, images.clip(0, 255).astype(np.uint8), labels))
