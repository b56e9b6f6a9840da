"""Curves of test images equal scikit-learn's, and what they are by definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, roc_auc_score, roc_curve

from grid.report import item_curves
from grid.report.item_curves import BINS, GRID

SEEDS = st.integers(0, 10_000)


def drawn(seed: int, classes: int, count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Scores (N, K) that sum to 1, and labels of which each class occurs."""
    generator = np.random.default_rng(seed)
    scores = generator.dirichlet(np.ones(classes), count)
    return scores, np.concatenate([np.arange(classes), generator.integers(0, classes, count - classes)])


@given(SEEDS)
def test_roc_of_two_classes_is_that_of_the_second(seed: int) -> None:
    scores, labels = drawn(seed, 2)
    found = item_curves.roc(scores, item_curves.one_hot(labels, 2))
    false_positive, true_positive, _ = roc_curve(labels, scores[:, 1], drop_intermediate=False)
    for rate, value in zip(GRID, found, strict=True):
        allowed = true_positive[false_positive <= rate + 1e-12]
        assert value >= 100 * allowed.max() - 1e-6  # between two thresholds the line rises


def test_area_under_the_mean_roc_is_the_mean_auc() -> None:
    scores, labels = drawn(1, 4, 4000)
    found = item_curves.roc(scores, item_curves.one_hot(labels, 4))
    area = np.trapezoid(found, GRID)
    assert area == pytest.approx(100 * roc_auc_score(labels, scores, multi_class="ovr"), abs=0.1)


@given(SEEDS)
def test_precision_is_that_of_the_highest_threshold_that_reaches_the_recall(seed: int) -> None:
    scores, labels = drawn(seed, 2)
    found = item_curves.precision(scores, item_curves.one_hot(labels, 2))
    positive = labels == 1
    for recall, value in zip(GRID, found, strict=True):
        for threshold in sorted(scores[:, 1], reverse=True):
            called = scores[:, 1] >= threshold
            hits = (called & positive).sum()
            if hits and hits / positive.sum() >= recall - 1e-9:
                assert value == pytest.approx(100 * hits / called.sum())
                break


def test_curves_exclude_unknown_findings_and_classes_of_one_side() -> None:
    scores = np.array([[0.9, 0.1, 0.5], [0.2, 0.8, 0.5], [0.7, 0.3, 0.5]])
    truth = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [np.nan, np.nan, 1.0]])
    assert item_curves.roc(scores, truth).tolist() == [100.0] * len(GRID)  # the first two are separated
    assert np.isnan(item_curves.roc(scores[:, 2:], truth[:, 2:])).all()


def test_reliability_is_the_share_that_was_right_in_each_bin() -> None:
    scores = np.array([[0.95, 0.05], [0.92, 0.08], [0.45, 0.55], [0.41, 0.59]])
    found = item_curves.reliability(scores, item_curves.one_hot(np.array([0, 1, 1, 1]), 2))
    expected = [np.nan] * BINS
    expected[9], expected[5] = 50.0, 100.0
    assert found == pytest.approx(expected, nan_ok=True)


def test_reliability_of_findings_counts_each_known_one() -> None:
    scores, truth = np.array([[0.15, 0.95], [0.12, 0.91]]), np.array([[0.0, 1.0], [1.0, np.nan]])
    found = item_curves.reliability(scores, truth)
    assert (found[1], found[9]) == (50.0, 100.0)
    assert np.isnan(np.delete(found, [1, 9])).all()


@given(SEEDS)
def test_confusion_of_scores_is_that_of_the_likeliest_class(seed: int) -> None:
    scores, labels = drawn(seed, 3)
    found = item_curves.confusion({"scores": scores, "labels": labels})
    assert found.tolist() == confusion_matrix(labels, scores.argmax(1)).tolist()


def test_confusions_of_masks_are_summed_over_images() -> None:
    matrices = np.arange(8).reshape(2, 2, 2)
    assert item_curves.confusion({"confusions": matrices}).tolist() == [[4, 6], [8, 10]]


def test_shares_are_per_cent_of_a_true_class() -> None:
    found = item_curves.shares(np.array([[3.0, 1.0], [0.0, 0.0]]))
    assert found.tolist()[0] == [75.0, 25.0]
    assert np.isnan(found[1]).all()


def test_image_scores_are_the_true_class_or_the_mean_iou() -> None:
    scores, labels = np.array([[0.9, 0.1], [0.7, 0.3]]), np.array([0, 1])
    assert item_curves.image_scores({"scores": scores, "labels": labels}) == pytest.approx([90, 30])
    matrices = np.array([[[8, 0], [0, 2]], [[6, 2], [2, 0]]])
    assert item_curves.image_scores({"confusions": matrices}) == pytest.approx([100, 30])
