"""A collection: one network with a head a dataset, trained on their own labels by turns.

Promises: a batch is of one dataset, drawn in proportion to the square root of its training images; it moves
what is shared and its own head alone. Batch n depends on the rows, the seed and n, so that a killed run goes
on with the batches it would have had. Wen et al. 2021 (section 5.2) do not say how label spaces are joined:
all of this is a decision.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from medpt.data.arrays import Loader
from medpt.data.augment import ELEMENTS
from medpt.errors import InputError
from medpt.identity import stream_seed
from medpt.models.classifier import select_head, set_heads
from medpt.protocol import TrainingProtocol
from medpt.specs import CLASSIFIER
from medpt.tasks import supervised
from medpt.tasks.base import Batches, Task, TrainingSetup

ARCHITECTURES = (CLASSIFIER, "unet")


def prepare(
    names: Sequence[str],
    feeds: Sequence[Loader],
    *,
    backbone: str,
    architecture: str,
    protocol: TrainingProtocol,
    seed: int,
) -> TrainingSetup:
    """Work on the training parts of all feeds; each one's validation part and class weights are its own.

    InputError where tasks or architecture do not fit, a name is given twice or a set is smaller than a batch.
    """
    _require_alike(names, feeds, architecture)
    works = [
        supervised.prepare(
            feed,
            feed.index.rows("train"),
            backbone=backbone,
            architecture=architecture,
            protocol=protocol,
            seed=seed,
        )
        for feed in feeds
    ]
    _require_full_batches(names, works, protocol.batch_size)
    torch.manual_seed(stream_seed(seed, "heads"))
    model = set_heads(works[0].model, [len(feed.index.classes) for feed in feeds])
    together = CollectionFeed(tuple(feeds))
    task = Collection(
        tuple(names), tuple(work.task for work in works), tuple(len(work.val_rows) for work in works)
    )
    train_rows, val_rows = (
        np.concatenate([start + rows for start, rows in zip(together.starts, parts, strict=False)])
        for parts in zip(*((work.train_rows, work.val_rows) for work in works), strict=True)
    )
    return TrainingSetup(model, task, together, train_rows, val_rows, _record(names, works, model))


def _require_alike(names: Sequence[str], feeds: Sequence[Loader], architecture: str) -> None:
    problems = [f"datasets: {name} is named twice" for name in sorted(set(names)) if names.count(name) > 1]
    if len(names) != len(feeds):
        problems.append(f"datasets: {len(names)} names for the data of {len(feeds)}")
    if len({feed.index.task for feed in feeds}) > 1:
        kinds = ", ".join(f"{feed.index.dataset} {feed.index.task}" for feed in feeds)
        problems.append(f"datasets: a collection has one task; given: {kinds}")
    if architecture not in ARCHITECTURES:
        accepted = ", ".join(ARCHITECTURES)
        problems.append(f"architecture: {architecture!r} takes no collection; accepted: {accepted}")
    if problems:
        raise InputError(problems)


def _require_full_batches(names: Sequence[str], works: Sequence[TrainingSetup], batch_size: int) -> None:
    least = -(-batch_size // ELEMENTS)
    small = [(name, len(work.train_rows)) for name, work in zip(names, works, strict=True)]
    problems = [
        f"{name}: {count} training images without the validation part; a batch of {batch_size} takes {least}"
        for name, count in small
        if count < least
    ]
    if problems:
        raise InputError(problems)


def _record(names: Sequence[str], works: Sequence[TrainingSetup], model: nn.Module) -> dict[str, object]:
    return {
        "train_images": sum(len(work.train_rows) for work in works),
        "val_images": sum(len(work.val_rows) for work in works),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "datasets": {
            name: {key: value for key, value in work.record.items() if key != "parameters"}
            for name, work in zip(names, works, strict=True)
        },
    }


@dataclass(frozen=True)
class Collection:
    """The tasks of several datasets on a network with a head for each, in the same order.

    An evaluation takes all validation images of the first dataset, `val_images[0]` of them, then those of
    the second and so on, never two in one batch.
    """

    names: tuple[str, ...]
    tasks: tuple[Task, ...]
    val_images: tuple[int, ...]

    @property
    def metric(self) -> str:
        return self.tasks[0].metric

    @property
    def higher_is_better(self) -> bool:
        return self.tasks[0].higher_is_better

    def loss(self, model: nn.Module, images: Tensor, targets: Tensor, number: int) -> Tensor:
        """That of dataset `number`, whose images and targets these are."""
        return self.tasks[number].loss(select_head(model, number), images, targets)

    def evaluate(self, model: nn.Module, batches: Batches) -> Iterator[tuple[str, float]]:
        """The mean of `metric` over the datasets that are validated, and all of theirs as DATASET_METRIC."""
        model.eval()
        stream, watched = iter(batches), []
        for number, (name, task) in enumerate(zip(self.names, self.tasks, strict=True)):
            if not self.val_images[number]:
                continue
            own = _first(stream, self.val_images[number])
            found = dict(task.evaluate(select_head(model, number), own))
            watched.append(found[task.metric])
            yield from ((f"{name}_{key}", value) for key, value in found.items())
        yield self.metric, sum(watched) / len(watched)


def _first(batches: Iterator[tuple[Tensor, Tensor]], images: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches until `images` of them have come."""
    while images > 0:
        batch = next(batches)
        images -= len(batch[0])
        yield batch


