"""The one training loop: Adam, early stopping on a validation part, checkpoints that cost a kill nothing.

Promises: equal seeds give equal weights and histories, bit for bit on the CPU with a fixed number of threads,
however often the run was killed and resumed; the best weights are in the model at the end; a loss or metric
that is not a number ends the run at once. It does not choose the data, count class weights or test.

Every step draws from its own stream of random numbers, so that no generator's state needs keeping.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from medpt import fault_injection
from medpt.checkpoint import Checkpoints
from medpt.data.augment import dihedral, normalise
from medpt.errors import DivergedError, InputError
from medpt.identity import stream_seed
from medpt.protocol import TrainingProtocol
from medpt.tasks.base import Task

if TYPE_CHECKING:
    from medpt.data.arrays import BatchSource

MetricsRow = dict[str, float]
EVALUATION_BATCH = 32
LONGEST_INTERVAL = 500  # steps: twenty evaluations of a long epoch would outlast any run
UNCHECKED_CUDA_STEPS = 50  # reading a loss back each step would stall the device


@dataclass(frozen=True)
class TrainingResult:
    """`best` and `best_step` are those of the weights left in the model: the last ones without validation."""

    step: int
    best_step: int
    best: float
    history: list[MetricsRow]


@dataclass(frozen=True)
class EarlyStopping:
    """Where early stopping stands: the best value, its step, and the evaluations since."""

    best: float = math.nan
    best_step: int = 0
    stale: int = 0

    def after(self, value: float, step: int, improvement: float) -> EarlyStopping:
        """`value`, higher is better, replaces the best if it exceeds it by more than `improvement`."""
        if math.isnan(self.best) or value - self.best > improvement:
            return EarlyStopping(value, step, 0)
        return EarlyStopping(self.best, self.best_step, self.stale + 1)


def fit(
    model: nn.Module,
    task: Task,
    feed: BatchSource,
    train_rows: np.ndarray,
    val_rows: np.ndarray,
    protocol: TrainingProtocol,
    *,
    seed: int,
    device: str | torch.device = "cpu",
    checkpoints: Checkpoints | None = None,
    checkpoint_seconds: float = 30.0,
    on_row: Callable[[MetricsRow], object] = lambda row: None,
) -> TrainingResult:
    """Trains `model` in place and leaves it with the weights of its best validation metric.

    With validation rows it stops after `patience` evaluations in a row without improvement, not before
    `min_steps`; without them it trains exactly `max_steps`. A row of the history is {"step", "train_loss"
    (mean since the row before), "val_NAME"..., "time" (Unix seconds)}; `on_row` gets each of them, those of
    a resumed run again first. Resumes from the newest of `checkpoints`; clearing them is the caller's.
    Raises DivergedError naming the step, InputError without training images.
    """
    if len(train_rows) == 0:
        raise InputError("no image is left to train on after the validation part was cut off")
    run = TrainingState.start(model, task, protocol, torch.device(device))
    if found := checkpoints and checkpoints.newest():
        run.load(*found)
    for row in run.history:
        on_row(row)
    interval = evaluation_interval(protocol, feed, train_rows)
    batches = feed.batches(train_rows, protocol.batch_size, stream_seed(seed, "batches"), start=run.step)
    saved = time.monotonic()
    while not run.finished:
        reseed(run.device, stream_seed(seed, "step", run.step + 1))
        run.train(*next(batches))
        fault_injection.point(f"step/{run.step}")
        if run.step % interval == 0 or run.step == protocol.max_steps:
            on_row(run.evaluate(feed, val_rows))
        if checkpoints and time.monotonic() - saved >= checkpoint_seconds:
            checkpoints.save(*run.state(), run.step)
            saved = time.monotonic()
    return run.conclude()


@dataclass
class TrainingState:
    """Everything that changes while a network trains; `state` and `load` carry it across a kill."""

    model: nn.Module
    task: Task
    protocol: TrainingProtocol
    device: torch.device
    optimiser: torch.optim.Optimizer
    loss_sum: Tensor  # since the last evaluation
    unchecked: list[Tensor] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    history: list[MetricsRow] = field(default_factory=list)
    standing: EarlyStopping = EarlyStopping()
    step: int = 0

    @classmethod
    def start(
        cls, model: nn.Module, task: Task, protocol: TrainingProtocol, device: torch.device
    ) -> TrainingState:
        on_cuda = device.type == "cuda"
        model.to(device).to(memory_format=torch.channels_last if on_cuda else torch.preserve_format).train()
        optimiser = torch.optim.Adam(model.parameters(), lr=protocol.learning_rate, fused=on_cuda)
        return cls(
            model, task, protocol, device, optimiser, torch.zeros((), dtype=torch.float64, device=device)
        )

    @property
    def finished(self) -> bool:
        stopped = self.standing.stale >= self.protocol.patience and self.step >= self.protocol.min_steps
        return stopped or self.step >= self.protocol.max_steps

    def train(self, images: Tensor, targets: Tensor, transforms: Tensor, *part: int) -> None:
        """One step of Adam on a batch of `Source.batches`."""
        images, targets, transforms = (
            x.to(self.device, non_blocking=True) for x in (images, targets, transforms)
        )
        targets = dihedral(targets, transforms) if targets.ndim == 3 else targets
        loss = self.task.loss(self.model, dihedral(normalise(images), transforms), targets, *part)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.step += 1
        self._note(loss.detach())

    def _note(self, loss: Tensor) -> None:
        self.loss_sum += loss
        self.unchecked.append(loss)
        if len(self.unchecked) >= UNCHECKED_CUDA_STEPS or self.device.type != "cuda":
            self._check_losses()

    def _check_losses(self) -> None:
        for back, loss in enumerate(torch.stack(self.unchecked).tolist() if self.unchecked else []):
            if not math.isfinite(loss):
                raise DivergedError(
                    f"the loss is {loss} at step {self.step - len(self.unchecked) + 1 + back}"
                )
        self.unchecked.clear()

    def evaluate(self, feed: BatchSource, val_rows: np.ndarray) -> MetricsRow:
        """Appends a row to the history and keeps the weights if they are the best so far."""
        self._check_losses()
        steps = self.step - int(self.history[-1]["step"] if self.history else 0)
        row: MetricsRow = {"step": self.step, "train_loss": float(self.loss_sum) / steps}
        self.loss_sum.zero_()
        if len(val_rows):
            values = self.task.evaluate(self.model, prepared(feed, val_rows, self.device))
            row |= {f"val_{name}": value for name, value in values}
            self.model.train()
            self._judge(row[f"val_{self.task.metric}"])
        self.history.append(row | {"time": time.time()})
        return self.history[-1]

    def _judge(self, value: float) -> None:
        if not math.isfinite(value):
            raise DivergedError(f"the validation metric {self.task.metric} is {value} at step {self.step}")
        gain = value if self.task.higher_is_better else -value
        self.standing = self.standing.after(gain, self.step, self.protocol.improvement)
        if self.standing.best_step == self.step:
            self.best = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}

    def conclude(self) -> TrainingResult:
        if not self.best:
            return TrainingResult(self.step, self.step, math.nan, self.history)
        self.model.load_state_dict(self.best)
        best = self.standing.best if self.task.higher_is_better else -self.standing.best
        return TrainingResult(self.step, self.standing.best_step, best, self.history)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and JSON from which `load` goes on."""
        self._check_losses()
        tensors = {"loss_sum": self.loss_sum}
        tensors |= {f"model/{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= {f"best/{name}": tensor for name, tensor in self.best.items()}
        for number, moments in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser/{number}/{name}": tensor for name, tensor in moments.items()}
        return tensors, {"step": self.step, "history": self.history}

    def load(self, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
        self.model.load_state_dict(_under("model/", tensors))
        self.best = {name: tensor.to(self.device) for name, tensor in _under("best/", tensors).items()}
        self.loss_sum = tensors["loss_sum"].to(self.device)
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _under("optimiser/", tensors).items():
            number, moment = name.split("/")
            state.setdefault(int(number), {})[moment] = tensor
        self.optimiser.load_state_dict(self.optimiser.state_dict() | {"state": state})
        self.step, self.history = meta["step"], meta["history"]
        self.standing = standing(self.history, self.task, self.protocol.improvement)


def reseed(device: torch.device, seed: int) -> None:
    """As torch.manual_seed, but of the CPU and this device alone: 1 µs in place of 100."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        number = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.default_generators[number].manual_seed(seed)


def standing(history: list[MetricsRow], task: Task, improvement: float) -> EarlyStopping:
    """Replays early stopping over the rows of a history that were validated."""
    now = EarlyStopping()
    for row in history:
        if (value := row.get(f"val_{task.metric}")) is not None:
            now = now.after(value if task.higher_is_better else -value, int(row["step"]), improvement)
    return now


def evaluation_interval(protocol: TrainingProtocol, feed: BatchSource, train_rows: np.ndarray) -> int:
    """Steps from one evaluation to the next: as told, else one eightfold epoch, but 500 at the most."""
    if protocol.evaluate_every is not None:
        return protocol.evaluate_every
    return min(feed.steps_per_epoch(train_rows, protocol.batch_size, augment=True), LONGEST_INTERVAL)


def prepared(feed: BatchSource, rows: np.ndarray, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Each row once, in order, as normalised images (B, 3, S, S) and targets, on the device."""
    for images, targets in feed.scan(rows, EVALUATION_BATCH):
        yield normalise(images.to(device, non_blocking=True)), targets.to(device, non_blocking=True)


def summary(outcome: TrainingResult, task: Task) -> dict[str, float]:
    """steps, best_step, and where there was validation val_METRIC and steps_to_95 (see there)."""
    steps = {"steps": float(outcome.step), "best_step": float(outcome.best_step)}
    if math.isnan(outcome.best):
        return steps
    return steps | {f"val_{task.metric}": outcome.best, "steps_to_95": float(steps_to_95(outcome, task))}


def steps_to_95(outcome: TrainingResult, task: Task) -> int:
    """The first evaluated step whose validation metric is within 5 % of the run's own best."""
    for row in outcome.history:
        value = row[f"val_{task.metric}"]
        worse, better = (value, outcome.best) if task.higher_is_better else (outcome.best, value)
        if worse >= 0.95 * better:
            return int(row["step"])
    return outcome.best_step


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
