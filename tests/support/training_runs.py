"""Runs of the training loop that tests compare: a network hard to resume, loaders that fail, scripts."""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from training_sets import shades

from medpt.data.arrays import ArrayLoader
from medpt.protocol import TrainingProtocol
from medpt.tasks.base import TrainingSetup
from medpt.tasks.classify import Classify, scores
from medpt.train import MetricsRow, TrainingResult, fit

SHORT = TrainingProtocol(
    learning_rate=1e-2, batch_size=4, patience=9, min_steps=0, max_steps=14, evaluate_every=3
)
TRAIN, VAL, NOBODY = np.arange(9), np.arange(9, 12), np.arange(0)


def network(seed: int = 0) -> nn.Module:
    """Small, with what is hard to resume: batch norm's statistics and dropout."""
    torch.manual_seed(seed)
    convolution = nn.Conv2d(3, 4, 3, stride=4)
    return nn.Sequential(
        convolution, nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3), nn.Linear(256, 2)
    )


@dataclass(frozen=True)
class Certain(Classify):
    """Watches the mean score of the true class, which no two weights share."""

    metric: str = "certainty"

    def evaluate(self, model: nn.Module, batches: Any) -> Iterator[tuple[str, float]]:
        softmax, labels = scores(model, batches)
        yield "certainty", float(softmax[np.arange(len(labels)), labels].mean(dtype=float))


def train(
    loader: Any = None,
    seed: int = 0,
    protocol: TrainingProtocol = SHORT,
    task: Any = None,
    val_rows: np.ndarray = VAL,
    **options: Any,
) -> tuple[dict[str, Tensor], TrainingResult]:
    task = task or Certain(torch.ones(2))
    setup = TrainingSetup(network(), task, loader or shades(), TRAIN, val_rows)
    result = fit(setup, protocol, seed, **options)
    return setup.model.state_dict(), result


def timeless(history: list[MetricsRow]) -> list[MetricsRow]:
    return [{name: value for name, value in row.items() if name != "time"} for row in history]


def assert_same(
    one: tuple[dict[str, Tensor], TrainingResult], other: tuple[dict[str, Tensor], TrainingResult]
) -> None:
    for name, tensor in one[0].items():
        assert torch.equal(tensor, other[0][name]), name
    assert timeless(one[1].history) == timeless(other[1].history)
    assert repr(replace(one[1], history=[])) == repr(replace(other[1], history=[]))


class KilledError(Exception):
    pass


class Mortal:
    """A loader that raises before it yields batch number `step`."""

    def __init__(self, loader: ArrayLoader, step: int) -> None:
        self.loader, self.step, self.index = loader, step, loader.index
        self.steps_per_epoch, self.scan = loader.steps_per_epoch, loader.scan

    def batches(
        self, rows: np.ndarray, batch_size: int, seed: int, start: int = 0, augment: bool = True
    ) -> Iterator[Any]:
        for number, batch in enumerate(self.loader.batches(rows, batch_size, seed, start, augment), start):
            if number == self.step:
                raise KilledError
            yield batch


def fingerprint(state: dict[str, Tensor]) -> str:
    return hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in state.values())).hexdigest()


class Scripted:
    """A task whose validation metric follows a script; the loss is real."""

    metric = "quality"

    def __init__(self, values: list[float], higher_is_better: bool = True, bad_step: int = 0) -> None:
        self.values, self.higher_is_better, self.bad_step = iter(values), higher_is_better, bad_step
        self.losses: list[float] = []

    def loss(self, model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        loss = nn.functional.cross_entropy(model(images), targets)
        self.losses.append(loss.item())
        return loss * (math.nan if len(self.losses) == self.bad_step else 1)

    def evaluate(self, model: nn.Module, batches: Any) -> Iterator[tuple[str, float]]:
        model.eval()
        yield "quality", next(self.values)
