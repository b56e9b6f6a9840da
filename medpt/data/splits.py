"""Who trains, who validates, who tests: every cut is by group (patient), stratified by class, and seeded.

All cuts are prefixes of one order, in which a class never runs ahead of or behind its share by a whole
member: after m of N, a class of n members has had floor(m n / N) or ceil(m n / N) of them. That is the
proportionate fairness of Baruah et al. (Algorithmica 15, 1996), reached on one resource by serving the
earliest deadline first. Prefixes of an order are nested, so larger subsets contain the smaller ones.

What this file cannot see: two group names that are one patient, or one image under two names.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Literal

import numpy as np

from medpt.errors import InputError
from medpt.identity import stream_seed

if TYPE_CHECKING:
    from medpt.data.dataset import Record

Part = Literal["train", "test"]
SETS = {"train": "training", "test": "test"}  # as messages name them


def assign(records: Sequence[Record], policy: str, seed: int, test_fraction: float = 0.2) -> list[Part]:
    """The part of each record, in the order of `records`.

    "official" takes the official splits as they are, also where a patient is in both (see `shared_groups`).
    "random" sends `test_fraction` of the groups to the test set, stratified by a group's highest label;
    it depends on the groups, their labels and the seed, not on the order of the records. "all" trains on
    every record: a source is tested nowhere, and medpt.data.leakage removes what its targets test.
    Raises InputError where the official splits are incomplete or there are fewer than two groups.
    """
    if policy == "official":
        return _official(records)
    if policy == "random":
        return _random(records, seed, test_fraction)
    if policy == "all":
        return ["train"] * len(records)
    raise InputError(f"split: {policy!r} is not known; accepted: official, random, all")


def _official(records: Sequence[Record]) -> list[Part]:
    parts = [record.split for record in records]
    name = records[0].dataset if records else "dataset"
    missing = [record.id for record in records if record.split is None]
    problems = []
    if missing:
        problems.append(f"{len(missing)} of {len(parts)} records have no official split, first {missing[0]}")
    problems += [f"no record is in the {SETS[part]} set" for part in SETS if part not in parts]
    if problems:
        raise InputError(f"{name}: split: official: {text}; accepted: `split: random`" for text in problems)
    return [part for part in parts if part is not None]


def _random(records: Sequence[Record], seed: int, test_fraction: float) -> list[Part]:
    labels = [record.label for record in records]
    known = strata(np.array([-1 if label is None else label for label in labels]))
    names, group_of, classes = _by_group(known, [record.group_id for record in records])
    if len(names) < 2:
        raise InputError(f"split: random: needs two groups (patients) or more, the data have {len(names)}")
    order = stratified_order(classes, np.random.Generator(np.random.PCG64(seed)))
    tested = np.isin(group_of, order[: _share(len(names), test_fraction)])
    if set(group_of[tested]) & set(group_of[~tested]):
        raise AssertionError("a group is on both sides of the split")
    return ["test" if test else "train" for test in tested]


def strata(labels: np.ndarray) -> np.ndarray:
    """Return the class of each image that cuts are stratified by, int64 (N,), of labels (N,) or (N, K).

    Of several findings it is the rarest one that the image has, counted from 1; 0 where it has none.
    """
    if labels.ndim == 1:
        return labels.astype(np.int64)
    positive = labels == 1
    rarest_first = np.argsort(positive.sum(0), kind="stable")
    return np.where(positive.any(1), 1 + rarest_first[positive[:, rarest_first].argmax(1)], 0)


def shared_groups(groups: Sequence[str], parts: Sequence[str]) -> list[str]:
    """The groups that are in the training and in the test set, sorted: leaks of an official split."""
    sides = [
        {group for group, part in zip(groups, parts, strict=True) if part == side}
        for side in ("train", "test")
    ]
    return sorted(sides[0] & sides[1])


def validation(
    labels: np.ndarray | None, groups: Sequence[str], fraction: float, seed: int, *, two_classes: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Cuts the rows 0..N-1 by group into (training rows, validation rows), each ascending.

    `labels` (N,) stratifies by a group's highest label; None does not stratify. A fraction above 0 puts
    at least one group in each part where there are two; a fraction of 0 or a single group validates nothing.
    With `two_classes` more groups validate until they have two classes, where there are two.
    """
    names, group_of, classes = _by_group(labels, groups)
    if fraction <= 0 or len(names) < 2:
        return np.arange(len(group_of)), np.arange(0)
    order = stratified_order(classes, _generator(seed, "validation"))
    count = _share(len(names), fraction)
    others = np.flatnonzero(classes[order] != classes[order[0]])
    if two_classes and len(others) and others[0] + 1 < len(names):
        count = max(count, int(others[0]) + 1)
    chosen = np.isin(group_of, order[:count])
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def nested_order(labels: np.ndarray | None, groups: Sequence[str], seed: int) -> np.ndarray:
    """All rows 0..N-1 in the order in which subsets take them.

    With labels (N,), every prefix has each class at its share to within one image. Without (segmentation),
    groups follow each other whole, in random order.
    """
    generator = _generator(seed, "subset")
    if labels is not None:
        return stratified_order(labels, generator)
    names, group_of, _ = _by_group(None, groups)
    place = np.empty(len(names), dtype=np.int64)
    place[generator.permutation(len(names))] = np.arange(len(names))
    return np.argsort(place[group_of], kind="stable")


