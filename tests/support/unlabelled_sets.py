"""Small images whose parts differ by where they are, and feeds that say what was read of them."""

import numpy as np
from torch import Tensor
from training_sets import _index

from medpt.data.arrays import ArrayLoader, Arrays


def hills(train: int = 16, test: int = 0, size: int = 32, labels: np.ndarray | None = None) -> ArrayLoader:
    """A bright hill near the middle of a slope, with discs and noise: in every place the light falls away
    in its own direction."""
    rng = np.random.default_rng(7)
    images = np.stack([_hill(rng, size) for _ in range(train + test)])
    labels = np.arange(train + test) % 2 if labels is None else labels
    return ArrayLoader(Arrays(_index(2, size, train, labels, None), images, labels))


def _hill(rng: np.random.Generator, size: int) -> np.ndarray:
    y, x = np.mgrid[:size, :size] / size
    cy, cx = rng.normal(0.5, 0.04, 2)
    light = 60 + 150 * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 0.12) + 40 * x
    for _ in range(3):
        by, bx = rng.uniform(0, 1, 2)
        light[(y - by) ** 2 + (x - bx) ** 2 < rng.uniform(0.03, 0.1) ** 2] += rng.integers(-40, 40)
    image = light[..., None] + rng.integers(-20, 20, 3) + rng.normal(0, 4, (size, size, 3))
    return image.clip(0, 255).astype(np.uint8)


class Watched(ArrayLoader):
    """A feed that notes the rows whose pixels were read."""

    def __init__(self, arrays: Arrays) -> None:
        super().__init__(arrays)
        self.read: set[int] = set()

    def _gather(self, places: Tensor) -> tuple[Tensor, Tensor]:
        self.read |= set(places.tolist())
        return super()._gather(places)
