"""Images and patients that a pre-training shares with a target: found, so that they are not trained on.

What is compared: the training set of a source with all images of the target, if both are of one modality.
Where both are the same publisher's release (one dataset, or two that are published in one folder, as
STARE-CLS and STARE-SEG), with the target's test set alone, because training on a target's own training set is
what self-supervision means; and there patients are compared too, by the group that the reader names. Patients
of different releases have no common name and are not compared.

Kinds, the surest first: "identical" (the same decoded pixels), "near" (medpt.data.signature, at most LIMIT of
255 bits apart, perhaps mirrored or turned), "patient". An image is listed once, by its surest kind and
closest likeness. Which rows are found depends on the prepared data and on LIMIT alone: a pre-training that
names its source and its target names what it leaves out.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medpt.data import image_hash
from medpt.data.card import DatasetCard
from medpt.data.catalog import card, is_built_in
from medpt.data.manifest import Manifest, read_columns
from medpt.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from medpt.data.arrays import Loader
    from medpt.data.manifest import Index

LIMIT = 31  # bits; reports/LOG.md. Another one is another Pretrain.version
CHUNKS = 16  # of 16 bits: 31 differing bits leave a chunk with at most one
PROBES = np.array([0, *(1 << np.arange(16))], dtype=np.uint16)
LOOKUP = 8  # a pair looked up costs so many of those compared in passing
BLOCK = 1 << 20  # pairs in memory at a time
EXCLUDED = "excluded"  # the part of a dataset's index that a row is in when it may not be trained on

Names = NDArray[np.uint8]  # (N, 32)
Chunks = NDArray[np.uint16]  # the same as (N, 16)
Words = NDArray[np.uint64]  # and as (4, N)
Rows = NDArray[np.intp]
Hits = tuple[Rows, Rows, NDArray[np.uint8]]


@dataclass(frozen=True)
class Signatures:
    """What identifies each prepared image; rows as in Index.

    ids, splits and groups are str (N,); exact is raw bytes (N,) and near uint8 (N, 32), the two names that
    medpt.data.signature gives.
    """

    dataset: str
    modality: str
    ids: NDArray[np.str_]
    splits: NDArray[np.str_]
    groups: NDArray[np.str_]
    exact: NDArray[np.void]
    near: NDArray[np.uint8]

    def part(self, rows: NDArray[Any]) -> "Signatures":
        arrays = {name: getattr(self, name)[rows] for name in ("ids", "splits", "groups", "exact", "near")}
        return replace(self, **arrays)


@dataclass(frozen=True)
class Leak:
    """An image of a source that a target shows; `distance` in bits and `turned` (dihedral 0..7) of near ones.

    `match` is the target's image, or the patient's name.
    """

    source: str
    id: str
    target: str
    match: str
    kind: str
    distance: int = 0
    turned: int = 0


def read(folder: Path) -> Signatures:
    """Of a prepared folder. Raises InputError for damaged shards."""
    manifest = Manifest.read(folder)
    columns = read_columns(folder, manifest.shards, ("id", "split", "group", "exact", "near"))
    ids, splits, groups = (
        np.array(columns[name].to_pylist(), dtype=str) for name in ("id", "split", "group")
    )
    exact, near = (b"".join(columns[name].to_pylist()) for name in ("exact", "near"))
    return Signatures(
        *(manifest.dataset, manifest.modality, ids, splits, groups),
        exact=np.frombuffer(exact, dtype=f"V{image_hash.BYTES}"),
        near=np.frombuffer(near, dtype=np.uint8).reshape(-1, image_hash.BYTES),
    )


def comparable(sources: Sequence[DatasetCard], target: DatasetCard) -> bool:
    """Whether a source can show an image of the target: only those of one modality can."""
    return any(source.modality == target.modality for source in sources)


def one_release(source: str, target: str) -> bool:
    """Whether two datasets are published together, so that their patients have one name."""
    return source == target or not _published_folders(source).isdisjoint(_published_folders(target))


def _published_folders(name: str) -> set[str]:
    """Nobody publishes users' datasets together, even where their folders have one name."""
    return set(card(name).folders) if is_built_in(name) else set()


