"""Prepared shards to a trainer: through Ray Data, once into the node's cache or afresh every epoch.

Data tasks ask for no CPU, so that a trial that holds the last one can never wait for a task that cannot
start (measured: with one CPU a task, two trials on two cores hang for ever).
"""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grid.prepare import quiet_ray_data
from medpt.data import arrays
from medpt.data.arrays import Feed
from medpt.data.augment import ELEMENTS
from medpt.data.manifest import Index, Manifest, read_index, verify
from medpt.spec import stream_seed

SILENCE = 120.0  # seconds without a batch after which a trial gives up
WINDOW = 1024  # rows that a streamed epoch shuffles at a time


class StarvedError(OSError):
    """No batch came for too long: an infrastructure fault."""


def open_feed(shard_folder: Path, cache_folder: Path, budget: int, device: str) -> Feed:
    """A feed over the node's cache where the set takes at most `budget` bytes, else over the stream.

    Raises InputError naming every shard that is missing or damaged.
    """
    manifest = Manifest.read(shard_folder)
    if arrays.nbytes(manifest) > budget:
        return StreamFeed(shard_folder)
    return arrays.ArrayFeed(fill_cache(shard_folder, cache_folder, manifest), device)


def fill_cache(shard_folder: Path, cache_folder: Path, manifest: Manifest) -> arrays.Arrays:
    """The node's arrays, streamed from the shards where they are not there yet; one process builds them."""

    def verified() -> Iterator[dict[str, Any]]:
        verify(shard_folder)
        yield from watched(_stream([shard_folder / shard.name for shard in manifest.shards], _whole))

    arrays.build(cache_folder, manifest, read_index(shard_folder), verified())
    return arrays.open_arrays(cache_folder)


def _whole(table: Any, position: int) -> dict[str, Any]:
    return {name: np.array(table.column(name).to_pylist(), dtype=object) for name in ("id", "image", "mask")}


def _stream(paths: list[Path], select: Callable[[Any, int], dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """One batch of columns a shard, in the order of `paths`."""
    import ray

    quiet_ray_data()
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    here = {"ray.io/node-id": ray.get_runtime_context().get_node_id()}

    def read(batch: Any) -> Any:
        from pyarrow import parquet

        return select(parquet.read_table(batch["path"][0]), int(batch["position"][0]))

    items = [{"path": str(path), "position": position} for position, path in enumerate(paths)]
    blocks = ray.data.from_items(items, override_num_blocks=len(items))
    read_blocks = blocks.map_batches(read, batch_size=1, num_cpus=0, label_selector=here)
    batches: Any = read_blocks.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=2)
    yield from batches


def watched(batches: Iterator[Any], silence: float = SILENCE) -> Iterator[Any]:
    """The same batches; StarvedError where the next one takes longer than `silence` seconds."""
    from concurrent.futures import ThreadPoolExecutor
    from concurrent.futures import TimeoutError as Late

    reader = ThreadPoolExecutor(1, "batches")
    try:
        end = object()
        while (batch := reader.submit(next, batches, end).result(silence)) is not end:
            yield batch
    except Late:
        raise StarvedError(
            f"no batch of data for {silence:.0f} s: the cluster has no room left for Ray Data's tasks"
        ) from None
    finally:
        reader.shutdown(wait=False, cancel_futures=True)


class StreamFeed:
    """A Feed that reads the shards through Ray Data every epoch, for sets larger than the node's cache.

    Shards come in an order of the epoch's own, and rows are shuffled within a window; an epoch is one pass,
    each image under one transform. Batches are addressable: starting at batch n reads and drops those before
    it in its epoch. The order differs from ArrayFeed's, so a set's numbers depend on how it was fed.
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
        if np.any(np.diff(wanted) < 0):
            raise ValueError("a stream gives rows in ascending order only")
        shards = [n for n, (low, high) in enumerate(self.spans) if np.any((low <= wanted) & (wanted < high))]
        stream = _rows(self._read(wanted, shards))
        for group in _grouped(stream, batch_size):
            yield self._tensors(group)

    def _epoch(
        self, rows: np.ndarray, batch_size: int, generator: np.random.Generator, augment: bool
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        order = generator.permutation(len(self.spans)).tolist()
        shuffled = _shuffled(_rows(self._read(rows, order)), generator)
        whole = len(rows) >= batch_size
        for group in _grouped(shuffled, batch_size):
            transforms = generator.integers(ELEMENTS if augment else 1, size=len(group))
            if len(group) == batch_size or not whole:
                yield *self._tensors(group), torch.from_numpy(transforms)

    def _read(self, rows: np.ndarray, order: list[int]) -> Iterator[dict[str, Any]]:
        wanted = {
            position: (rows[(low <= rows) & (rows < high)] - low)
            for position, (low, high) in enumerate(self.spans[n] for n in order)
        }

        def select(table: Any, position: int) -> dict[str, Any]:
            return _whole_rows(table.take(wanted[position]))

        paths = [self.folder / self.manifest.shards[n].name for n in order]
        return watched(_stream(paths, select))

    def _tensors(self, group: list[dict[str, Any]]) -> tuple[Tensor, Tensor]:
        size = self.index.size
        images = np.stack([_pixels(row["image"], size, 3) for row in group])
        if self.index.task == "classification":
            return torch.from_numpy(images), torch.tensor([int(row["label"]) for row in group])
        masks = np.stack([_pixels(row["mask"], size, 1)[..., 0] for row in group])
        return torch.from_numpy(images), torch.from_numpy(masks)


def _whole_rows(table: Any) -> dict[str, Any]:
    return {
        name: np.array(table.column(name).to_pylist(), dtype=object) for name in ("label", "image", "mask")
    }


def _rows(batches: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for batch in batches:
        for number in range(len(batch["label"])):
            yield {name: column[number] for name, column in batch.items()}


def _shuffled(rows: Iterator[Any], generator: np.random.Generator) -> Iterator[Any]:
    """Each row leaves a window of WINDOW rows at random as the next one enters it."""
    window: list[Any] = []
    for row in rows:
        if len(window) < WINDOW:
            window.append(row)
            continue
        place = int(generator.integers(WINDOW))
        window[place], row = row, window[place]
        yield row
    yield from (window[place] for place in generator.permutation(len(window)))


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
