import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from training_runs import NOBODY, SHORT, TRAIN, VAL, Scripted, network, train
from training_sets import shades, squares

from medpt.checkpoint import Checkpoints
from medpt.convergence import EarlyStopping
from medpt.data.arrays import ArrayLoader
from medpt.errors import DivergedError, InputError
from medpt.protocol import TrainingProtocol
from medpt.tasks.base import TrainingSetup, forward
from medpt.tasks.classify import Classify
from medpt.train import (
    MetricsRow,
    TrainingResult,
    evaluation_interval,
    fit,
    summary,
)


def stop_step(values: list[float], **changes: Any) -> tuple[int, int]:
    every = replace(SHORT, evaluate_every=1, max_steps=len(values), **changes)
    _, outcome = train(task=Scripted(values), protocol=every)
    return outcome.step, outcome.best_step


def test_fit_stops_after_patience_evaluations_without_improvement() -> None:
    assert stop_step([0.1, 0.5, 0.5, 0.4, 0.5, 0.9, 0.9], patience=3) == (5, 2)
    assert stop_step([0.1, 0.5, 0.5, 0.4, 0.6, 0.9, 0.9], patience=3) == (7, 6)
    assert stop_step([0.5, 0.4, 0.4, 0.4], patience=1) == (2, 1)


def test_fit_ignores_gains_up_to_improvement() -> None:
    assert stop_step([0.5, 0.50009, 0.50018, 0.50027], patience=2) == (4, 3)
    assert stop_step([0.5, 0.50009, 0.50009, 0.50018], patience=2) == (3, 1)


def test_fit_does_not_stop_before_min_steps() -> None:
    assert stop_step([0.5] * 9, patience=2, min_steps=6) == (6, 1)


def test_fit_stops_at_max_steps() -> None:
    assert stop_step([0.1 * n for n in range(9)], patience=1) == (9, 9)
    assert stop_step([0.5] * 4, patience=1, min_steps=100) == (4, 1)


def test_fit_minimises_a_metric_if_lower_is_better() -> None:
    values = [0.5, 0.3, 0.4, 0.4, 0.1]
    every = replace(SHORT, evaluate_every=1, max_steps=5, patience=2)
    _, outcome = train(task=Scripted(values, higher_is_better=False), protocol=every)
    assert (outcome.step, outcome.best_step, outcome.best) == (4, 2, 0.3)


@given(st.lists(st.sampled_from([0.1, 0.2, 0.20005, 0.3]), min_size=1, max_size=12))
def test_early_stopping_replays_a_history(values: list[float]) -> None:
    history: list[MetricsRow] = [{"step": n + 1, "val_quality": value} for n, value in enumerate(values)]
    best, best_step = values[0], 1
    for step, value in enumerate(values, 1):
        if value > best + 1e-4:
            best, best_step = value, step
    expected = EarlyStopping(best, best_step, len(values) - best_step)
    assert EarlyStopping.replay(history, Scripted([]), 1e-4) == expected


def test_fit_leaves_the_best_weights_in_the_model() -> None:
    every = replace(SHORT, evaluate_every=2, max_steps=8, patience=9)
    best, outcome = train(task=Scripted([0.1, 0.7, 0.3, 0.2]), protocol=every)
    until_best, _ = train(task=Scripted([0.1, 0.7]), protocol=replace(every, max_steps=4))
    assert (outcome.best_step, outcome.best, outcome.step) == (4, 0.7, 8)
    for name, tensor in until_best.items():
        assert torch.equal(tensor, best[name]), name


def test_fit_without_validation_keeps_the_last_weights() -> None:
    _, outcome = train(val_rows=NOBODY, protocol=replace(SHORT, patience=1))
    assert (outcome.step, outcome.best_step) == (14, 14)
    assert math.isnan(outcome.best)
    assert [set(row) for row in outcome.history] == [{"step", "train_loss", "time"}] * 5
    assert summary(outcome, Classify(torch.ones(2))) == {"steps": 14, "best_step": 14}


def test_history_has_the_mean_training_loss_since_the_last_row() -> None:
    task = Scripted([0.1] * 5)
    _, outcome = train(task=task, protocol=SHORT)
    parts = [task.losses[a:b] for a, b in ((0, 3), (3, 6), (6, 9), (9, 12), (12, 14))]
    assert [row["train_loss"] for row in outcome.history] == pytest.approx([np.mean(part) for part in parts])


@pytest.mark.parametrize("seconds", [0.0, 3600.0])
def test_loss_that_is_no_number_ends_the_run_and_names_the_step(tmp_path: Path, seconds: float) -> None:
    saved = Checkpoints(tmp_path, seconds)
    with pytest.raises(DivergedError, match="the loss is nan at step 5"):
        train(task=Scripted([0.1] * 9, bad_step=5), checkpoints=saved)
    found = saved.newest()
    assert (found[1]["step"] if found else None) == (4 if seconds == 0 else None)
    assert found is None or all(tensor.isfinite().all() for tensor in found[0].values())


def test_metric_that_is_no_number_ends_the_run() -> None:
    with pytest.raises(DivergedError, match="metric quality is nan at step 6"):
        train(task=Scripted([0.1, math.nan]))


