"""Focal and Dice losses against loops over images, pixels and classes."""

import math
from typing import get_args

import numpy as np
import pytest
import torch

from medpt.losses import (
    FINDING_LOSSES,
    LOSSES,
    balanced_binary_cross_entropy,
    balanced_cross_entropy,
    binary_focal_loss,
    dice_cross_entropy,
    focal_loss,
)
from medpt.protocol import Loss

RNG = np.random.default_rng(3)
WEIGHTS = np.array([0.5, 1.0, 4.0])


def as_float(array: np.ndarray) -> torch.Tensor:
    return torch.tensor(array, dtype=torch.float32)


def softmax(row: np.ndarray) -> list[float]:
    powers = [math.exp(value) for value in row]
    return [power / sum(powers) for power in powers]


def slow_focal(logits: np.ndarray, target: np.ndarray, weights: np.ndarray) -> float:
    rows = np.moveaxis(logits, 1, -1).reshape(-1, logits.shape[1])
    total = mass = 0.0
    for row, y in zip(rows, target.ravel(), strict=True):
        if y != 255:
            p = softmax(row)[y]
            total += -weights[y] * (1 - p) ** 2 * math.log(p)
            mass += weights[y]
    return total / mass if mass else 0.0


@pytest.mark.parametrize("shape", [(), (3, 4)])
def test_focal_loss_is_equation_5_as_a_weighted_mean(shape: tuple[int, ...]) -> None:
    logits, target = RNG.normal(size=(6, 3, *shape)), RNG.choice([0, 1, 2, 255], size=(6, *shape))
    loss = focal_loss(as_float(logits), torch.tensor(target), as_float(WEIGHTS))
    assert float(loss) == pytest.approx(slow_focal(logits, target, WEIGHTS), rel=1e-5)


def test_binary_focal_loss_is_equation_5_of_each_known_finding() -> None:
    logits, target = RNG.normal(size=(5, 3)), RNG.choice([0.0, 1.0, math.nan], size=(5, 3))
    weights = np.array([[0.5, 2.0], [1.0, 1.0], [0.2, 4.0]])
    total = mass = 0.0
    for k in range(3):
        for n in range(5):
            if not math.isnan(target[n, k]):
                present = 1 / (1 + math.exp(-logits[n, k]))
                p, weight = (present, weights[k, 1]) if target[n, k] else (1 - present, weights[k, 0])
                total += -weight * (1 - p) ** 2 * math.log(p)
                mass += weight
    loss = binary_focal_loss(as_float(logits), as_float(target), as_float(weights))
    assert float(loss) == pytest.approx(total / mass, rel=1e-5)


def slow_dice_cross_entropy(logits: np.ndarray, target: np.ndarray) -> float:
    classes = logits.shape[1]
    overlap, predicted, true = (np.zeros(classes) for _ in range(3))
    entropy: list[float] = []
    rows = np.moveaxis(logits, 1, -1).reshape(-1, classes)
    for row, y in zip(rows, target.ravel(), strict=True):
        if y == 255:
            continue
        p = softmax(row)
        entropy.append(-math.log(p[y]))
        for k in range(classes):
            predicted[k] += p[k]
            true[k] += k == y
            overlap[k] += p[k] * (k == y)
    dice = [(2 * overlap[k] + 1e-5) / (predicted[k] + true[k] + 1e-5) for k in range(1, classes)]
    return sum(entropy) / len(entropy) + 1 - sum(dice) / len(dice)


@pytest.mark.parametrize("labels", [[0, 1, 2], [0, 1, 2, 255], [0, 1]], ids=["all", "ignored", "absent"])
def test_dice_cross_entropy_sums_over_the_batch(labels: list[int]) -> None:
    logits, target = RNG.normal(size=(4, 3, 5, 6)), RNG.choice(labels, size=(4, 5, 6))
    loss = dice_cross_entropy(as_float(logits), torch.tensor(target, dtype=torch.uint8), torch.ones(3))
    assert float(loss) == pytest.approx(slow_dice_cross_entropy(logits, target), rel=1e-5)


def test_dice_cross_entropy_of_the_truth_is_0() -> None:
    target = torch.randint(0, 3, (2, 4, 4), generator=torch.Generator().manual_seed(0))
    logits = 50.0 * torch.nn.functional.one_hot(target, 3).movedim(-1, 1)
    assert float(dice_cross_entropy(logits, target, torch.ones(3))) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_loss_of_ignored_pixels_alone_has_no_gradient(name: str) -> None:
    logits = torch.randn(1, 2, 3, 3, requires_grad=True)
    LOSSES[name](logits, torch.full((1, 3, 3), 255, dtype=torch.uint8), torch.ones(2)).backward()
    assert logits.grad is not None
    assert not logits.grad.any()


def test_focal_loss_of_sure_mistakes_is_close_to_cross_entropy() -> None:
    logits, target = torch.tensor([[20.0, 0.0], [0.0, 20.0]]), torch.tensor([1, 0])
    one = torch.ones(2)
    torch.testing.assert_close(focal_loss(logits, target, one), balanced_cross_entropy(logits, target, one))
    sure, absent, same = torch.tensor([[20.0]]), torch.tensor([[0.0]]), torch.ones(1, 2)
    plain = balanced_binary_cross_entropy(sure, absent, same)
    torch.testing.assert_close(binary_focal_loss(sure, absent, same), plain)


def test_losses_have_the_gradient_of_finite_differences() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 2, 2, generator=generator, dtype=torch.float64)
    target = torch.randint(0, 3, (2, 2, 2), generator=generator)
    for name in ("focal", "dice_ce"):
        moved = logits.float().requires_grad_()
        loss = LOSSES[name](moved, target, torch.tensor([0.5, 1.0, 2.0]))
        (gradient,) = torch.autograd.grad(loss, moved)
        step = torch.zeros_like(moved)
        step[0, 1, 0, 0] = 1e-2
        high, low = (LOSSES[name](moved + s * step, target, torch.tensor([0.5, 1.0, 2.0])) for s in (1, -1))
        assert float(gradient[0, 1, 0, 0]) == pytest.approx((high - low).item() / 2e-2, rel=2e-2)


def test_losses_are_those_of_the_protocol() -> None:
    assert set(LOSSES) == set(get_args(Loss))
    assert set(FINDING_LOSSES) == set(get_args(Loss)) - {"dice_ce"}
