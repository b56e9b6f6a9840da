"""Prepared data under the classes of a network that other data trained: the same names, in its order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from medpt.data.dataset import IGNORE
from medpt.data.leakage import FilteredLoader
from medpt.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from medpt.data.arrays import Loader


@dataclass(frozen=True)
class ReorderedLoader(FilteredLoader):
    """A loader whose class k is the class `places[k]` of `feed`; scans alone are reordered."""

    places: tuple[int, ...]

    def scan(self, rows: np.ndarray, batch_size: int) -> "Iterator[tuple[Tensor, Tensor]]":
        import torch

        several = self.index.task == "multilabel"
        numbers = torch.from_numpy(_numbers(self.places))
        for images, targets in self.feed.scan(rows, batch_size):
            if several:
                yield images, targets[:, list(self.places)]
            else:
                yield images, numbers.to(targets.device)[targets.long()].to(targets.dtype)


def with_classes(loader: "Loader", classes: Sequence[str]) -> "Loader":
    """Return the loader with its classes in the order of `classes`.

    Raises InputError with both lists where the names differ.
    """
    index = loader.index
    if set(index.classes) != set(classes):
        raise InputError(
            f"{index.dataset} has the classes {', '.join(index.classes)}; the network was fine-tuned on "
            f"{', '.join(classes)}; accepted: the same names"
        )
    places = tuple(index.classes.index(name) for name in classes)
    labels = index.labels[:, list(places)] if index.task == "multilabel" else index.labels
    labels = _numbers(places)[labels] if index.task == "classification" else labels
    pixels, outside = (None if x is None else x[:, list(places)] for x in (index.pixels, index.outside))
    reordered = replace(index, classes=tuple(classes), labels=labels, pixels=pixels, outside=outside)
    return ReorderedLoader(loader, reordered, places)


def _numbers(places: Sequence[int]) -> np.ndarray:
    """Return the new number of each old one, (IGNORE + 1,); what is no class stays."""
    numbers = np.arange(IGNORE + 1)
    numbers[list(places)] = np.arange(len(places))
    return numbers