def test_fit_refuses_an_empty_training_set() -> None:
    with pytest.raises(InputError, match="no training images are left"):
        fit(TrainingSetup(network(), Classify(torch.ones(2)), shades(), NOBODY, VAL), SHORT, 0)


def test_fit_accepts_batches_of_one() -> None:
    _, outcome = train(protocol=replace(SHORT, batch_size=1))
    assert all(math.isfinite(row["train_loss"]) for row in outcome.history)


def test_evaluation_interval_is_an_epoch_of_at_most_500_steps() -> None:
    loader, default = shades(), TrainingProtocol(batch_size=16)
    assert evaluation_interval(replace(default, evaluate_every=7), loader, TRAIN) == 7
    assert evaluation_interval(default, loader, np.arange(18)) == 9
    assert evaluation_interval(default, loader, np.arange(1)) == 1
    assert evaluation_interval(default, loader, np.arange(1_000)) == 500
    assert evaluation_interval(default, loader, np.arange(10_001)) == 500


def test_fit_transforms_masks_with_their_images() -> None:
    """Where the image is the mask, a loss that compares them sees no difference under any transform."""

    class Compare(Scripted):
        def loss(self, model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
            assert torch.equal(images[:, 0] > 0, targets == 1)
            return super().loss(model, images, torch.zeros(len(targets), dtype=torch.long))

    loader = squares(train=12)
    object.__setattr__(
        loader.arrays, "images", np.repeat(loader.arrays.targets[..., None] * np.uint8(255), 3, axis=-1)
    )
    _, outcome = train(loader, task=Compare([0.1] * 5), protocol=SHORT)
    assert outcome.step == 14


def test_summary_finds_the_first_step_near_the_best() -> None:
    history: list[MetricsRow] = [
        {"step": s, "val_auc": v} for s, v in ((10, 0.5), (20, 0.94), (30, 0.9501), (40, 1.0), (50, 0.2))
    ]
    outcome, task = TrainingResult(50, 40, 1.0, history), Classify(torch.ones(2))
    assert summary(outcome, task) == {"steps": 50, "best_step": 40, "val_auc": 1.0, "steps_to_95": 30}
    early = replace(outcome, early=[{"step": 14, "val_auc": 0.96}])
    assert summary(early, task) == summary(outcome, task) | {"dense_steps_to_95": 14}


def test_early_evaluations_change_nothing_else(tmp_path: Path) -> None:
    """Weights, history and stopping are equal to the last bit, also of a run that was resumed."""
    protocol = replace(SHORT, evaluate_every=20, max_steps=40)
    found = {}
    for early in (False, True):
        setup = TrainingSetup(network(), Classify(torch.ones(2)), shades(), TRAIN, VAL, early=early)
        outcome = fit(setup, protocol, 0, checkpoints=Checkpoints(tmp_path / f"{early}", 0))
        resumed = TrainingSetup(network(), setup.task, setup.loader, TRAIN, VAL, early=early)
        again = fit(resumed, protocol, 0, checkpoints=Checkpoints(tmp_path / f"{early}", 0))
        rows = [{k: v for k, v in row.items() if k != "time"} for row in outcome.history]
        found[early] = (outcome.step, outcome.best_step, outcome.best, rows, setup.model.state_dict())
        assert again.early == outcome.early
    plain, dense = found.values()
    assert plain[:4] == dense[:4]
    assert all(torch.equal(value, dense[4][name]) for name, value in plain[4].items())
    assert [row["step"] for row in outcome.early or ()] == [10, 14, 28]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_fit_on_cuda_names_the_step_of_a_loss_that_is_nan() -> None:
    with pytest.raises(DivergedError, match="the loss is nan at step 5"):
        train(ArrayLoader(shades().arrays, "cuda"), task=Scripted([0.1] * 9, bad_step=5), device="cuda")


class Watched(nn.Module):
    """A linear classifier that remembers the type of its outputs and of its gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.types = nn.Linear(3 * 32 * 32, 2), set[torch.dtype]()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.last(images.flatten(1))
        self.types.add(logits.dtype)
        return logits


@pytest.mark.parametrize(("precision", "kind"), [(None, torch.float32), ("bf16", torch.bfloat16)])
def test_network_computes_in_the_protocols_precision_and_scores_are_float32(
    precision: Any, kind: torch.dtype
) -> None:
    model = Watched()
    setup = TrainingSetup(model, Classify(torch.ones(2)), shades(), TRAIN, VAL)
    result = fit(setup, replace(SHORT, precision=precision), 0)
    assert model.types == {kind}
    images = torch.rand(2, 3, 32, 32)
    assert forward(model, images)[0].dtype == torch.float32
    assert model.types == {kind}
    assert model.last.weight.dtype == torch.float32
    assert 0 <= result.best <= 1


def test_bf16_metric_is_close_to_that_of_float32() -> None:
    single, brief = train(), train(protocol=replace(SHORT, precision="bf16"))
    assert brief[1].best == pytest.approx(single[1].best, abs=0.05)
    assert not torch.equal(single[0]["5.weight"], brief[0]["5.weight"])
