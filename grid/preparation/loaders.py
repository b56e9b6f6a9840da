"""The loader of a prepared dataset: over arrays in the node's cache, or streaming its shards every epoch."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grid.preparation.streaming import fill_cache, stream, with_timeout
from medpt.data import cache
from medpt.data.arrays import ArrayLoader, Loader
from medpt.data.augment import ELEMENTS
from medpt.data.manifest import Index, Manifest, read_index, verify
from medpt.identity import stream_seed

WINDOW = 1024  # rows that a streamed epoch shuffles at a time


def open_loader(shard_folder: Path, cache_folder: Path, budget: int, device: str) -> Loader:
    """Return a loader over the node's cache if the arrays take at most `budget` bytes, else a streaming one.

    Raise InputError with every shard that is missing or damaged.
    """
    manifest = Manifest.read(shard_folder)
    if cache.nbytes(manifest) > budget:
        return StreamingLoader(shard_folder)
    return ArrayLoader(fill_cache(shard_folder, cache_folder, manifest), device)


class StreamingLoader:
    """A Loader that reads the shards through Ray Data every epoch, for datasets larger than the node's cache.

    Each epoch has its own order of shards, and rows are shuffled within a window of WINDOW rows. An epoch is
    one pass, each image under one transform. Batches are addressable: starting at batch n reads and drops
    those before it in its epoch. The order differs from ArrayLoader's, so that results depend on the loader.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = verify(folder)
        self._index = read_index(folder)
        bounds = np.cumsum([0, *(shard.rows for shard in self.manifest.shards)])
        self.spans = list(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True))

    @property
    def index(self) -> Index:
        return self._index

    def steps_per_epoch(self, rows: np.ndarray, batch_size: int, augment: bool = True) -> int:
        return max(1, len(rows) // batch_size) * (ELEMENTS if augment else 1)

    def batches(
        self, rows: np.ndarray, batch_size: int, seed: int, start: int = 0, augment: bool = True
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        steps = max(1, len(rows) // batch_size)
        for number in count(start // steps):
            generator = np.random.Generator(np.random.Philox(key=stream_seed(seed, "stream", number)))
            epoch = self._epoch(np.asarray(rows), batch_size, generator, augment)
            for step, batch in enumerate(epoch):
                if number * steps + step >= start and step < steps:
                    yield batch

    def scan(self, rows: np.ndarray, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        wanted = np.asarray(rows)
        if np.any(np.diff(wanted) <= 0):
            yield from self._scan_in_memory(wanted, batch_size)
            return
        shards = [n for n, (low, high) in enumerate(self.spans) if np.any((low <= wanted) & (wanted < high))]
        stream = _rows(self._read(wanted, shards))
        for group in _grouped(stream, batch_size):
            yield self._tensors(group)

    def _scan_in_memory(self, rows: np.ndarray, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Read rows of any order, each once, and keep them: for a few thousand images at most."""
        ordered, places = np.unique(rows, return_inverse=True)
        parts = zip(*self.scan(ordered, batch_size), strict=True)
        images, targets = (torch.cat(part) for part in parts)
        for start in range(0, len(rows), batch_size):
            taken = torch.from_numpy(places[start : start + batch_size])
            yield images[taken], targets[taken]

    def _epoch(
        self, rows: np.ndarray, batch_size: int, generator: np.random.Generator, augment: bool
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        order = generator.permutation(len(self.spans)).tolist()
        shuffled = _shuffled(_rows(self._read(rows, order)), generator)
        drops_last = len(rows) >= batch_size
        for group in _grouped(shuffled, batch_size):
            transforms = generator.integers(ELEMENTS if augment else 1, size=len(group))
            if len(group) == batch_size or not drops_last:
                yield *self._tensors(group), torch.from_numpy(transforms)

    def _read(self, rows: np.ndarray, order: list[int]) -> Iterator[dict[str, Any]]:
        wanted = {
            position: (rows[(low <= rows) & (rows < high)] - low)
            for position, (low, high) in enumerate(self.spans[n] for n in order)
        }

        def select(table: Any, position: int) -> dict[str, Any]:
            return _columns(table.take(wanted[position]))

        paths = [self.folder / self.manifest.shards[n].name for n in order]
        return with_timeout(stream(paths, select))

    def _tensors(self, group: list[dict[str, Any]]) -> tuple[Tensor, Tensor]:
        size = self.index.size
        images = np.stack([_pixels(row["image"], size, 3) for row in group])
        if self.index.task != "segmentation":
            labels = np.stack([row["label"] for row in group]).astype(self.index.labels.dtype)
            return torch.from_numpy(images), torch.from_numpy(labels)
        masks = np.stack([_pixels(row["mask"], size, 1)[..., 0] for row in group])
        return torch.from_numpy(images), torch.from_numpy(masks)


def _columns(table: Any) -> dict[str, Any]:
    return {
        name: np.array(table.column(name).to_pylist(), dtype=object) for name in ("label", "image", "mask")
    }


def _rows(batches: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for batch in batches:
        for number in range(len(batch["label"])):
            yield {name: column[number] for name, column in batch.items()}


def _shuffled(rows: Iterator[Any], generator: np.random.Generator) -> Iterator[Any]:
    """Yield a random row of a window of WINDOW rows as each further row enters it."""
    window: list[Any] = []
    for row in rows:
        if len(window) < WINDOW:
            window.append(row)
            continue
        position = int(generator.integers(WINDOW))
        window[position], row = row, window[position]
        yield row
    yield from (window[position] for position in generator.permutation(len(window)))


def _grouped(rows: Iterator[Any], size: int) -> Iterator[list[Any]]:
    group = []
    for row in rows:
        group.append(row)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _pixels(content: bytes, size: int, channels: int) -> np.ndarray:
    return np.frombuffer(content, np.uint8).reshape(size, size, channels)
