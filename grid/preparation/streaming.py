"""Prepared shards through Ray Data, in order: once into the node's cache, or to a reader of every epoch.

Data tasks ask for no CPU. A trial that holds the last CPU would otherwise wait for a task that cannot start
(measured: with one CPU per task, two trials on two cores hang forever).
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

TIMEOUT = 120.0  # seconds without a batch after which a trial gives up

STARVED = (
    "no batch of data for {:.0f} s: the tasks of Ray Data cannot start on this machine beside the trials "
    "(they need memory, no CPU), or the storage does not answer; use --cpus or --gpus for fewer trials"
)


class StarvedError(OSError):
    """No batch came for too long: an infrastructure fault, retried as often as any other."""


def fill_cache(shard_folder: Path, cache_folder: Path, manifest: Manifest) -> cache.Arrays:
    """Return the node's arrays. One process streams them from the shards if they are not there."""

    def verified() -> Iterator[dict[str, Any]]:
        verify(shard_folder)
        yield from with_timeout(stream([shard_folder / shard.name for shard in manifest.shards], _all_rows))

    cache.build(cache_folder, manifest, read_index(shard_folder), verified())
    return cache.open_arrays(cache_folder)


def _all_rows(table: Any, position: int) -> dict[str, Any]:
    return {name: np.array(table.column(name).to_pylist(), dtype=object) for name in ("id", "image", "mask")}


def stream(paths: list[Path], select: Callable[[Any, int], dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield one batch of columns per shard, in the order of `paths`; `select` makes it from the table."""
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


def with_timeout(batches: Iterator[Any], seconds: float = TIMEOUT) -> Iterator[Any]:
    """Yield the batches. Raise StarvedError if the next one takes longer than `seconds`."""
    requests, answers = queue.SimpleQueue[bool](), queue.SimpleQueue[Any]()
    # A daemon thread: one that waits forever must not keep its process alive, as a pool's thread would.
    threading.Thread(target=_answer, args=(batches, requests, answers), name="batches", daemon=True).start()
    try:
        while True:
            requests.put(True)
            batch, error = answers.get(timeout=seconds)
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield batch
    except queue.Empty:
        raise StarvedError(STARVED.format(seconds)) from None
    finally:
        requests.put(False)


def _answer(batches: Iterator[Any], requests: Any, answers: Any) -> None:
    """Put a batch, or the error in its place, into `answers` for each true request."""
    while requests.get():
        try:
            answers.put((next(batches), None))
        except BaseException as error:
            answers.put((None, error))
            return
