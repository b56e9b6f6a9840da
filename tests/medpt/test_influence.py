"""Influence values: compared with the jackknife, and with DeLong's variance by its double loop."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from medpt import influence, metrics
from medpt.metrics import class_dice, class_iou, mean_of_defined

Arrays = tuple[np.ndarray, ...]


def classification(seed: int, n: int, classes: int = 3) -> Arrays:
    rng = np.random.default_rng(seed)
    labels = np.r_[np.arange(classes), np.arange(classes), rng.integers(0, classes, n)]
    scores = rng.normal(size=(len(labels), classes)) + 1.2 * (labels[:, None] == np.arange(classes))
    return scores.round(1), labels


def masks(seed: int, n: int) -> Arrays:
    """Confusion matrices of images of which each has few or many pixels of three classes."""
    rng = np.random.default_rng(seed)
    rates = rng.gamma(2.0, 30.0, (n, 3, 3)) * (np.eye(3) * 6 + 1)
    return (rng.poisson(rates),)


def first_auc(scores: np.ndarray, labels: np.ndarray) -> float:
    return metrics.binary_auc(scores[:, 0], labels == 0)


def kappa(scores: np.ndarray, grades: np.ndarray) -> float:
    return float(cohen_kappa_score(grades, scores.argmax(1), weights="quadratic"))


def accuracy_values(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return influence.mean_influence((scores.argmax(1) == labels).astype(float))


CASES: dict[str, tuple[Callable[..., np.ndarray], Callable[..., float], Callable[[int, int], Arrays]]] = {
    "binary auc": (
        lambda s, y: influence.binary_auc_influence(s[:, 0], y == 0),
        first_auc,
        classification,
    ),
    "macro auc": (influence.macro_auc_influence, metrics.macro_auc, classification),
    "micro auc": (influence.micro_auc_influence, metrics.micro_auc, classification),
    "accuracy": (accuracy_values, metrics.accuracy, classification),
    "quadratic kappa": (influence.quadratic_kappa_influence, kappa, classification),
    "mean iou": (influence.mean_iou_influence, lambda c: mean_of_defined(class_iou(c.sum(0))), masks),
    "foreground iou": (
        influence.foreground_iou_influence,
        lambda c: mean_of_defined(class_iou(c.sum(0))[1:]),
        masks,
    ),
    "dice": (influence.mean_dice_influence, lambda c: mean_of_defined(class_dice(c.sum(0))[1:]), masks),
}


def jackknife(metric: Callable[..., float], arrays: Arrays) -> np.ndarray:
    """Return (n - 1) times what each item adds to the metric when it is excluded, less their mean."""
    n = len(arrays[0])
    kept = [np.delete(np.arange(n), i) for i in range(n)]
    without = np.array([metric(*(array[rows] for array in arrays)) for rows in kept])
    return (n - 1) * (without.mean() - without)


@pytest.mark.parametrize("name", CASES)
def test_influence_agrees_with_the_jackknife(name: str) -> None:
    values, metric, draw = CASES[name]
    arrays = draw(0, 400)
    found, slow = values(*arrays), jackknife(metric, arrays)
    assert found.sum() == pytest.approx(0, abs=1e-8)
    assert np.corrcoef(found, slow)[0, 1] > 0.999
    assert found.std() == pytest.approx(slow.std(), rel=0.03)


@pytest.mark.parametrize("name", CASES)
def test_influence_predicts_the_spread_over_test_sets(name: str) -> None:
    """The mean square of influence / n is the variance of the metric over test sets, here 400 of them."""
    values, metric, draw = CASES[name]
    predicted = np.mean([values(*draw(seed, 150)).var() / 150 for seed in range(40)])
    observed = np.var([metric(*draw(seed, 150)) for seed in range(400)], ddof=1)
    assert predicted == pytest.approx(observed, rel=0.25)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=4, max_size=14))
def test_auc_influence_has_delongs_variance(rows: list[tuple[int, bool]]) -> None:
    scores, positive = (np.array(column) for column in zip(*rows, strict=True))
    found = influence.binary_auc_influence(scores, positive)
    if positive.all() or not positive.any():
        assert np.isnan(found).all()
        return
    above, below = scores[positive], scores[~positive]
    won = np.array([[1.0 if p > q else 0.5 if p == q else 0.0 for q in below] for p in above])
    delong = won.mean(1).var() / len(above) + won.mean(0).var() / len(below)
    assert (found**2).sum() / len(rows) ** 2 == pytest.approx(delong, abs=1e-12)


def test_influence_of_a_mean_leaves_undefined_items_out() -> None:
    found = influence.mean_influence(np.array([1.0, np.nan, 3.0, 2.0]))
    assert found == pytest.approx([-4 / 3, 0, 4 / 3, 0])
    assert np.isnan(influence.mean_influence(np.array([np.nan, np.nan]))).all()


def test_influence_is_undefined_with_its_metric() -> None:
    one_class = np.zeros(4, int)
    scores = np.eye(4)[:, :2]
    assert np.isnan(influence.macro_auc_influence(scores, one_class)).all()
    assert np.isnan(influence.binary_auc_influence(np.array([1, np.nan]), np.array([True, False]))).all()
    assert np.isnan(influence.quadratic_kappa_influence(np.tile([1.0, 0.0], (4, 1)), one_class)).all()
    assert np.isnan(influence.mean_dice_influence(np.array([[[5, 0], [0, 0]]]))).all()