def subset(labels: np.ndarray | None, groups: Sequence[str], size: int | float, seed: int) -> np.ndarray:
    """The first `size` rows of `nested_order`, ascending; subset(a) is within subset(b) for a <= b.

    A size in (0, 1] is a fraction of the rows (1 and 1.0 alike are all of them, as JSON has it), larger is a
    count. With labels the count is exact; without, the group that reaches it is taken whole.
    Raises InputError for a size that is not positive, is broken above 1, or exceeds the rows.
    """
    total = len(groups)
    if not 0 < size <= max(total, 1) or (size > 1 and size != int(size)):
        raise InputError(f"size {size}: accepted: a fraction in (0, 1], a number of images up to {total}")
    count = min(total, max(1, round(size * total))) if size <= 1 else int(size)
    order = nested_order(labels, groups, seed)
    if labels is None:
        count = _whole_groups(np.asarray(groups)[order], count)
    return np.sort(order[:count])


def _whole_groups(ordered: np.ndarray, count: int) -> int:
    ends = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]) + 1, len(ordered))
    return int(ends[np.searchsorted(ends, count)]) if count else 0


def stratified_order(classes: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A permutation of 0..N-1 whose prefixes of m hold floor or ceil of m n / N members of a class of n."""
    shuffled = generator.permutation(len(classes))
    release, deadline = (times.tolist() for times in _windows(np.asarray(classes)[shuffled]))
    waiting = sorted(range(len(shuffled)), key=release.__getitem__, reverse=True)
    ready: list[tuple[int, int]] = []
    order = []
    for slot in range(len(shuffled)):
        while waiting and release[waiting[-1]] <= slot:
            item = waiting.pop()
            heappush(ready, (deadline[item], item))
        order.append(heappop(ready)[1])
    return shuffled[order]


def _windows(classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For member j of a class of n among N: its first place floor(j N/n) and its limit ceil((j+1) N/n)."""
    _, kind, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    by_class = np.argsort(kind, kind="stable")
    rank = np.empty(len(kind), dtype=np.int64)
    rank[by_class] = np.arange(len(kind)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    size = sizes[kind]
    return rank * len(kind) // size, -(-(rank + 1) * len(kind) // size)


def _by_group(labels: np.ndarray | None, groups: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sorted names (G,), the group of each row (N,), the highest label of each group (G,) or zeros."""
    names, group_of = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    classes = np.zeros(len(names), dtype=np.int64)
    if labels is not None:
        classes -= 1
        np.maximum.at(classes, group_of, np.asarray(labels))
    return names, group_of, classes


def _share(count: int, fraction: float) -> int:
    return min(count - 1, max(1, int(fraction * count + 0.5)))


def _generator(seed: int, use: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(stream_seed(seed, use)))
