"""One epoch of shuffled batches of 16: from the node's cache, through Ray Data, through torch's DataLoader.

    python -m bench.epoch [--images 2048] [--size 256] [--epochs 3]

All read the same Parquet shards (synthetic chest X-rays, zstd) and deliver uint8 images and labels as torch
tensors; the rows that arrived are checked by their labels. Ours is ArrayFeed over the mapped cache. Peers:
`ray.data.read_parquet(...).iter_torch_batches(...)`, files and a buffer shuffled, read anew every epoch; a
map-style Dataset on pyarrow under torch's DataLoader with 0 and 2 workers, the better of them, once reading a
shard when its turn comes (bounded memory, as ours) and once with all rows decompressed in its memory. The
fastest of --epochs epochs is taken, for Ray Data the first is told as well. What is done once (cache, table,
Ray) is not counted but printed. Expected: 10 times Ray Data, 3 times the DataLoader. Takes 90 s.
"""

import argparse
import logging
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from bench.figure import Figure, best, show
from medpt.data import dataset as records
from medpt.data import shards
from medpt.data.arrays import ArrayLoader
from medpt.data.cache import from_shards
from medpt.data.catalog import card
from medpt.data.manifest import Manifest
from medpt.phantom.chestxray2017 import radiograph
from medpt.phantom.paint import stream, to_bytes
from medpt.specs import Prepare

BATCH = 16
BUFFER = 256  # rows that Ray Data shuffles
PASSES = 8  # epochs of ours in one timing
DRAWN = 48  # different pictures; the others are these, shifted, under noise of their own
OVER_RAY, OVER_LOADER = 10.0, 3.0

Batches = Iterable[tuple[Tensor, Tensor]]


def make_shards(folder: Path, images: int, size: int) -> Manifest:
    """`images` grey X-rays as RGB, label n % 2, in shards as grid.prepare writes them."""
    drawn = [to_bytes(radiograph(stream(n, "bench"), size, size, bool(n % 2))) for n in range(DRAWN)]

    def read(root: Path, record: records.Record) -> NDArray[np.uint8]:
        number = int(record.patient_id)
        rng = stream(number, "bench", "noise")
        shifted = np.roll(drawn[number % DRAWN], number // DRAWN, axis=1)
        return np.clip(shifted + rng.normal(0, 2, shifted.shape), 0, 255).astype(np.uint8)

    data = records.Dataset(
        card("ChestXRay2017"),
        folder,
        tuple(
            records.Record(
                *("ChestXRay2017", f"{n:06d}.jpeg", f"{n}", f"{n}"),
                label=n % 2,
                split="train" if n else "test",
            )
            for n in range(images)
        ),
        read,
    )
    spec = Prepare("ChestXRay2017", "0" * 64, f"resize({size})")
    parts = shards.chunks(shards.plan(data, spec.split, spec.split_seed, None))
    infos = [
        shards.write(data, part, spec.pipeline, shards.shard_path(folder, number))
        for number, part in enumerate(parts)
    ]
    return shards.write_manifest(folder, data.info, spec, infos)


def consume(batches: Batches, images: int, size: int) -> None:
    """Takes `images` images and checks that they are the whole of the data, once or several times."""
    seen = ill = 0
    for pixels, labels in batches:
        assert pixels.dtype == torch.uint8, pixels.dtype
        assert pixels.shape[1:] == (size, size, 3), pixels.shape
        seen += len(pixels)
        ill += int(labels.sum())
    assert (seen, ill) == (images, images // 2), (seen, ill)


def from_cache(feed: ArrayLoader) -> Batches:
    """PASSES epochs, each in an order of its own: one alone is too short to be timed."""
    rows = np.arange(len(feed.index))
    steps = PASSES * feed.steps_per_epoch(rows, BATCH, augment=False)
    for images, labels, _ in islice(feed.batches(rows, BATCH, seed=0, augment=False), steps):
        yield images, labels


def through_ray(folder: Path, size: int) -> Batches:
    import ray

    data = ray.data.read_parquet(str(folder), file_extensions=["parquet"], shuffle="files")
    batches: Any = data.select_columns(["image", "label"]).iter_torch_batches(
        batch_size=BATCH, local_shuffle_buffer_size=BUFFER, collate_fn=_collate(size)
    )
    return batches


def _collate(size: int) -> Any:
    from ray.data.collate_fn import ArrowBatchCollateFn

    class Pixels(ArrowBatchCollateFn):
        def __call__(self, batch: Any) -> Any:
            """Images and labels of an Arrow table, its columns copied once."""
            table = batch.combine_chunks()
            column = table["image"].chunk(0)
            width = size * size * 3
            flat = np.frombuffer(column.buffers()[1], np.uint8, len(column) * width, column.offset * width)
            labels = torch.from_numpy(table["label"].to_numpy().copy())
            return torch.from_numpy(flat.reshape(-1, size, size, 3).copy()), labels

    return Pixels()


class Rows(Dataset[tuple[Tensor, int]]):
    """Rows of the shards: of one shard in memory, the one read last, or of all."""

    def __init__(self, manifest: Manifest, folder: Path, *, hold_all: bool) -> None:
        self.paths = [folder / shard.name for shard in manifest.shards]
        self.size = manifest.size
        self.bounds = np.cumsum([0, *(shard.rows for shard in manifest.shards)])
        self.shard = lru_cache(maxsize=len(self.paths) if hold_all else 1)(self._read)
        if hold_all:
            for number in range(len(self.paths)):
                self.shard(number)

    def _read(self, number: int) -> tuple[Any, Any]:
        from pyarrow import parquet

        table = parquet.read_table(self.paths[number], columns=["image", "label"]).combine_chunks()
        return table["image"].chunk(0), table["label"].to_numpy()

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        number = int(np.searchsorted(self.bounds, row, side="right")) - 1
        images, labels = self.shard(number)
        place = row - int(self.bounds[number])
        pixels = np.frombuffer(images[place].as_buffer(), np.uint8)
        return torch.from_numpy(pixels.reshape(self.size, self.size, 3)), int(labels[place])

    def __len__(self) -> int:
        return int(self.bounds[-1])


class ShardByShard(Sampler[int]):
    """Shards in random order, and the rows of each in random order."""

    def __init__(self, rows: Rows) -> None:
        self.bounds = rows.bounds

    def __iter__(self) -> Iterator[int]:
        for number in torch.randperm(len(self.bounds) - 1).tolist():
            low, high = self.bounds[number], self.bounds[number + 1]
            yield from (low + torch.randperm(high - low).numpy()).tolist()

    def __len__(self) -> int:
        return int(self.bounds[-1])


def loader_rate(
    rows: Rows, sampler: Sampler[int] | None, rate: Callable[[Callable[[], Batches]], float]
) -> float:
    """Images a second with 0 or 2 workers, whichever is more."""
    rates = []
    for workers in (0, 2):
        loader = DataLoader(
            rows,
            BATCH,
            sampler=sampler,
            shuffle=None if sampler else True,
            num_workers=workers,
            persistent_workers=workers > 0,
        )
        rates.append(rate(lambda loader=loader: loader))  # type: ignore[misc]
    return max(rates)


def ray_rates(folder: Path, images: int, size: int, epochs: int) -> tuple[float, float]:
    """Images a second in the first epoch, and in the fastest of those that follow; Ray as it comes."""
    import ray

    ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        from grid.preparation.pipeline import quiet_ray_data

        quiet_ray_data()
        epoch = lambda: consume(through_ray(folder, size), images, size)  # noqa: E731
        return images / best(epoch, 1), images / best(epoch, max(1, epochs - 1))
    finally:
        ray.shutdown()


def race(folder: Path, images: int, size: int, epochs: int) -> list[Figure]:
    manifest = make_shards(folder / "shards", images, size)
    stored = sum(shard.nbytes for shard in manifest.shards) / (images * size * size * 3)
    print(f"{images} images in {len(manifest.shards)} shards, compressed to {stored:.2f}", flush=True)

    def rate(batches: Callable[[], Batches], passes: int = 1) -> float:
        return passes * images / best(lambda: consume(batches(), passes * images, size), epochs)

    once = time.perf_counter()
    feed = ArrayLoader(from_shards(folder / "shards", folder / "cache"))
    print(f"cache built in {time.perf_counter() - once:.1f} s (not counted below)", flush=True)
    cached = rate(lambda: from_cache(feed), PASSES)
    reading = Rows(manifest, folder / "shards", hold_all=False)
    streamed = loader_rate(reading, ShardByShard(reading), rate)
    held = loader_rate(Rows(manifest, folder / "shards", hold_all=True), None, rate)
    first, later = ray_rates(folder / "shards", images, size, epochs)
    name = "epoch from the cache"
    return [
        Figure(name, cached, first, "img/s", "Ray Data, first epoch", OVER_RAY),
        Figure(name, cached, later, "img/s", "Ray Data, later epochs", OVER_RAY),
        Figure(name, cached, streamed, "img/s", "DataLoader, shard by shard", OVER_LOADER),
        Figure(name, cached, held, "img/s", "DataLoader, all decompressed in its memory", OVER_LOADER),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=2048, help="a multiple of 16")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    if options.images % BATCH:
        parser.error(f"--images {options.images}: accepted: a multiple of {BATCH}")
    warnings.filterwarnings("ignore", message="The given NumPy array is not writable")  # collating copies
    with tempfile.TemporaryDirectory(prefix="medpt-bench-") as folder:
        show(*race(Path(folder), options.images, options.size, options.epochs))


if __name__ == "__main__":
    main()
