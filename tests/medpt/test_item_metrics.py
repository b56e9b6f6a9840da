"""Metrics of groups of test items against scikit-learn and counts, item by item."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from medpt.item_metrics import METRICS, group_metrics

RNG = np.random.default_rng(0)
GROUPS = ["F", "M", "F", "M", "M", "F", "F", "M", "M", "one class", "one class"]


def test_auc_of_a_group_is_that_of_its_images() -> None:
    scores = RNG.random((11, 2), np.float32)
    labels = np.array([0, 1, 1, 0, 1, 0, 1, 1, 0, 1, 1])
    found = group_metrics({"scores": scores, "labels": labels}, GROUPS, ["macro_auc", "accuracy", "steps"])
    for group in ("F", "M"):
        rows = [row for row, name in enumerate(GROUPS) if name == group]
        areas = [roc_auc_score(labels[rows] == k, scores[rows, k]) for k in (0, 1)]
        right = [int(scores[row, 1] > scores[row, 0]) == labels[row] for row in rows]
        wanted = {"macro_auc": sum(areas) / 2, "accuracy": sum(right) / len(rows)}
        assert found[group] == pytest.approx(wanted)
    assert np.isnan(found["one class"]["macro_auc"])
    assert not np.isnan(found["one class"]["accuracy"])


def test_overlap_of_a_group_counts_the_pixels_of_its_images() -> None:
    masks, guesses = RNG.integers(0, 2, (2, 11, 6, 6))
    confusions = np.zeros((11, 2, 2), np.int64)
    for image in range(11):
        for truth, guess in zip(masks[image].ravel(), guesses[image].ravel(), strict=True):
            confusions[image, truth, guess] += 1
    stored = {"confusions": confusions, "patients": np.arange(11)}
    found = group_metrics(stored, GROUPS, ["miou", "dice", "foreground_miou", "image_miou"])
    for group in set(GROUPS):
        rows = [row for row, name in enumerate(GROUPS) if name == group]
        a, b = masks[rows] == 1, guesses[rows] == 1
        vessel, ground = (a & b).sum() / (a | b).sum(), (~a & ~b).sum() / (~a | ~b).sum()
        assert found[group]["miou"] == pytest.approx((vessel + ground) / 2)
        assert found[group]["foreground_miou"] == pytest.approx(vessel)
        assert found[group]["dice"] == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()))
        assert found[group]["image_miou"] == pytest.approx(np.mean([iou(masks[r], guesses[r]) for r in rows]))


def iou(mask: np.ndarray, guess: np.ndarray) -> float:
    shares = [((mask == k) & (guess == k)).sum() / ((mask == k) | (guess == k)).sum() for k in (0, 1)]
    return sum(shares) / 2


def test_groups_of_other_items_give_nothing() -> None:
    assert group_metrics({"scores": RNG.random((3, 2)), "labels": np.arange(3) % 2}, GROUPS, METRICS) == {}
