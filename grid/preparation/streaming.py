"""Prepared shards through Ray Data, in order: once into the node's cache, or to a reader of every epoch.

Data tasks ask for no CPU, so that a trial that holds the last one can never wait for a task that cannot
start (measured: with one CPU a task, two trials on two cores hang for ever).
"""

import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from grid.preparation.pipeline import quiet_ray_data
from medpt.data import cache
from medpt.data.manifest import Manifest, read_index, verify

SILENCE = 120.0  # seconds without a batch after which a trial gives up


STARVED = (
    "no batch of data for {:.0f} s: Ray Data's tasks get no room on this machine beside the trials (they "
    "need memory, no CPU), or the storage does not answer; fewer trials leave more room: --cpus, --gpus"
)


class StarvedError(OSError):
    """No batch came for too long: an infrastructure fault, tried again as often as any other."""


def fill_cache(shard_folder: Path, cache_folder: Path, manifest: Manifest) -> cache.Arrays:
    """The node's arrays, streamed from the shards where they are not there yet; one process builds them."""

    def verified() -> Iterator[dict[str, Any]]:
        verify(shard_folder)
        yield from watched(stream([shard_folder / shard.name for shard in manifest.shards], _whole))

    cache.build(cache_folder, manifest, read_index(shard_folder), verified())
    return cache.open_arrays(cache_folder)


def _whole(table: Any, position: int) -> dict[str, Any]:
    return {name: np.array(table.column(name).to_pylist(), dtype=object) for name in ("id", "image", "mask")}


def stream(paths: list[Path], select: Callable[[Any, int], dict[str, Any]]) -> Iterator[dict[str, Any]]:
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
    asked, answers = queue.SimpleQueue[bool](), queue.SimpleQueue[Any]()
    # A daemon: one that waits for ever must not keep its process, as a pool's thread would.
    threading.Thread(target=_answer, args=(batches, asked, answers), name="batches", daemon=True).start()
    try:
        while True:
            asked.put(True)
            batch, error = answers.get(timeout=silence)
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield batch
    except queue.Empty:
        raise StarvedError(STARVED.format(silence)) from None
    finally:
        asked.put(False)


def _answer(batches: Iterator[Any], asked: Any, answers: Any) -> None:
    """One batch, or what was raised in its place, for each that is asked for."""
    while asked.get():
        try:
            answers.put((next(batches), None))
        except BaseException as error:
            answers.put((None, error))
            return
