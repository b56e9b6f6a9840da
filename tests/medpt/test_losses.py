import math
from typing import get_args

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from medpt.losses import (
    DEFAULT_WEIGHTING,
    ET_LOSSES,
    WEIGHTINGS,
    balanced_cross_entropy,
    class_weights,
    edge_target,
    lovasz_softmax,
)
from medpt.protocol import Weighting

CLIP = (0.1, 20.0)
RAW = {
    "none": lambda n, k, total: 1.0,
    "inverse_frequency": lambda n, k, total: total / (k * n) if n else math.inf,
    "sqrt_inverse_frequency": lambda n, k, total: math.sqrt(total / (k * n)) if n else math.inf,
    "log_inverse": lambda n, k, total: 1 / math.log(1.02 + n / total),
}


def slow_weights(counts: list[int], weighting: str) -> list[float]:
    total, k = sum(counts), len(counts)
    clipped = [min(max(RAW[weighting](n, k, total), CLIP[0]), CLIP[1]) for n in counts]
    scale = sum(w * n for w, n in zip(clipped, counts, strict=True)) / total
    return [w / scale for w in clipped]


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@given(counts=st.lists(st.integers(0, 10**9), min_size=2, max_size=6).filter(any))
@settings(max_examples=40)
def test_class_weights_follow_the_formula(weighting: str, counts: list[int]) -> None:
    weights = class_weights(torch.tensor(counts), weighting, CLIP)
    assert weights.tolist() == pytest.approx(slow_weights(counts, weighting), rel=1e-5)
    assert float((weights.double() * torch.tensor(counts)).sum()) == pytest.approx(sum(counts), rel=1e-5)


def test_equal_classes_weigh_equally_under_every_name() -> None:
    for weighting in WEIGHTINGS:
        torch.testing.assert_close(class_weights(torch.tensor([7, 7, 7]), weighting, CLIP), torch.ones(3))


def test_rarer_classes_weigh_more_up_to_the_clip() -> None:
    weights = class_weights(torch.tensor([10**6, 10**3, 1]), "inverse_frequency", CLIP)
    assert weights[0] < weights[1] == weights[2]
    assert float(weights[2] / weights[0]) == pytest.approx(20 / (1 / 3 * (10**6 + 1001) / 10**6), rel=1e-5)


def test_weightings_are_those_of_the_specification() -> None:
    assert set(WEIGHTINGS) == set(get_args(Weighting))


def test_defaults_are_known_weightings() -> None:
    assert set(DEFAULT_WEIGHTING) == {"classification", "multilabel", "segmentation"}
    assert set(DEFAULT_WEIGHTING.values()) <= set(WEIGHTINGS)


def slow_cross_entropy(logits: np.ndarray, target: np.ndarray, weights: np.ndarray) -> float:
    rows = np.moveaxis(logits, 1, -1).reshape(-1, logits.shape[1])
    total = mass = 0.0
    for row, y in zip(rows, target.ravel(), strict=True):
        if y != 255:
            total += weights[y] * (math.log(sum(math.exp(v) for v in row)) - row[y])
            mass += weights[y]
    return total / mass if mass else 0.0


