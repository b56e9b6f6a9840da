"""The test images that a classifier is most right and most wrong about, as pictures with their scores."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from grid.report.images import Image, data_uri, shrunk
from grid.report.tables import Contrast
from grid.results.cells import Cell
from grid.results.stored_space import StoredSpace
from medpt.data.manifest import Manifest
from medpt.errors import InputError
from medpt.specs import Finetune

SCORES = "scores.npz"  # of a classifier's unit: scores (N, K), labels (N,), ids (N,)
METRICS = ("auc", "macro_auc", "kappa", "accuracy")  # of targets that have them
EACH = 4  # images at either end


@dataclass(frozen=True)
class Ranked:
    """A test image; `probability`, in per cent, is that of its true class."""

    uri: str
    name: str
    truth: str
    predicted: str
    probability: float


@dataclass(frozen=True)
class Ranking:
    """The best initialization's images of one seed, from the highest probability and from the lowest."""

    contrast: Contrast
    seed: int
    best: list[Ranked]
    worst: list[Ranked]


def rankings(contrasts: Sequence[Contrast], stored: StoredSpace, most: int) -> list[Ranking]:
    """Rank the test images of up to `most` targets, of each the network with the highest mean.

    Only targets with one class per image have a ranking. Images of shards that are not here are excluded.
    """
    first: dict[str, tuple[Contrast, Cell]] = {}
    known = [(each, each.best) for each in contrasts if each.best and each.best.metric in METRICS]
    for contrast, cell in sorted(known, key=lambda pair: (pair[0].column[1], pair[1].mean), reverse=True):
        first.setdefault(contrast.column[0], (contrast, cell))
    found = (_ranking(contrast, cell, stored) for contrast, cell in list(first.values())[:most])
    return [ranking for ranking in found if ranking]


def _ranking(contrast: Contrast, cell: Cell, stored: StoredSpace) -> Ranking | None:
    for repeat, digest in sorted(cell.digests.items()):
        spec, marker = stored.units[digest].spec, stored.markers.get(digest)
        scored = marker is not None and SCORES in marker.artifacts
        path = stored.artifact(digest, SCORES) if scored else None
        if path and isinstance(spec, Finetune):
            return _ranked(contrast, repeat.seed, path, spec.data, stored)
    return None


def _ranked(contrast: Contrast, seed: int, path: Path, data: str, stored: StoredSpace) -> Ranking | None:
    with np.load(path, allow_pickle=False) as saved:
        scores, labels, ids = saved["scores"], saved["labels"], saved["ids"]
    manifest = next((each.manifest for each in stored.prepared() if each.digest == data), None)
    if labels.ndim > 1 or manifest is None:
        return None
    rows = ends(scores, labels)
    try:
        names = {str(ids[row]) for end in rows for row in end}
        pictures = dict(read_images(stored.store.folder(data), manifest, names))
    except InputError as error:
        stored.warnings += error.problems
        return None
    classes = manifest.classes

    def shown(row: int) -> Ranked:
        picture, name = pictures[str(ids[row])], str(ids[row])
        true, likely = labels[row], scores[row].argmax()
        share = 100 * float(scores[row, true])
        return Ranked(data_uri(shrunk(picture)), name, classes[true], classes[likely], share)

    best, worst = ([shown(row) for row in end if str(ids[row]) in pictures] for end in rows)
    return Ranking(contrast, seed, best, worst) if best or worst else None


def ends(scores: NDArray[np.floating], labels: NDArray[np.integer]) -> tuple[list[int], list[int]]:
    """Return the rows with the highest and with the lowest probability of the true class, extremes first.

    No row is in both; with an odd number of rows one more is among the highest.
    """
    ranked = np.argsort(-scores[np.arange(len(labels)), labels], kind="stable").tolist()
    half = (len(ranked) + 1) // 2
    return ranked[:half][:EACH], ranked[half:][::-1][:EACH]


def read_images(folder: Path, manifest: Manifest, names: Collection[str]) -> Iterator[tuple[str, Image]]:
    """Yield the named images of prepared data with their names, of those shards that are in `folder`.

    Raises InputError where a shard cannot be read.
    """
    from pyarrow import ArrowException

    left = set(names)
    for shard in manifest.shards:
        path = folder / shard.name
        if left and path.exists():
            try:
                found = _images_of(path, left)
            except (OSError, ArrowException):
                raise InputError(f"{manifest.dataset}: the shard {path.name} cannot be read") from None
            for name, content in found.items():
                yield name, np.frombuffer(content, np.uint8).reshape(manifest.size, manifest.size, 3)
            left -= found.keys()


def _images_of(path: Path, names: set[str]) -> dict[str, bytes]:
    """Read the pixels of the named images that a shard has; of other shards the names alone are read."""
    from pyarrow import parquet

    ids = parquet.read_table(path, columns=["id"])["id"].to_pylist()
    places = {name: place for place, name in enumerate(ids) if name in names}
    images = parquet.read_table(path, columns=["image"])["image"] if places else ()
    return {name: images[place].as_py() for name, place in places.items()}
