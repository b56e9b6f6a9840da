"""Metrics beside the headline against loops over items, thresholds, bins and outline pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_auc_score

from medpt.further_metrics import (
    BINS,
    TOLERANCE,
    calibration_error,
    further_class_metrics,
    further_finding_metrics,
    further_mask_metrics,
    outline_metrics,
    sensitivity_at,
    slug,
)

SEEDS = st.integers(0, 10_000)
NAN = float("nan")


def _scores(seed: int, count: int = 40, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    raw = rng.integers(1, 8, (count, classes)).astype(float)
    return raw / raw.sum(1, keepdims=True), np.arange(count) % classes


@given(SEEDS)
def test_class_metrics_are_those_of_scikit_learn(seed: int) -> None:
    scores, labels = _scores(seed)
    found = dict(further_class_metrics(scores, labels, ("a", "b b", "c")))
    one_hot = np.eye(3)[labels]
    assert found["auc_of_b_b"] == pytest.approx(roc_auc_score(labels == 1, scores[:, 1]))
    assert found["average_precision"] == pytest.approx(average_precision_score(one_hot, scores))
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, scores.argmax(1)))
    brier = np.mean([((s - t) ** 2).sum() for s, t in zip(scores, one_hot, strict=True)])
    assert found["brier"] == pytest.approx(brier)


@given(SEEDS, st.sampled_from([0.5, 0.8, 0.9, 0.95]))
def test_sensitivity_is_the_best_of_all_thresholds_that_are_specific_enough(seed: int, wanted: float) -> None:
    rng = np.random.default_rng(seed)
    scores, positive = rng.integers(0, 10, 40) / 10, np.arange(40) % 3 == 0
    best = 0.0
    for threshold in [*np.unique(scores), 2.0]:
        called = scores >= threshold
        if np.mean(~called[~positive]) >= wanted - 1e-9:
            best = max(best, float(np.mean(called[positive])))
    assert sensitivity_at(scores, positive, wanted) == pytest.approx(best)


@given(SEEDS)
def test_calibration_error_is_the_weighted_gap_of_bins(seed: int) -> None:
    rng = np.random.default_rng(seed)
    confidence, correct = rng.random(60), rng.random(60) < 0.6
    total = 0.0
    for low in range(BINS):
        inside = [n for n in range(60) if low / BINS <= confidence[n] < (low + 1) / BINS]
        if inside:
            gap = np.mean([correct[n] for n in inside]) - np.mean([confidence[n] for n in inside])
            total += len(inside) / 60 * abs(gap)
    assert calibration_error(confidence, correct) == pytest.approx(total)


def test_perfect_scores_have_perfect_metrics() -> None:
    labels = np.array([0, 1, 1, 0])
    found = dict(further_class_metrics(np.eye(2)[labels], labels, ("a", "b")))
    expected = {"brier": 0, "calibration_error": 0}
    assert found == {name: expected.get(name, 1) for name in found}


def test_metrics_of_one_class_are_undefined_and_raise_nothing() -> None:
    scores, labels = _scores(0)
    found = dict(further_class_metrics(scores, np.zeros_like(labels), ("a", "b", "c")))
    assert all(np.isnan(found[name]) for name in ("auc_of_a", "average_precision"))
    assert np.isfinite(found["balanced_accuracy"])


def test_many_classes_have_means_alone() -> None:
    scores, labels = _scores(0, 60, 30)
    assert not [
        n for n, _ in further_class_metrics(scores, labels, [str(k) for k in range(30)]) if "of_" in n
    ]


def test_unknown_findings_are_excluded() -> None:
    rng = np.random.default_rng(1)
    scores, labels = rng.random((50, 2)), rng.integers(0, 2, (50, 2)).astype(float)
    labels[::3, 0] = NAN
    known = ~np.isnan(labels[:, 0])
    found = dict(further_finding_metrics(scores, labels, ("one", "two")))
    assert found["auc_of_one"] == pytest.approx(roc_auc_score(labels[known, 0], scores[known, 0]))
    assert found["brier"] == pytest.approx(np.nanmean((scores - labels) ** 2))


def test_masks_have_iou_and_dice_of_each_class() -> None:
    confusions = np.array([[[5, 1], [2, 2]], [[10, 0], [0, 0]]])
    found = dict(further_mask_metrics(confusions, ("background", "vessel")))
    assert found["iou_of_vessel"] == pytest.approx(2 / 5)
    assert found["dice_of_background"] == pytest.approx(2 * 15 / (16 + 17))


def _edge(mask: np.ndarray) -> np.ndarray:
    """The pixels of a mask that have a neighbour (of four) outside it; the image's border is outside."""
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return np.argwhere(mask & ~inner)


@given(SEEDS)
def test_outlines_are_compared_pixel_by_pixel(seed: int) -> None:
    rng = np.random.default_rng(seed)
    masks = []
    for _ in range(2):
        mask = np.zeros((24, 20), bool)
        y, x, h, w = rng.integers(0, 12, 4)
        mask[y : y + h + 1, x : x + w + 1] = True
        masks.append(mask)
    a, b = (_edge(mask) for mask in masks)
    distances = np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1))
    there, back = distances.min(1), distances.min(0)
    hd95, dice = outline_metrics(masks[0].astype(int), masks[1].astype(int), 2)
    assert hd95[0] == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)), abs=1e-4)
    within = (there <= TOLERANCE).sum() + (back <= TOLERANCE).sum()
    assert dice[0] == pytest.approx(within / (len(a) + len(b)))


def test_outlines_of_missing_classes_are_undefined_or_zero() -> None:
    empty, square = np.zeros((8, 8), int), np.zeros((8, 8), int)
    square[2:5, 2:5] = 1
    assert np.isnan(np.concatenate(outline_metrics(empty, empty, 2))).all()
    hd95, dice = outline_metrics(empty, square, 2)
    assert (np.isnan(hd95[0]), dice[0]) == (True, 0)
    ignored = np.where(square == 1, 1, 255)
    assert outline_metrics(np.ones((8, 8), int), ignored, 2)[0][0] == 0


def test_slug_keeps_letters_and_digits() -> None:
    assert [slug(name) for name in ("No Finding", "DR (grade 2)", "é")] == [
        "No_Finding",
        "DR_grade_2",
        "class",
    ]