@pytest.mark.parametrize("shape", [(), (3, 4)])
def test_balanced_cross_entropy_is_the_weighted_mean(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    logits, weights = rng.normal(size=(6, 3, *shape)), np.array([0.5, 1.0, 4.0])
    target = rng.choice([0, 1, 2, 255], size=(6, *shape))
    loss = balanced_cross_entropy(
        torch.tensor(logits, dtype=torch.float32),
        torch.tensor(target),
        torch.tensor(weights, dtype=torch.float32),
    )
    assert float(loss) == pytest.approx(slow_cross_entropy(logits, target, weights), rel=1e-5)


def test_balanced_cross_entropy_takes_byte_masks() -> None:
    logits, target = torch.randn(2, 2, 3, 3), torch.randint(0, 2, (2, 3, 3))
    assert torch.equal(
        balanced_cross_entropy(logits, target.to(torch.uint8), torch.ones(2)),
        balanced_cross_entropy(logits, target, torch.ones(2)),
    )


def test_batch_of_ignored_pixels_costs_nothing() -> None:
    logits = torch.randn(1, 2, 3, 3, requires_grad=True)
    target = torch.full((1, 3, 3), 255, dtype=torch.uint8)
    for loss in (balanced_cross_entropy(logits, target, torch.ones(2)), lovasz_softmax(logits, target)):
        loss.backward()
        assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


masks = hnp.arrays(np.uint8, (2, 7, 9), elements=st.sampled_from([0, 0, 0, 1, 2, 255]))


@given(masks)
def test_edge_target_is_dilation_xor_erosion_of_each_class(mask: np.ndarray) -> None:
    kernel = np.ones((3, 3), np.uint8)
    for image, edge in zip(mask, edge_target(torch.from_numpy(mask)).numpy(), strict=True):
        expected = np.zeros_like(image)
        for k in (1, 2):
            one = (image == k).astype(np.uint8)
            expected |= cv2.dilate(one, kernel) != cv2.erode(one, kernel)
        expected[image == 255] = 255
        np.testing.assert_array_equal(edge, expected)


def slow_jaccard_loss(errors: np.ndarray, truth: np.ndarray) -> float:
    """Lovász extension of the Jaccard loss as a telescoping sum over the nested sets of worst errors."""

    def jaccard_loss(wrong: set[int]) -> float:
        positives = {i for i, t in enumerate(truth) if t}
        union = positives | wrong
        return 1 - len(positives - wrong) / len(union) if union else 0.0

    order = sorted(range(len(errors)), key=lambda i: -errors[i])
    sets = [set(order[:n]) for n in range(len(order) + 1)]
    return sum(
        errors[order[n]] * (jaccard_loss(sets[n + 1]) - jaccard_loss(sets[n])) for n in range(len(order))
    )


@given(st.integers(0, 10**6))
@settings(max_examples=25)
def test_lovasz_softmax_is_the_extension_of_one_minus_iou(seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = torch.tensor(rng.normal(size=(2, 3, 3, 3)), dtype=torch.float32)
    target = rng.choice([0, 2, 255], size=(2, 3, 3))
    chosen = target != 255
    probabilities = logits.softmax(1).movedim(1, -1).numpy()[chosen].astype(float)
    present = sorted(set(target[chosen]))
    losses = [
        slow_jaccard_loss(np.abs((target[chosen] == k) - probabilities[:, k]), target[chosen] == k)
        for k in present
    ]
    expected = np.mean(losses) if losses else 0.0
    assert float(lovasz_softmax(logits, torch.tensor(target))) == pytest.approx(expected, abs=1e-5)


def test_lovasz_softmax_of_a_sure_prediction_is_one_minus_mean_iou() -> None:
    target = torch.tensor([[[0, 0, 1, 1]]])
    sure = torch.tensor([[[0, 1, 1, 1]]])
    logits = 100.0 * torch.nn.functional.one_hot(sure, 2).movedim(-1, 1)
    assert float(lovasz_softmax(logits, target)) == pytest.approx(1 - (1 / 2 + 2 / 3) / 2, abs=1e-6)


def edge_parts() -> tuple[torch.Tensor, ...]:
    torch.manual_seed(0)
    target = torch.randint(0, 3, (2, 5, 5))
    return torch.randn(2, 3, 5, 5), torch.randn(2, 1, 5, 5), target, edge_target(target)


def test_et_losses_share_out_segment_and_edge_terms() -> None:
    segments, edges, target, band = edge_parts()
    weights, edge_weights = torch.tensor([0.5, 1.0, 2.0]), torch.tensor([0.7, 3.0])
    segment = balanced_cross_entropy(segments, target, weights)
    each = torch.nn.functional.binary_cross_entropy_with_logits(edges[:, 0], band.float(), reduction="none")
    edge = (each * edge_weights[band.long()]).sum() / edge_weights[band.long()].sum()
    pair = lovasz_softmax(segments, target), lovasz_softmax(torch.cat([-edges / 2, edges / 2], 1), band)
    expected = {
        "alpha": 0.3 * segment + 0.7 * edge,
        "equal": segment + edge,
        "lovasz": 0.3 * pair[0] + 0.7 * pair[1],
    }
    assert set(ET_LOSSES) == set(expected)
    for name, value in expected.items():
        loss = ET_LOSSES[name](segments, edges, target, band, weights, edge_weights)
        torch.testing.assert_close(loss, value)


def test_losses_have_the_gradient_of_finite_differences() -> None:
    torch.manual_seed(3)
    target = torch.randint(0, 3, (2, 2, 2))
    logits = torch.randn(2, 3, 2, 2, requires_grad=True)
    for loss in (
        lambda x: balanced_cross_entropy(x, target, torch.tensor([0.5, 1.0, 2.0])),
        lambda x: lovasz_softmax(x, target),
    ):
        (gradient,) = torch.autograd.grad(loss(logits), logits)
        direction = torch.randn_like(logits)
        step = 1e-2
        slope = (loss(logits + step * direction) - loss(logits - step * direction)) / (2 * step)
        assert float(slope.detach()) == pytest.approx(float((gradient * direction).sum()), abs=2e-3)
