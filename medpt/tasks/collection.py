"""Training on a collection of datasets: one network with a last layer (head) for each dataset.

Each batch comes from one dataset, drawn in proportion to the square root of its training images, and changes
the shared layers and the head of that dataset. Batch n depends only on the rows, the seed and n, so that a
resumed run sees the same batches. Wen et al. 2021 (section 5.2) do not say how label spaces are joined; all
of this is a decision.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from medpt.data.arrays import Loader
from medpt.errors import InputError
from medpt.identity import stream_seed
from medpt.models.classifier import select_head, set_heads
from medpt.protocol import TrainingProtocol
from medpt.specs import CLASSIFIER, Pretrain
from medpt.tasks import supervised
from medpt.tasks.base import Batches, Task, TrainingSetup, views

ARCHITECTURES = (CLASSIFIER, "unet")


def set_up(spec: Pretrain, loaders: Sequence[Loader]) -> TrainingSetup:
    """Set up training on the training sets of all datasets.

    Each dataset has its own validation set and class weights.

    Raises InputError if tasks or architecture do not fit, a name is given twice, or a dataset has fewer
    images than a batch needs.
    """
    names = spec.datasets
    _require_compatible(names, loaders, spec.architecture)
    setups = [supervised.set_up(loader, loader.index.rows("train"), spec) for loader in loaders]
    _require_full_batches(names, setups, spec.protocol)
    torch.manual_seed(stream_seed(spec.seed, "heads"))
    model = set_heads(setups[0].model, [len(loader.index.classes) for loader in loaders])
    joined = CollectionLoader(tuple(loaders))
    tasks, val_images = zip(*((setup.task, len(setup.val_rows)) for setup in setups), strict=True)
    task = Collection(names, tasks, val_images)
    train_rows = joined.join_rows([setup.train_rows for setup in setups])
    val_rows = joined.join_rows([setup.val_rows for setup in setups])
    return TrainingSetup(model, task, joined, train_rows, val_rows, _record(names, setups, model))


def _require_compatible(names: Sequence[str], loaders: Sequence[Loader], architecture: str) -> None:
    problems = [f"datasets: {name} is named twice" for name in sorted(set(names)) if names.count(name) > 1]
    if len(names) != len(loaders):
        problems.append(f"datasets: {len(names)} names for the data of {len(loaders)}")
    if len({loader.index.task for loader in loaders}) > 1:
        tasks = ", ".join(f"{loader.index.dataset} {loader.index.task}" for loader in loaders)
        problems.append(f"datasets: a collection has one task; given: {tasks}")
    if architecture not in ARCHITECTURES:
        accepted = ", ".join(ARCHITECTURES)
        problems.append(
            f"architecture: {architecture!r} cannot be trained on a collection; accepted: {accepted}"
        )
    if problems:
        raise InputError(problems)


def _require_full_batches(
    names: Sequence[str], setups: Sequence[TrainingSetup], protocol: TrainingProtocol
) -> None:
    batch_size = protocol.batch_size
    least = -(-batch_size // views(protocol))
    counts = [(name, len(setup.train_rows)) for name, setup in zip(names, setups, strict=True)]
    problems = [
        f"{name}: {count} training images without the validation set; a batch of {batch_size} needs {least}"
        for name, count in counts
        if count < least
    ]
    if problems:
        raise InputError(problems)


def _record(names: Sequence[str], setups: Sequence[TrainingSetup], model: nn.Module) -> dict[str, object]:
    return {
        "train_images": sum(len(setup.train_rows) for setup in setups),
        "val_images": sum(len(setup.val_rows) for setup in setups),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "datasets": {
            name: {key: value for key, value in setup.record.items() if key != "parameters"}
            for name, setup in zip(names, setups, strict=True)
        },
    }


@dataclass(frozen=True)
class Collection:
    """The tasks of several datasets on a network with a head for each, in the same order.

    An evaluation gets all validation images of the first dataset, `val_images[0]` of them, then those of the
    second and so on; no batch has images of two datasets.
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
        """Return the loss of dataset `number`, to which the images belong."""
        return self.tasks[number].loss(select_head(model, number), images, targets)

    def evaluate(self, model: nn.Module, batches: Batches) -> Iterator[tuple[str, float]]:
        """Yield all metrics of each dataset as DATASET_METRIC, and the mean of `metric` over the datasets.

        Datasets without validation images are excluded.
        """
        model.eval()
        stream, means = iter(batches), []
        for number, (name, task) in enumerate(zip(self.names, self.tasks, strict=True)):
            if not self.val_images[number]:
                continue
            part = _first(stream, self.val_images[number])
            metrics = dict(task.evaluate(select_head(model, number), part))
            means.append(metrics[task.metric])
            yield from ((f"{name}_{key}", value) for key, value in metrics.items())
        yield self.metric, sum(means) / len(means)


def _first(batches: Iterator[tuple[Tensor, Tensor]], images: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches until there were `images` images."""
    while images > 0:
        batch = next(batches)
        images -= len(batch[0])
        yield batch


@dataclass(frozen=True)
class CollectionLoader:
    """Several loaders as one source of batches; row r of loader i is row starts[i] + r here."""

    loaders: tuple[Loader, ...]

    @property
    def starts(self) -> list[int]:
        """The first row of each loader, and the end of the last."""
        return [0, *np.cumsum([len(loader.index) for loader in self.loaders]).tolist()]

    def join_rows(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """Return the rows here of `parts`, the rows of each loader."""
        return np.concatenate([start + rows for start, rows in zip(self.starts, parts, strict=False)])

    def batches(
        self, rows: np.ndarray, batch_size: int, seed: int, start: int = 0, augment: bool = True
    ) -> Iterator[tuple[Tensor, Tensor, Tensor, int]]:
        """Yield batches as medpt.data.arrays.BatchSource does, each with the number of its dataset."""
        parts = self._split_rows(rows)
        draws = _Draws([len(part) for part in parts], stream_seed(seed, "datasets"))
        done = np.bincount(draws.next(start), minlength=len(parts)).tolist()
        streams = [
            loader.batches(part, batch_size, stream_seed(seed, "dataset", number), done[number], augment)
            for number, (loader, part) in enumerate(zip(self.loaders, parts, strict=True))
        ]
        while True:
            number = int(draws.next(1)[0])
            images, targets, transforms = next(streams[number])
            yield images, targets, transforms, number

    def steps_per_epoch(self, rows: np.ndarray, batch_size: int, augment: bool = True) -> int:
        parts = zip(self.loaders, self._split_rows(rows), strict=True)
        return sum(loader.steps_per_epoch(part, batch_size, augment) for loader, part in parts if len(part))

    def scan(self, rows: np.ndarray, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield each row once, dataset after dataset, in the given order within each."""
        for loader, part in zip(self.loaders, self._split_rows(rows), strict=True):
            yield from loader.scan(part, batch_size)

    def _split_rows(self, rows: np.ndarray) -> list[np.ndarray]:
        return [rows[(rows >= first) & (rows < end)] - first for first, end in pairwise(self.starts)]


class _Draws:
    """Numbers of datasets, drawn in proportion to the square root of their sizes, one stream per seed."""

    def __init__(self, counts: Sequence[int], seed: int) -> None:
        shares = np.cumsum(np.sqrt(counts))
        self.shares = shares / shares[-1]
        self.generator = np.random.Generator(np.random.Philox(key=seed))

    def next(self, count: int) -> np.ndarray:
        return np.searchsorted(self.shares, self.generator.random(count), side="right")
