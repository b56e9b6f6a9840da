"""A node's copy of prepared data as flat uint8 arrays, mapped by every trial of the node.

The cache of a folder of shards is images.npy uint8 (N, S, S, 3) and targets.npy, int64 (N,) or float32
(N, K) labels, or uint8 (N, S, S) masks. It is built once, appears complete, and is found broken where its
sizes are wrong; a flipped bit inside it is not seen (the shards it comes from are hashed).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from medpt.data.manifest import Index, Manifest, read_index, verify
from medpt.errors import InputError
from medpt.files import TEMPORARY, building, exclusive, remove
from medpt.identity import canonical_json

INDEX = "index.npz"
READ_ROWS = 64  # of a shard in memory at a time
COLUMNS = ("ids", "splits", "groups", "labels", "pixels", "outside", "files")

Column = Sequence[Any] | np.ndarray


class BrokenCacheError(OSError):
    """The node's cache is absent, truncated or of other data: remove it and build it again."""


@dataclass(frozen=True)
class Arrays:
    """The mapped cache: images uint8 (N, S, S, 3); targets int64 (N,), float32 (N, K) or uint8 (N, S, S).

    They are read-only.
    """

    index: Index
    images: np.ndarray
    targets: np.ndarray

    @property
    def nbytes(self) -> int:
        return self.images.nbytes + self.targets.nbytes


def nbytes(manifest: Manifest) -> int:
    """The bytes that the cache of these shards takes on disk, and on a device that keeps it."""
    pixels = manifest.size**2
    targets = {"segmentation": pixels, "multilabel": 4 * len(manifest.classes)}.get(manifest.task, 8)
    return manifest.rows * (pixels * 3 + targets)


def open_arrays(folder: Path) -> Arrays:
    """Maps a cache read-only. Raises BrokenCacheError where it is absent or a size is wrong."""
    try:
        index = _load_index(folder)
        images, targets = (np.load(folder / name, mmap_mode="r") for name in ("images.npy", "targets.npy"))
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise BrokenCacheError(f"{folder}: {error}") from None
    for array, (name, (shape, kind)) in zip((images, targets), _layout(index).items(), strict=True):
        if array.shape != shape or array.dtype != kind:
            raise BrokenCacheError(
                f"{folder / name}.npy: {array.dtype} {array.shape} instead of {kind} {shape}"
            )
    return Arrays(index, images, targets)


def build(folder: Path, manifest: Manifest, index: Index, batches: Iterable[Mapping[str, Column]]) -> Path:
    """Makes the cache at `folder` from batches of the columns id, image and mask, in any order of rows.

    Of several builders on a node one builds and the others wait for it; then `batches` of theirs is not read.
    A cache that is broken or of other shards is replaced, and what a killed builder left is removed.
    Raises InputError for rows that are missing, foreign or of a wrong size.
    """
    with exclusive(folder.with_name(f"{folder.name}.lock")):
        if not _holds(folder, manifest):
            for leftover in (folder, *folder.parent.glob(f"{TEMPORARY}{folder.name[:80]}-{'?' * 12}")):
                remove(leftover)
            with building(folder) as temporary:
                _fill(temporary, index, batches)
                manifest.write(temporary)
    return folder


def from_shards(shard_folder: Path, cache_folder: Path) -> Arrays:
    """The cache of a prepared folder, built with pyarrow alone where it is not there yet."""
    manifest = Manifest.read(shard_folder)
    index = read_index(shard_folder)
    return open_arrays(build(cache_folder, manifest, index, _columns(shard_folder, manifest)))


def _columns(folder: Path, manifest: Manifest) -> Iterator[dict[str, Column]]:
    from pyarrow import parquet

    verify(folder)
    for shard in manifest.shards:
        with parquet.ParquetFile(folder / shard.name) as file:
            for batch in file.iter_batches(READ_ROWS, columns=["id", "image", "mask"]):
                yield batch.to_pydict()


def _holds(folder: Path, manifest: Manifest) -> bool:
    try:
        open_arrays(folder)
        return canonical_json(asdict(Manifest.read(folder))) == canonical_json(asdict(manifest))
    except (BrokenCacheError, InputError):
        return False


def _layout(index: Index) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Shape and type of the two arrays."""
    masks = (len(index), index.size, index.size)
    own = (index.labels.shape, index.labels.dtype)
    targets = (masks, np.dtype(np.uint8)) if index.task == "segmentation" else own
    return {"images": ((*masks, 3), np.dtype(np.uint8)), "targets": targets}


def _fill(folder: Path, index: Index, batches: Iterable[Mapping[str, Column]]) -> None:
    layout = _layout(index)
    with ExitStack() as stack:
        writers = {"image": stack.enter_context(_row_writer(folder / "images.npy", *layout["images"]))}
        if index.task == "segmentation":
            writers["mask"] = stack.enter_context(_row_writer(folder / "targets.npy", *layout["targets"]))
        _write_rows(index, batches, writers)
    if index.task != "segmentation":
        np.save(folder / "targets.npy", index.labels)
    known = {name: getattr(index, name) for name in COLUMNS if getattr(index, name) is not None}
    np.savez(folder / INDEX, **known)


def _write_rows(
    index: Index,
    batches: Iterable[Mapping[str, Column]],
    writers: Mapping[str, Callable[[int, str, Any], None]],
) -> None:
    waiting = {name: row for row, name in enumerate(index.ids.tolist())}
    for batch in batches:
        for number, name in enumerate(batch["id"]):
            row = waiting.pop(name, None)
            if row is None:
                raise InputError(f"{index.dataset}: {name}: is there twice or is not in the index")
            for column, write in writers.items():
                write(row, name, batch[column][number])
    if waiting:
        raise InputError(f"{index.dataset}: {name}: has no pixels in the shards" for name in waiting)


@contextmanager
def _row_writer(
    path: Path, shape: tuple[int, ...], kind: np.dtype
) -> Iterator[Callable[[int, str, Any], None]]:
    """Writes rows of a new .npy file in any order, through the file: a full disk is an error, no SIGBUS."""
    start = np.lib.format.open_memmap(path, "w+", kind, shape).offset
    width = prod(shape[1:]) * kind.itemsize
    with path.open("r+b") as file:

        def write(row: int, name: str, pixels: Any) -> None:
            values = np.frombuffer(pixels if pixels is not None else b"", np.uint8)
            if values.nbytes != width:
                raise InputError(f"{path.stem}: {name}: {values.nbytes} bytes instead of {width}")
            file.seek(start + row * width)
            file.write(values.data)

        yield write


def _load_index(folder: Path) -> Index:
    manifest = Manifest.read(folder)
    with np.load(folder / INDEX) as stored:
        columns = [stored.get(name) for name in COLUMNS]
    facts = (manifest.dataset, manifest.task, manifest.modality, manifest.classes, manifest.size)
    return Index(*facts, *columns)
