"""The training loop: steps, early stopping on a validation set, and checkpoints from which a run resumes.

Equal seeds give equal weights and histories, bit for bit on one type of CPU with a fixed number of threads
and equal settings of the step, which checkpoints record, however often the run is killed and resumed. The
model ends with its best weights. A loss or metric that is not finite ends the run at once. Choosing data,
counting class weights and testing are done elsewhere.

Every step seeds the generators anew, so that checkpoints need not contain their states.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from medpt import fault_injection
from medpt.checkpoint import Checkpoints
from medpt.convergence import EarlyStopping, early_steps, steps_to_95
from medpt.data.augment import augment, normalise
from medpt.errors import DivergedError, InputError
from medpt.identity import stream_seed
from medpt.normalisation import IMAGENET, Normalisation
from medpt.optimiser import build_optimiser, scheduled_rate, training_mode, use_bfloat16
from medpt.protocol import TrainingProtocol
from medpt.tasks.base import StepSettings, Task, TrainingSetup

if TYPE_CHECKING:
    from medpt.data.arrays import BatchSource

MetricsRow = dict[str, float]
EVALUATION_BATCH = 32
LONGEST_INTERVAL = 500  # steps: after long epochs there would be too few evaluations to stop early
UNCHECKED_CUDA_STEPS = 50  # reading the loss back at each step would stall the device


@dataclass(frozen=True)
class TrainingResult:
    """The outcome of a training; `best` (nan without validation) belongs to the weights of `best_step`.

    `early` has the rows of early evaluations, without losses, where the setup asked for them.
    """

    step: int
    best_step: int
    best: float
    history: list[MetricsRow]
    settings: StepSettings = field(default_factory=StepSettings)
    early: list[MetricsRow] | None = None


def fit(
    setup: TrainingSetup,
    protocol: TrainingProtocol,
    seed: int,
    *,
    device: str | torch.device = "cpu",
    checkpoints: Checkpoints | None = None,
    on_metrics: Callable[[MetricsRow], object] = lambda row: None,
) -> TrainingResult:
    """Train `setup.model` in place; it ends with the weights of its best validation metric.

    With validation rows training stops after `patience` evaluations in a row without improvement, but not
    before `min_steps`; without them it takes exactly `max_steps`. With `setup.early`, `early_steps` are
    evaluated too and decide nothing. A row of the history is {"step",
    "train_loss" (mean since the row before), "val_NAME"..., "time" (Unix seconds)}. `on_metrics` is called
    with each row; a resumed run calls it first with the rows of its earlier part. Training resumes from the
    newest of `checkpoints`, which the caller removes afterwards.

    Raises DivergedError that names the step, and InputError if there are no training images.
    """
    if len(setup.train_rows) == 0:
        raise InputError("no training images are left after the validation set was cut off")
    saved = checkpoints and checkpoints.newest()
    settings = recorded_settings(saved[1]) if saved else setup.settings
    state = TrainingState.start(replace(setup, settings=settings), protocol, torch.device(device))
    if saved:
        state.restore(*saved)
    for row in state.history:
        on_metrics(row)
    interval = evaluation_interval(protocol, setup.loader, setup.train_rows)
    stream, turned = stream_seed(seed, "batches"), protocol.augment != "none"
    batches = setup.loader.batches(setup.train_rows, protocol.batch_size, stream, state.step, turned)
    saved_at = time.monotonic()
    while not state.finished:
        reseed(state.device, stream_seed(seed, "step", state.step + 1))
        state.train(*next(batches))
        fault_injection.point(f"step/{state.step}")
        if state.step % interval == 0 or state.step == protocol.max_steps:
            on_metrics(state.evaluate())
        elif setup.early and state.step in early_steps(interval, protocol.max_steps):
            state.evaluate_early()
        if checkpoints and time.monotonic() - saved_at >= checkpoints.seconds:
            checkpoints.save(*state.snapshot(), state.step)
            saved_at = time.monotonic()
    return state.conclude()


@dataclass
class TrainingState:
    """Everything that changes while a network trains; `snapshot` and `restore` save and load it."""

    setup: TrainingSetup
    protocol: TrainingProtocol
    device: torch.device
    settings: StepSettings
    optimiser: torch.optim.Optimizer
    loss_sum: Tensor  # since the last evaluation
    unchecked: list[Tensor] = field(default_factory=list)  # losses that may not be finite
    best: dict[str, Tensor] = field(default_factory=dict)  # weights
    history: list[MetricsRow] = field(default_factory=list)
    early: list[MetricsRow] = field(default_factory=list)
    stopping: EarlyStopping = field(default_factory=EarlyStopping)
    step: int = 0

    @classmethod
    def start(cls, setup: TrainingSetup, protocol: TrainingProtocol, device: torch.device) -> TrainingState:
        """Move the model to the device and return the state before the first step."""
        settings, model = setup.settings or StepSettings.usual(device.type), setup.model
        layout = torch.channels_last if settings.channels_last else torch.preserve_format
        model.to(device).to(memory_format=layout)
        training_mode(model, protocol)
        if protocol.precision == "bf16":
            use_bfloat16(model, device)
        optimiser = build_optimiser(model, protocol, fused=settings.fused)
        loss_sum = torch.zeros((), dtype=torch.float64, device=device)
        return cls(setup, protocol, device, settings, optimiser, loss_sum)

    @property
    def finished(self) -> bool:
        stopped = self.stopping.stale >= self.protocol.patience and self.step >= self.protocol.min_steps
        return stopped or self.step >= self.protocol.max_steps

    def train(self, images: Tensor, targets: Tensor, transforms: Tensor, *dataset: int) -> None:
        """Take one step of the optimizer on a batch of `BatchSource.batches`."""
        images, targets, transforms = (
            x.to(self.device, non_blocking=True) for x in (images, targets, transforms)
        )
        images, targets = augment(
            images, targets, transforms, self.setup.normalisation, self.protocol.augment
        )
        if self.protocol.schedule:
            self.optimiser.param_groups[0]["lr"] = scheduled_rate(self.protocol, self.step + 1)
        loss = self.setup.task.loss(self.setup.model, images, targets, *dataset)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.step += 1
        self._add_loss(loss.detach())

    def _add_loss(self, loss: Tensor) -> None:
        self.loss_sum += loss
        self.unchecked.append(loss)
        if len(self.unchecked) >= UNCHECKED_CUDA_STEPS or self.device.type != "cuda":
            self._check_losses()

    def _check_losses(self) -> None:
        first = self.step - len(self.unchecked) + 1
        losses = torch.stack(self.unchecked).tolist() if self.unchecked else []
        for step, loss in enumerate(losses, first):
            if not math.isfinite(loss):
                raise DivergedError(f"the loss is {loss} at step {step}")
        self.unchecked.clear()

    def evaluate(self) -> MetricsRow:
        """Append a row to the history and keep the weights if they are the best so far."""
        self._check_losses()
        steps = self.step - int(self.history[-1]["step"] if self.history else 0)
        row: MetricsRow = {"step": self.step, "train_loss": float(self.loss_sum) / steps}
        self.loss_sum.zero_()
        if len(self.setup.val_rows):
            row |= self._validate()
            self._update_best(row[f"val_{self.setup.task.metric}"])
        self.history.append(row | {"time": time.time()})
        return self.history[-1]

    def evaluate_early(self) -> None:
        """Append a row to `early`, which decides nothing; without a validation set there is none."""
        if len(self.setup.val_rows):
            self.early.append({"step": self.step} | self._validate())

    def _validate(self) -> MetricsRow:
        setup = self.setup
        batches = evaluation_batches(setup.loader, setup.val_rows, self.device, setup.normalisation)
        values = {f"val_{name}": value for name, value in setup.task.evaluate(setup.model, batches)}
        training_mode(setup.model, self.protocol)
        return values

    def _update_best(self, value: float) -> None:
        task = self.setup.task
        if not math.isfinite(value):
            raise DivergedError(f"the validation metric {task.metric} is {value} at step {self.step}")
        gain = value if task.higher_is_better else -value
        self.stopping = self.stopping.after(gain, self.step, self.protocol.improvement)
        if self.stopping.best_step == self.step:
            self.best = {name: tensor.clone() for name, tensor in self.setup.model.state_dict().items()}

    def conclude(self) -> TrainingResult:
        """Load the best weights into the model; without validation the last ones stay."""
        if not self.best:
            return TrainingResult(self.step, self.step, math.nan, self.history, self.settings)
        self.setup.model.load_state_dict(self.best)
        best = self.stopping.best if self.setup.task.higher_is_better else -self.stopping.best
        early = self.early if self.setup.early else None
        return TrainingResult(self.step, self.stopping.best_step, best, self.history, self.settings, early)

    def snapshot(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the tensors and the JSON that `restore` needs."""
        self._check_losses()
        tensors = {"loss_sum": self.loss_sum}
        tensors |= {f"model/{name}": tensor for name, tensor in self.setup.model.state_dict().items()}
        tensors |= {f"best/{name}": tensor for name, tensor in self.best.items()}
        for number, moments in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser/{number}/{name}": tensor for name, tensor in moments.items()}
        rows = {"history": self.history, "early": self.early}
        return tensors, {"step": self.step, "settings": asdict(self.settings)} | rows

    def restore(self, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
        """Load what `snapshot` returned."""
        self.setup.model.load_state_dict(_under("model/", tensors))
        self.best = {name: tensor.to(self.device) for name, tensor in _under("best/", tensors).items()}
        self.loss_sum = tensors["loss_sum"].to(self.device)
        weights = self.optimiser.param_groups[0]["params"]  # numbered in this order; frozen ones are not here
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _under("optimiser/", tensors).items():
            number, moment = name.split("/")
            like = weights[int(number)] if tensor.ndim else tensor  # a checkpoint lost the memory layout
            moments.setdefault(int(number), {})[moment] = torch.empty_like(like).copy_(tensor)
        self.optimiser.load_state_dict(self.optimiser.state_dict() | {"state": moments})
        self.step, self.history, self.early = meta["step"], meta["history"], meta.get("early", [])
        self.stopping = EarlyStopping.replay(self.history, self.setup.task, self.protocol.improvement)


def recorded_settings(meta: dict[str, Any]) -> StepSettings | None:
    """Return the settings that a checkpoint was trained with; None of one that is older than they are."""
    return StepSettings(**meta["settings"]) if "settings" in meta else None


def reseed(device: torch.device, seed: int) -> None:
    """Seed the generators of the CPU and of `device` in 1 µs; torch.manual_seed takes 100 µs."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        number = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.default_generators[number].manual_seed(seed)


def evaluation_interval(protocol: TrainingProtocol, loader: BatchSource, train_rows: np.ndarray) -> int:
    """Return the steps between evaluations: those of the protocol, else one epoch, but at most 500."""
    if protocol.evaluate_every is not None:
        return protocol.evaluate_every
    return min(loader.steps_per_epoch(train_rows, protocol.batch_size, augment=True), LONGEST_INTERVAL)


def evaluation_batches(
    loader: BatchSource, rows: np.ndarray, device: torch.device, normalisation: Normalisation = IMAGENET
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield each row once, in order, as normalised images (B, 3, S, S) and targets on the device."""
    for images, targets in loader.scan(rows, EVALUATION_BATCH):
        moved = images.to(device, non_blocking=True)
        yield normalise(moved, normalisation), targets.to(device, non_blocking=True)


def summary(result: TrainingResult, task: Task) -> dict[str, float]:
    """Return steps and best_step and, if there was a validation set, val_METRIC and `steps_to_95`.

    With early evaluations also `dense_steps_to_95`, the first step of all evaluations within 5 % of the best.
    """
    steps = {"steps": float(result.step), "best_step": float(result.best_step)}
    if math.isnan(result.best):
        return steps
    rows = {"steps_to_95": result.history}
    if result.early is not None:
        rows["dense_steps_to_95"] = [*result.history, *result.early]
    for name, evaluated in rows.items():
        found = steps_to_95(
            evaluated, f"val_{task.metric}", result.best, higher_is_better=task.higher_is_better
        )
        steps[name] = float(result.best_step if found is None else found)
    return steps | {f"val_{task.metric}": result.best}


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