def find(source: Signatures, target: Signatures) -> list[Leak]:
    """Every training image of the source that is among the target's images, in the order of the source."""
    if source.modality != target.modality:
        return []
    training, shown = compared(source, target)
    found = _patients(training, shown) if one_release(source.dataset, target.dataset) else {}
    found |= _near(training, shown)
    found |= _identical(training, shown)
    return [found[row] for row in sorted(found)]


def find_tested(tested: Signatures, trained: Signatures) -> list[Leak]:
    """Every image of an external test set that is among the training images of other data, in order."""
    shown = trained.part(np.flatnonzero(trained.splits == "train"))
    return find(_all_in(tested, "train"), _all_in(shown, "test"))


def _all_in(images: Signatures, split: str) -> Signatures:
    return replace(images, splits=np.full(len(images.ids), split))


def compared(source: Signatures, target: Signatures) -> tuple[Signatures, Signatures]:
    """The source's images that may leak and the target's that they must not show."""
    training = source.part(np.flatnonzero(source.splits == "train"))
    if not one_release(source.dataset, target.dataset):
        return training, target
    return training, target.part(np.flatnonzero(target.splits == "test"))


def _patients(source: Signatures, target: Signatures) -> dict[int, Leak]:
    rows = np.flatnonzero(np.isin(source.groups, target.groups)).tolist()
    return {row: _leak(source, row, target, str(source.groups[row]), "patient") for row in rows}


def _near(source: Signatures, target: Signatures) -> dict[int, Leak]:
    element, images = image_hash.ELEMENTS, len(target.ids)
    forms = image_hash.turned(target.near).reshape(element * images, image_hash.BYTES)
    found = {}
    for row, (place, distance) in closest(source.near, forms, LIMIT).items():
        turned, match = divmod(place, images)
        found[row] = _leak(source, row, target, str(target.ids[match]), "near", distance, turned)
    return found


def _identical(source: Signatures, target: Signatures) -> dict[int, Leak]:
    structured = np.flatnonzero(target.near.any(axis=1)).tolist()
    known = {target.exact[row].tobytes(): str(target.ids[row]) for row in reversed(structured)}
    found = {}
    for row in np.flatnonzero(source.near.any(axis=1)).tolist():
        if (match := known.get(source.exact[row].tobytes())) is not None:
            found[row] = _leak(source, row, target, match, "identical")
    return found


def _leak(source: Signatures, row: int, target: Signatures, match: str, kind: str, *more: int) -> Leak:
    return Leak(source.dataset, str(source.ids[row]), target.dataset, match, kind, *more)


