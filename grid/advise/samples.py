"""Draw labelled training images from a user's folder or from prepared data.

The drawn rows depend only on the number of images. Test images are never used. `key` identifies the pixels,
so that computed values can be cached under it.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medpt.data import Dataset, catalog, open_dataset
from medpt.data.card import FILE, DatasetCard
from medpt.data.card_reader import read_card
from medpt.data.locate import find_dataset
from medpt.data.manifest import Manifest, damage, read_columns, read_index
from medpt.data.preprocess import pipeline_of
from medpt.data.splits import strata
from medpt.errors import InputError
from medpt.identity import stream_seed

LEAST = 2  # images

Pixels = tuple[NDArray[np.uint8], NDArray[Any]]


@dataclass(frozen=True)
class Sample:
    """A sample of images.

    `read` returns images uint8 (n, S, S, 3) with labels int64 (n,) or masks uint8 (n, S, S). It raises
    InputError for damaged shards.
    """

    name: str
    key: str
    read: Callable[[], Pixels] = field(compare=False)


def target(text: str) -> Dataset:
    """Open the labelled dataset in [NAME=]DIR: one with a card, or a built-in one as downloaded.

    Raises InputError with all problems of the folder.
    """
    name, _, place = ("", "", text) if Path(text).is_dir() else text.rpartition("=")
    folder = Path(place)
    if not folder.is_dir():
        raise InputError(f"--target {text}: no such folder; [NAME=]DIR is accepted")
    info = find_dataset(name, folder)[0] if name else _of(folder)
    if info.task == "survival":
        raise InputError(f"--target {text}: {info.name} holds whole slides; labelled images are accepted")
    return open_dataset(info.name, folder)


def _of(folder: Path) -> DatasetCard:
    """Return the card in the folder, else that of the built-in dataset which has a folder of this name."""
    if (folder / FILE).is_file():
        return read_card(folder / FILE)
    name = folder.resolve().name
    known = [
        entry for entry in map(catalog.card, catalog.names()) if name.lower() in map(str.lower, entry.folders)
    ]
    if len(known) == 1:
        return known[0]
    names = " or ".join(f"{entry.name}={folder}" for entry in known)
    cure = f"say which: {names}" if known else f"put a {FILE} into it (docs/own-data.md) or say NAME=DIR"
    raise InputError(f"--target {folder}: {len(known)} known datasets have such a folder; {cure}")


def of_dataset(dataset: Dataset, size: int, count: int) -> Sample:
    """Return at most `count` images, preprocessed to `size` pixels.

    Raises InputError that names every image which cannot be read.
    """
    from medpt.data.preprocess import preprocess_pair

    records = sorted((r for r in dataset if r.split != "test"), key=lambda record: record.id)
    pipeline, problems, found = pipeline_of(dataset.info, size), [], []
    masked = dataset.info.task == "segmentation"
    for row in drawn(np.arange(len(records)), count):
        record = records[row]
        try:
            mask = dataset.mask(record) if masked else None
            image, mask = preprocess_pair(dataset.image(record), mask, pipeline)
            found.append((image, mask if masked else record.label))
        except InputError as error:
            problems += [f"{record.id}: {problem}" for problem in error.problems]
    if len(records) < LEAST:
        problems.append(f"{dataset.info.name}: {len(records)} training images; {LEAST} or more are needed")
    if problems:
        raise InputError(problems)
    images, targets = (np.stack(parts) for parts in zip(*found, strict=True))
    targets = targets if masked else strata(targets)
    key = hashlib.sha256(images.tobytes() + targets.tobytes()).hexdigest()
    return Sample(dataset.info.name, key, lambda: (images, targets))


def of_prepared(folder: Path, manifest: Manifest, digest: str, count: int) -> Sample:
    """Return at most `count` training images of a prepared dataset."""
    return Sample(manifest.dataset, f"{digest}-{count}", lambda: _from_shards(folder, manifest, count))


def _from_shards(folder: Path, manifest: Manifest, count: int) -> Pixels:
    index = read_index(folder)
    rows = drawn(index.rows("train"), count)
    if len(rows) < LEAST:
        raise InputError(f"{manifest.dataset}: {len(rows)} training images; {LEAST} or more are needed")
    images: list[bytes] = []
    masks: list[bytes] = []
    first = 0
    for shard in manifest.shards:
        inside = rows[(rows >= first) & (rows < first + shard.rows)] - first
        first += shard.rows
        if len(inside):
            if problem := damage(folder, shard):
                raise InputError(f"{folder / shard.name}: {problem}")
            table = read_columns(folder, [shard], ["image", "mask"]).take(inside)
            images += table["image"].to_pylist()
            masks += table["mask"].to_pylist()
    side = (len(rows), manifest.size, manifest.size)
    pixels = np.frombuffer(b"".join(images), np.uint8).reshape(*side, 3)
    if manifest.task != "segmentation":
        return pixels, strata(index.labels[rows])
    return pixels, np.frombuffer(b"".join(masks), np.uint8).reshape(side)


def drawn(rows: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """Return at most `count` of the rows, in ascending order."""
    rng = np.random.default_rng(stream_seed(0, "advice", "sample"))
    return rows[np.sort(rng.permutation(len(rows))[:count])]
