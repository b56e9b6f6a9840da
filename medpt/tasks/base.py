"""The interface of a task: a loss to train with and metrics to evaluate.

A task does not change once its class weights are counted, and holds no network, data or random state.
Networks run in the protocol's precision; losses and metrics are always computed from float32.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
from torch import Tensor, nn

from medpt.data.arrays import BatchSource
from medpt.data.augment import ELEMENTS
from medpt.normalisation import IMAGENET, Normalisation
from medpt.protocol import TrainingProtocol

Batches = Iterable[tuple[Tensor, Tensor]]


class Task(Protocol):
    """What the training loop needs of a task; images are normalised float (B, 3, S, S)."""

    @property
    def metric(self) -> str:
        """The name, among those of `evaluate`, of the metric for early stopping."""
        ...

    @property
    def higher_is_better(self) -> bool: ...

    @property
    def loss(self) -> Callable[..., Tensor]:
        """`loss(model, images, targets)`: the scalar to minimise, for a model in training mode.

        In a collection of datasets a fourth argument follows: the number of the batch's dataset.
        """
        ...

    def evaluate(self, model: nn.Module, batches: Batches) -> Iterator[tuple[str, float]]:
        """Yield names and values over all batches together; leaves the model in evaluation mode."""
        ...


@dataclass(frozen=True)
class StepSettings:
    """How a training step is computed where its meaning stays: results differ by rounding only.

    `channels_last`: the memory layout of weights and images. `fused`: Adam in one kernel.
    """

    channels_last: bool = False
    fused: bool = False

    @classmethod
    def usual(cls, device_type: str) -> "StepSettings":
        """Return the settings that no trial chose, for "cpu" or "cuda"."""
        return cls(channels_last=device_type == "cuda", fused=device_type == "cuda")

    def __str__(self) -> str:
        return ", ".join(name for name, chosen in asdict(self).items() if chosen) or "plain"


@dataclass(frozen=True)
class TrainingSetup:
    """A network, its task and its data, ready for `medpt.train.fit`.

    `record` is JSON on how they were made (class weights, sizes). `figures` are numbers known before training
    that the result is compared with, such as the accuracy of guessing. `normalisation` is that of the weights
    from which the network starts. `settings` are those of a step; None: the usual ones of the device.
    `early`: the beginning of the training is evaluated more often (medpt.convergence).
    """

    model: nn.Module
    task: Task
    loader: BatchSource
    train_rows: np.ndarray
    val_rows: np.ndarray
    record: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    normalisation: Normalisation = IMAGENET
    settings: StepSettings | None = None
    early: bool = False


def forward(model: nn.Module, images: Tensor) -> list[Tensor]:
    """Return the outputs of a network, one tensor or a tuple of them, as a list in float32."""
    outputs = model(images)
    return [output.float() for output in (outputs if isinstance(outputs, tuple) else (outputs,))]


def views(protocol: TrainingProtocol) -> int:
    """Return how often an epoch shows each image: under eight flips and rotations, or once as it is."""
    return 1 if protocol.augment == "none" else ELEMENTS


def sizes(model: nn.Module, train_rows: np.ndarray, val_rows: np.ndarray) -> dict[str, int]:
    """Return the numbers of images and parameters, for the record."""
    return {
        "train_images": len(train_rows),
        "val_images": len(val_rows),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }
