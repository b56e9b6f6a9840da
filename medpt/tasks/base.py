"""What a network is trained for: one file a task, each with a loss and an evaluation as (name, value).

A task is fixed once its class weights are counted; it holds no network, no data and no random state. Networks
run in bfloat16 where the images lie on a CUDA device, else in float32; losses and metrics always see float32.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from medpt.data.arrays import BatchSource

Batches = Iterable[tuple[Tensor, Tensor]]


class Task(Protocol):
    """What the training loop asks of a task; images are normalised float (B, 3, S, S)."""

    @property
    def metric(self) -> str:
        """The name, among those of `evaluate`, that early stopping watches."""
        ...

    @property
    def higher_is_better(self) -> bool: ...

    @property
    def loss(self) -> Callable[..., Tensor]:
        """`loss(model, images, targets)`: a scalar to descend, for a model in training mode.

        What else a batch of the source holds follows: the number of its dataset in a collection.
        """
        ...

    def evaluate(self, model: nn.Module, batches: Batches) -> Iterator[tuple[str, float]]:
        """Names and values over all batches together, whatever their sizes; leaves the model in eval mode."""
        ...


@dataclass(frozen=True)
class TrainingSetup:
    """What the training loop is given.

    `record` says, as JSON, how it was made (class weights, sizes); `figures` are what to read the result
    against that is known before training (the accuracy of guessing).
    """

    model: nn.Module
    task: Task
    feed: BatchSource
    train_rows: np.ndarray
    val_rows: np.ndarray
    record: dict[str, Any]
    figures: dict[str, float] = field(default_factory=dict)


def forward(model: nn.Module, images: Tensor) -> list[Tensor]:
    """The outputs of a network that returns a tensor or a tuple of them, in float32."""
    with torch.autocast(images.device.type, torch.bfloat16, enabled=images.is_cuda):
        outputs = model(images)
    return [output.float() for output in (outputs if isinstance(outputs, tuple) else (outputs,))]