def closest(source: Names, target: Names, limit: int) -> dict[int, tuple[int, int]]:
    """For each row of `source` within `limit` (at most 31) bits of one of `target`: (row of target, bits).

    Both are near names; all-zero ones match nothing. Of equally close rows the first is taken. Nothing is
    missed: pairs are passed over only where no 16-bit chunk of theirs is within a bit.
    """
    if limit >= 2 * CHUNKS:
        raise ValueError(f"limit {limit}: chunks of 16 bits find up to {2 * CHUNKS - 1}")
    rows, places = (np.flatnonzero(names.any(axis=1)) for names in (source, target))
    if not len(rows) or not len(places):
        return {}
    none, many = np.iinfo(np.int64).max, len(places)
    best = np.full(len(rows), none)
    for i, j, distance in _within(source[rows], target[places], limit):
        np.minimum.at(best, i, distance.astype(np.int64) * many + j)
    found = np.flatnonzero(best < none).tolist()
    return {int(rows[i]): (int(places[best[i] % many]), int(best[i] // many)) for i in found}


def near_pairs(source: Names, target: Names, limit: int = LIMIT) -> list[tuple[int, int]]:
    """Every (row of `source`, row of `target`) within `limit` bits, turned and mirrored too."""
    rows, columns = (np.flatnonzero(names.any(axis=1)) for names in (source, target))
    if not len(rows) or not len(columns):
        return []
    forms = image_hash.turned(target[columns]).reshape(-1, image_hash.BYTES)
    pairs: set[tuple[int, int]] = set()
    for i, j, _ in _within(source[rows], forms, limit):
        pairs.update(zip(rows[i].tolist(), columns[j % len(columns)].tolist(), strict=True))
    return sorted(pairs)


def _within(a: Names, b: Names, limit: int) -> Iterator[Hits]:
    """Pairs at most `limit` bits apart, by chunks that nearly agree where that is less work."""
    chunks, wanted = a.view(np.uint16), b.view(np.uint16)
    words, others = (np.ascontiguousarray(names.view(np.uint64).T) for names in (a, b))
    if LOOKUP * _work(chunks, wanted) > len(a) * len(b):
        yield from _among_all(words, others, limit)
    else:
        yield from (_among(words, others, *pairs, limit) for pairs in _likely(chunks, wanted))


def _among(x: Words, y: Words, i: Rows, j: Rows, limit: int) -> Hits:
    """Those of the pairs that are within the limit; a pair that exceeds it in its first words is done."""
    distance = np.zeros(len(i), dtype=np.uint8)
    for word, other in zip(x, y, strict=True):
        distance += np.bitwise_count(word.take(i) ^ other.take(j))
        kept = np.flatnonzero(distance <= limit)
        i, j, distance = i[kept], j[kept], distance[kept]
    return i, j, distance


def _among_all(x: Words, y: Words, limit: int) -> Iterator[Hits]:
    step = max(1, BLOCK // y.shape[1])
    for start in range(0, x.shape[1], step):
        distance = np.zeros((min(step, x.shape[1] - start), y.shape[1]), dtype=np.uint8)
        for word, other in zip(x, y, strict=True):
            distance += np.bitwise_count(word[start : start + step, None] ^ other)
        i, j = np.nonzero(distance <= limit)
        yield i + start, j, distance[i, j]


def _work(chunks: Chunks, wanted: Chunks) -> int:
    """Pairs that `_likely` yields."""
    total = 0
    for number in range(CHUNKS):
        held = np.bincount(chunks[:, number], minlength=1 << 16)
        total += sum(int(held[wanted[:, number] ^ probe].sum()) for probe in PROBES)
    return total


def _likely(chunks: Chunks, wanted: Chunks) -> Iterator[tuple[Rows, Rows]]:
    """Pairs of rows with a chunk that is equal or a bit apart, some more than once."""
    for number in range(CHUNKS):
        order = np.argsort(chunks[:, number], kind="stable")
        starts = np.searchsorted(chunks[order, number], np.arange((1 << 16) + 1))
        for probe in PROBES:
            bucket = (wanted[:, number] ^ probe).astype(np.intp)
            yield from _joined(order, starts[bucket], starts[bucket + 1] - starts[bucket])


def _joined(order: Rows, first: Rows, held: Rows) -> Iterator[tuple[Rows, Rows]]:
    """Row n of the others with order[first[n] : first[n] + held[n]], about BLOCK pairs at a time."""
    ends = np.cumsum(held)
    cuts = np.searchsorted(ends, np.arange(BLOCK, ends[-1], BLOCK)) + 1
    for low, high in pairwise(np.unique([0, *cuts, len(held)]).tolist()):
        count = held[low:high]
        inside = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        yield order[np.repeat(first[low:high], count) + inside], np.repeat(np.arange(low, high), count)


def without_leaks(found: Iterable[Leak], index: "Index") -> "Index":
    """The index with the rows of that dataset that leak in the part EXCLUDED, on which no network is trained.

    Raises InputError where no training image is left.
    """
    mine = [leak for leak in found if leak.source == index.dataset]
    splits = np.where(np.isin(index.ids, [leak.id for leak in mine]), EXCLUDED, index.splits)
    if not (splits == "train").any():
        targets = ", ".join(dict.fromkeys(leak.target for leak in mine))
        raise InputError(f"{index.dataset}: each of its training images is also an image of {targets}")
    return replace(index, splits=splits)


@dataclass(frozen=True)
class FilteredLoader:
    """A feed under another index of the same rows."""

    feed: "Loader"
    index: "Index"

    def batches(
        self, rows: np.ndarray, batch_size: int, seed: int, start: int = 0, augment: bool = True
    ) -> "Iterator[tuple[Tensor, Tensor, Tensor]]":
        return self.feed.batches(rows, batch_size, seed, start, augment)

    def steps_per_epoch(self, rows: np.ndarray, batch_size: int, augment: bool = True) -> int:
        return self.feed.steps_per_epoch(rows, batch_size, augment)

    def scan(self, rows: np.ndarray, batch_size: int) -> "Iterator[tuple[Tensor, Tensor]]":
        return self.feed.scan(rows, batch_size)
