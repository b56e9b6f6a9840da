"""What the scores of test images say beyond one number: ROC, precision and recall, calibration, confusions.

`scores` (N, K) are those of the classes; `truth` (N, K) says of which classes an image is: 1, 0, or nan where
nobody knows. All results are in per cent.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from medpt.metrics import image_ious

Floats = NDArray[np.float64]
Arrays = dict[str, NDArray[np.generic]]

GRID = np.linspace(0, 1, 51)  # false positive rates of a ROC curve, recalls of the other one
BINS = 10  # of a reliability diagram, of equal width


def one_hot(labels: NDArray[np.generic], classes: int) -> Floats:
    """Return the truth (N, K) of labels: one class each (N,), or findings (N, K) as they are."""
    if labels.ndim == 2:
        return labels.astype(np.float64)
    return (labels[:, None] == np.arange(classes)).astype(np.float64)


def roc(scores: Floats, truth: Floats) -> Floats:
    """Return the true positive rates at the false positive rates GRID, (51,)."""

    def of_class(values: Floats, positive: NDArray[np.bool_]) -> Floats:
        from sklearn.metrics import roc_curve

        false_positive, true_positive, _ = roc_curve(positive, values, drop_intermediate=False)
        return np.interp(GRID, false_positive, true_positive)

    return _mean_over_classes(of_class, scores, truth)


def precision(scores: Floats, truth: Floats) -> Floats:
    """Return the precision at the recalls GRID, (51,): at the highest threshold that reaches it.

    At recall 0 it is that of the first true positive.
    """

    def of_class(values: Floats, positive: NDArray[np.bool_]) -> Floats:
        from sklearn.metrics import precision_recall_curve

        found, recall, _ = precision_recall_curve(positive, values)
        at = np.searchsorted(recall[::-1], np.maximum(GRID - 1e-12, 1e-12))  # of recalls from 0 to 1
        rates: Floats = found[::-1][at]
        return rates

    return _mean_over_classes(of_class, scores, truth)


def _mean_over_classes(
    curve: Callable[[Floats, NDArray[np.bool_]], Floats], scores: Floats, truth: Floats
) -> Floats:
    """Return the mean curve of each class against the rest; of two exclusive classes, that of the second."""
    exclusive = scores.shape[1] == 2 and bool(np.all(truth.sum(1) == 1))
    found = []
    for values, column in list(zip(scores.T, truth.T, strict=True))[1 if exclusive else 0 :]:
        known = ~np.isnan(column) & np.isfinite(values)
        positive = column[known] == 1
        if positive.any() and not positive.all():
            found.append(curve(values[known], positive))
    mean: Floats = 100 * np.mean(found, axis=0) if found else np.full(len(GRID), np.nan)
    return mean


def reliability(scores: Floats, truth: Floats) -> Floats:
    """Return how often classes were right in each bin of their score, (BINS,); nan in an empty bin.

    Of classes that exclude each other it is the class with the highest score, of findings each of them.
    """
    if np.all(truth.sum(1) == 1):
        best = scores.argmax(1)
        confidence, correct = scores.max(1), np.take_along_axis(truth, best[:, None], 1)[:, 0]
    else:
        known = ~np.isnan(truth)
        confidence, correct = scores[known], truth[known]
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    count = np.bincount(bins, minlength=BINS)
    right = np.bincount(bins, correct, minlength=BINS)
    return np.divide(100 * right, count, out=np.full(BINS, np.nan), where=count > 0)


def confusion(arrays: Arrays) -> Floats:
    """Return the counts (K, K) of true classes in rows and predicted ones in columns, of images or pixels."""
    if "confusions" in arrays:
        return arrays["confusions"].sum(0).astype(np.float64)
    labels, classes = arrays["labels"].astype(int), arrays["scores"].shape[1]
    predicted = arrays["scores"].argmax(1)
    counts = np.bincount(labels * classes + predicted, minlength=classes**2)
    return counts.reshape(classes, classes).astype(np.float64)


def shares(counts: Floats) -> Floats:
    """Return confusions in per cent of each true class; nan for a class without any."""
    total = counts.sum(1, keepdims=True)
    return np.divide(100 * counts, total, out=np.full(counts.shape, np.nan), where=total > 0)


def image_scores(arrays: Arrays) -> Floats:
    """Return a score of each test image: its mean IoU, or the probability that its true class was given."""
    if "confusions" in arrays:
        found: Floats = 100 * image_ious(arrays["confusions"])
        return found
    scores, labels = arrays["scores"].astype(np.float64), arrays["labels"].astype(int)
    return 100 * np.take_along_axis(scores, labels[:, None], 1)[:, 0]
