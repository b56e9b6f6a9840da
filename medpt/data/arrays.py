"""The batches that are drawn from the arrays of medpt.data.cache.

Batches are addressable: batch n depends on the rows, the batch size, the seed and n alone, so that a run that
was killed resumes with the batches it would have had.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import count
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from medpt.data.augment import ELEMENTS
from medpt.data.cache import Arrays
from medpt.data.manifest import Index
from medpt.errors import InputError
from medpt.identity import stream_seed


class BatchSource(Protocol):
    """What a network is trained and validated on: endless shuffled batches, and one pass in order."""

    def batches(
        self, rows: np.ndarray, batch_size: int, seed: int, start: int = 0, augment: bool = True
    ) -> Iterator[tuple[Tensor, Tensor, Tensor, *tuple[int, ...]]]:
        """Batches number start, start + 1, ... without end: images uint8 (B, S, S, 3), targets int64 (B,),
        float32 (B, K) or uint8 (B, S, S), and the transforms int64 (B,) of medpt.data.augment.dihedral that
        are still to apply.

        An epoch is every row under each of the eight transforms (without `augment`: once, as it is), in an
        order of its own; its incomplete last batch is dropped unless it is the only one. What follows the
        transforms in a batch goes to the loss of the task.
        """

    def steps_per_epoch(self, rows: np.ndarray, batch_size: int, augment: bool = True) -> int: ...

    def scan(self, rows: np.ndarray, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Each row once in the given order: images and targets as in `batches`, the rest as last batch."""


class Loader(BatchSource, Protocol):
    """The prepared data of one dataset; its batches are images, targets and transforms."""

    @property
    def index(self) -> Index: ...

    def batches(
        self, rows: np.ndarray, batch_size: int, seed: int, start: int = 0, augment: bool = True
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]: ...


class ArrayLoader:
    """A Feed over mapped arrays, on the CPU or a CUDA device.

    On a CUDA device the set is kept there where it fits into half of the memory that is free at the first
    batch; else each batch goes through pinned memory.
    """

    def __init__(self, arrays: Arrays, device: str | torch.device = "cpu") -> None:
        self.arrays = arrays
        self.device = torch.device(device)

    @property
    def index(self) -> Index:
        return self.arrays.index

    def batches(
        self, rows: np.ndarray, batch_size: int, seed: int, start: int = 0, augment: bool = True
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        steps = self.steps_per_epoch(rows, batch_size, augment)
        skipped = start % steps
        for epoch in count(start // steps):
            drawn, transforms = epoch_order(rows, seed, epoch, augment)
            on_device = torch.from_numpy(transforms).to(self.device)
            places = self._places(drawn)
            for step in range(skipped, steps):
                part = slice(step * batch_size, (step + 1) * batch_size)
                yield *self._gather(places[part]), on_device[part]
            skipped = 0

    def steps_per_epoch(self, rows: np.ndarray, batch_size: int, augment: bool = True) -> int:
        """Raises InputError where there are no rows."""
        if not len(rows):
            raise InputError(f"{self.index.dataset}: no images to draw batches from")
        return max(1, len(rows) * (ELEMENTS if augment else 1) // batch_size)

    def scan(self, rows: np.ndarray, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        places = self._places(np.asarray(rows, dtype=np.int64))
        for start in range(0, len(rows), batch_size):
            yield self._gather(places[start : start + batch_size])

    @cached_property
    def _resident(self) -> tuple[Tensor, Tensor] | None:
        if self.device.type != "cuda" or self.arrays.nbytes > torch.cuda.mem_get_info(self.device)[0] // 2:
            return None
        return _on(self.arrays.images, self.device), _on(self.arrays.targets, self.device)

    def _places(self, rows: np.ndarray) -> Tensor:
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(self.index):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(self.index)}")
        places = torch.from_numpy(rows)
        return places.to(self.device) if self._resident else places

    def _gather(self, places: Tensor) -> tuple[Tensor, Tensor]:
        if self._resident:
            images, targets = self._resident
            return images[places], targets[places]
        return self._taken(self.arrays.images, places), self._taken(self.arrays.targets, places)

    def _taken(self, array: np.ndarray, places: Tensor) -> Tensor:
        pinned = self.device.type == "cuda"
        kind = torch.from_numpy(np.empty(0, array.dtype)).dtype
        taken = torch.empty((len(places), *array.shape[1:]), dtype=kind, pin_memory=pinned)
        np.take(array, places.numpy(), axis=0, out=taken.numpy(), mode="clip")  # "raise" would buffer `out`
        return taken.to(self.device, non_blocking=True)


def epoch_order(rows: np.ndarray, seed: int, epoch: int, augment: bool) -> tuple[np.ndarray, np.ndarray]:
    """The rows and the transforms of one epoch in their order: int64 (8 N,) each, (N,) without `augment`."""
    elements = ELEMENTS if augment else 1
    generator = np.random.Generator(np.random.Philox(key=stream_seed(seed, "order", epoch)))
    drawn = generator.permutation(len(rows) * elements)
    return np.asarray(rows, dtype=np.int64)[drawn // elements], drawn % elements


def _on(array: np.ndarray, device: torch.device, rows: int = 1024) -> Tensor:
    whole = torch.empty(array.shape, dtype=torch.from_numpy(np.empty(0, array.dtype)).dtype, device=device)
    for start in range(0, len(array), rows):
        whole[start : start + rows] = torch.from_numpy(np.array(array[start : start + rows])).to(device)
    return whole
