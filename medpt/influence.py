"""Influence values of test metrics: how much each test item moves the metric, to first order.

Every function returns an array (n,), in units of the metric (fractions), whose sum is zero. The error of a
metric on n test items is approximately the mean of their influence values, so that its variance is their
variance / n. They are nan where the metric is undefined. Only numpy is needed.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float64]


def binary_auc_influence(scores: Array, positive: Array) -> Floats:
    """Influence on `medpt.metrics.binary_auc`: placements among the other class, less their mean.

    scores (n,), higher = more likely positive; positive (n,) bool. Variance / n is that of
    DeLong et al. 1988 (Biometrics 44:837).
    """
    scores = np.asarray(scores, float)
    positives, negatives = np.sort(scores[positive]), np.sort(scores[~positive])
    if not len(positives) or not len(negatives) or np.isnan(scores).any():
        return np.full(len(scores), np.nan)
    found = np.empty(len(scores))
    above = _share_below(negatives, scores[positive])
    below = 1 - _share_below(positives, scores[~positive])
    found[positive] = (above - above.mean()) * len(scores) / len(positives)
    found[~positive] = (below - below.mean()) * len(scores) / len(negatives)
    return found


def _share_below(ascending: Floats, values: Floats) -> Floats:
    """Return for each value the share of `ascending` below it, with one half for equal ones."""
    below, not_above = (np.searchsorted(ascending, values, side=s) for s in ("left", "right"))
    return (below + not_above) / (2 * len(ascending))


def macro_auc_influence(scores: Array, labels: Array) -> Floats:
    """Influence on `medpt.metrics.macro_auc`; scores (n, K), labels (n,) in 0..K-1."""
    classes = [k for k in range(scores.shape[1]) if 0 < np.count_nonzero(labels == k) < len(labels)]
    if not classes:
        return np.full(len(labels), np.nan)
    return np.mean([binary_auc_influence(scores[:, k], labels == k) for k in classes], axis=0)


def micro_auc_influence(scores: Array, labels: Array) -> Floats:
    """Influence on `medpt.metrics.micro_auc`; scores (n, K), labels (n,) in 0..K-1.

    The K entries of an image are not independent; its value is their mean.
    """
    positive = labels[:, None] == np.arange(scores.shape[1])
    return binary_auc_influence(scores.ravel(), positive.ravel()).reshape(scores.shape).mean(1)


def finding_auc_influences(scores: Array, labels: Array) -> Floats:
    """Influence on each of `medpt.metrics.finding_aucs`, (n, K); 0 for images where a finding is unknown."""
    found = np.zeros(scores.shape)
    for k, known in enumerate(~np.isnan(labels.T)):
        values = binary_auc_influence(scores[known, k], labels[known, k] == 1)
        found[known, k] = values * len(labels) / max(known.sum(), 1)
    return found


def findings_macro_auc_influence(scores: Array, labels: Array) -> Floats:
    """Influence on `medpt.metrics.findings_macro_auc`; scores and labels (n, K)."""
    each = finding_auc_influences(scores, labels)
    defined = ~np.isnan(each).any(0)
    return each[:, defined].mean(1) if defined.any() else np.full(len(labels), np.nan)


def findings_micro_auc_influence(scores: Array, labels: Array) -> Floats:
    """Influence on `medpt.metrics.findings_micro_auc`; the value of an image is that of all its entries."""
    known = ~np.isnan(labels)
    found = np.zeros(scores.shape)
    found[known] = binary_auc_influence(scores[known], labels[known] == 1)
    return found.sum(1) * len(labels) / max(known.sum(), 1)


def mean_influence(values: Array) -> Floats:
    """Influence on the mean of the values (n,) that are not nan, such as the IoU of each image."""
    defined = ~np.isnan(values)
    if not defined.any():
        return np.full(len(values), np.nan)
    return np.where(defined, values - values[defined].mean(), 0) * len(values) / defined.sum()


def mean_iou_influence(confusions: Array) -> Floats:
    """Influence on the mean IoU of summed confusion matrices (n, K, K), rows for the target.

    Classes that occur in no image and no prediction are excluded.
    """
    hits, both = _hits_and_sums(confusions)
    return _mean_ratio_influence(hits, both - hits)


def mean_dice_influence(confusions: Array) -> Floats:
    """Influence on the mean Dice coefficient of summed confusion matrices (n, K, K), without class 0."""
    hits, both = _hits_and_sums(confusions)
    return _mean_ratio_influence(2 * hits[:, 1:], both[:, 1:])


def foreground_iou_influence(confusions: Array) -> Floats:
    """Influence on the mean IoU without class 0, as `mean_iou_influence`."""
    hits, both = _hits_and_sums(confusions)
    return _mean_ratio_influence(hits[:, 1:], (both - hits)[:, 1:])


def _hits_and_sums(confusions: Array) -> tuple[Floats, Floats]:
    """Return true positives (n, K), and the sums of target and predicted pixels (n, K)."""
    counts = np.asarray(confusions, float)
    return np.diagonal(counts, axis1=1, axis2=2), counts.sum(1) + counts.sum(2)


def _mean_ratio_influence(numerators: Floats, denominators: Floats) -> Floats:
    """Influence on the mean over classes of sum(numerator) / sum(denominator), by the delta method."""
    totals = denominators.sum(0)
    known = totals > 0
    if not known.any():
        return np.full(len(numerators), np.nan)
    a, b = numerators[:, known], denominators[:, known]
    return len(a) * ((a - (a.sum(0) / totals[known]) * b) / totals[known]).mean(1)


def quadratic_kappa_influence(scores: Array, grades: Array) -> Floats:
    """Influence on Cohen's kappa with quadratic weights of the most probable grades.

    scores (n, K), grades (n,) in 0..K-1. kappa = 1 - q / e, with q the mean weight of the pairs of true and
    predicted grades and e its expectation under independence.
    """
    count = scores.shape[1]
    guesses = scores.argmax(1)
    weights = np.subtract.outer(np.arange(count), np.arange(count)) ** 2 / (count - 1) ** 2
    true, predicted = (np.bincount(x, minlength=count) / len(x) for x in (grades, guesses))
    expected = true @ weights @ predicted
    if expected == 0:
        return np.full(len(grades), np.nan)
    observed = weights[grades, guesses]
    mean = observed.mean()
    margins = (weights @ predicted)[grades] + (weights.T @ true)[guesses] - 2 * expected
    return -(observed - mean) / expected + mean / expected**2 * margins