@dataclass(frozen=True)
class CollectionFeed:
    """Several feeds as a source of batches; row r of feed i is row starts[i] + r here."""

    feeds: tuple[Loader, ...]

    @property
    def starts(self) -> list[int]:
        """Of each feed, and the end of the last."""
        return [0, *np.cumsum([len(feed.index) for feed in self.feeds]).tolist()]

    def batches(
        self, rows: np.ndarray, batch_size: int, seed: int, start: int = 0, augment: bool = True
    ) -> Iterator[tuple[Tensor, Tensor, Tensor, int]]:
        """As medpt.data.arrays.Source, with the number of the dataset that a batch is of."""
        parts = self._parts(rows)
        draws = _Draws([len(part) for part in parts], stream_seed(seed, "datasets"))
        done = np.bincount(draws.next(start), minlength=len(parts)).tolist()
        streams = [
            feed.batches(part, batch_size, stream_seed(seed, "dataset", number), done[number], augment)
            for number, (feed, part) in enumerate(zip(self.feeds, parts, strict=True))
        ]
        while True:
            number = int(draws.next(1)[0])
            images, targets, transforms = next(streams[number])
            yield images, targets, transforms, number

    def steps_per_epoch(self, rows: np.ndarray, batch_size: int, augment: bool = True) -> int:
        parts = zip(self.feeds, self._parts(rows), strict=True)
        return sum(feed.steps_per_epoch(part, batch_size, augment) for feed, part in parts if len(part))

    def scan(self, rows: np.ndarray, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Each row once, dataset after dataset, in the given order within one; no batch is of two."""
        for feed, part in zip(self.feeds, self._parts(rows), strict=True):
            yield from feed.scan(part, batch_size)

    def _parts(self, rows: np.ndarray) -> list[np.ndarray]:
        return [rows[(rows >= first) & (rows < end)] - first for first, end in pairwise(self.starts)]


class _Draws:
    """Numbers of datasets, each in proportion to the square root of its size: one stream for one seed."""

    def __init__(self, counts: Sequence[int], seed: int) -> None:
        shares = np.cumsum(np.sqrt(counts))
        self.shares = shares / shares[-1]
        self.generator = np.random.Generator(np.random.Philox(key=seed))

    def next(self, count: int) -> np.ndarray:
        return np.searchsorted(self.shares, self.generator.random(count), side="right")
