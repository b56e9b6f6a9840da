"""Metrics beside the headline, of a finished test: per class, at thresholds, of calibration and of outlines.

They choose nothing and enter no digest. As in medpt.metrics, an undefined metric is nan. All but hd95 are
fractions; hd95 is in pixels of the prepared images, and lower is better.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medpt.metrics import IGNORE, binary_auc, class_dice, class_iou, mean_of_defined

Array = NDArray[Any]
Floats = NDArray[np.float64]
Named = Iterator[tuple[str, float]]

MOST_CLASSES = 20  # that have a metric each; of more, only means are kept
SPECIFICITY = 0.9
BINS = 15  # of the calibration error, of equal width
TOLERANCE = 2.0  # pixels, of the surface Dice


def further_class_metrics(scores: Array, labels: Array, classes: Sequence[str]) -> Named:
    """Yield the further metrics of images of one class each.

    scores (N, K) sum to 1; labels (N,) in 0..K-1. `auc_of_CLASS`, average_precision and
    sensitivity_at_90_specificity are one-versus-rest, the last two the mean over classes; brier is the mean
    squared distance from the one-hot label, from 0 to 2; calibration_error that of the highest score (Guo et
    al. 2017, equation 3).
    """
    from sklearn.metrics import recall_score

    truth = labels[:, None] == np.arange(scores.shape[1])
    yield from _one_versus_rest(scores, truth.astype(float), classes)
    finite = bool(np.isfinite(scores).all())
    recall = recall_score(
        labels, scores.argmax(1), average="macro", labels=np.unique(labels), zero_division=0
    )
    yield "balanced_accuracy", float(recall) if finite else float("nan")
    yield "brier", float(((scores - truth) ** 2).sum(1).mean())
    yield "calibration_error", calibration_error(scores.max(1), scores.argmax(1) == labels)


def further_finding_metrics(scores: Array, labels: Array, findings: Sequence[str]) -> Named:
    """Yield the further metrics of images with any of K findings; labels (N, K) of 1, 0 and nan (unknown)."""
    yield from _one_versus_rest(scores, labels, findings)
    known = ~np.isnan(labels)
    yield "brier", float(((scores - labels)[known] ** 2).mean()) if known.any() else float("nan")
    yield "calibration_error", calibration_error(scores[known], labels[known] == 1)


def _one_versus_rest(scores: Array, labels: Array, classes: Sequence[str]) -> Named:
    columns = [(s[~np.isnan(y)], y[~np.isnan(y)] == 1) for s, y in zip(scores.T, labels.T, strict=True)]
    if len(classes) <= MOST_CLASSES:
        for name, (values, positive) in zip(classes, columns, strict=True):
            yield f"auc_of_{slug(name)}", binary_auc(values, positive)
    yield "average_precision", mean_of_defined(np.array([_average_precision(*c) for c in columns]))
    found = np.array([sensitivity_at(*column, SPECIFICITY) for column in columns])
    yield "sensitivity_at_90_specificity", mean_of_defined(found)


def _average_precision(scores: Array, positive: Array) -> float:
    from sklearn.metrics import average_precision_score

    if not _has_both(scores, positive):
        return float("nan")
    return float(average_precision_score(positive, scores))


def sensitivity_at(scores: Array, positive: Array, specificity: float) -> float:
    """Return the highest sensitivity of a threshold whose specificity is at least `specificity`."""
    from sklearn.metrics import roc_curve

    if not _has_both(scores, positive):
        return float("nan")
    false_positive, true_positive, _ = roc_curve(positive, scores, drop_intermediate=False)
    return float(true_positive[1 - false_positive >= specificity - 1e-9].max())


def _has_both(scores: Array, positive: Array) -> bool:
    return bool(positive.any() and not positive.all() and np.isfinite(scores).all())


def calibration_error(confidence: Array, correct: Array) -> float:
    """Return the mean over bins of |accuracy - confidence|, weighted by the entries of a bin.

    confidence (N,) in [0, 1]; correct (N,) bool. Guo et al. 2017, equation 3, with 15 bins of equal width.
    """
    if not len(confidence) or not np.isfinite(confidence).all():
        return float("nan")
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, weights=correct - confidence.astype(float), minlength=BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def further_mask_metrics(confusions: Array, classes: Sequence[str]) -> Named:
    """Yield `iou_of_CLASS` and `dice_of_CLASS` of the confusion matrices of images, (N, K, K), summed."""
    total = confusions.sum(0)
    for name, values in (("iou", class_iou(total)), ("dice", class_dice(total))):
        yield from ((f"{name}_of_{slug(c)}", float(v)) for c, v in zip(classes, values, strict=True))


def outline_metrics(predicted: Array, target: Array, classes: int) -> tuple[Floats, Floats]:
    """Return the HD95 and the surface Dice of each class but 0 in one image, (K - 1,) each.

    predicted, target (H, W). HD95 is the greater 95th percentile of the distances from one outline to the
    other, in pixels; nan where a class is missing on one side. The surface Dice is the share of both outlines
    that is within TOLERANCE of the other (Nikolov et al. 2021); 0 where one side is missing, nan where both
    are. Pixels to ignore are of no class on either side.
    """
    counted = target != IGNORE
    found = [_outlines((predicted == k) & counted, (target == k) & counted) for k in range(1, classes)]
    hd95, dice = np.array(found, dtype=float).reshape(-1, 2).T
    return hd95, dice


def _outlines(predicted: Array, target: Array) -> tuple[float, float]:
    if not predicted.any() or not target.any():
        return float("nan"), 0.0 if predicted.any() or target.any() else float("nan")
    to_target, to_predicted = _distances(predicted, target), _distances(target, predicted)
    within = np.count_nonzero(to_target <= TOLERANCE) + np.count_nonzero(to_predicted <= TOLERANCE)
    greater = max(np.percentile(to_target, 95), np.percentile(to_predicted, 95))
    return float(greater), within / (len(to_target) + len(to_predicted))


def _distances(mask: Array, other: Array) -> Floats:
    """Return the distance of each pixel of the outline of `mask` from the outline of `other`."""
    import SimpleITK

    padded = [np.pad(m, 1).astype(np.uint8) for m in (mask, other)]  # the image's border is an outline
    outlines = [SimpleITK.LabelContour(SimpleITK.GetImageFromArray(m)) for m in padded]
    field = SimpleITK.SignedMaurerDistanceMap(outlines[1], squaredDistance=False, useImageSpacing=False)
    there = SimpleITK.GetArrayViewFromImage(outlines[0]) > 0
    distances: Floats = np.abs(SimpleITK.GetArrayFromImage(field)[there]).astype(float)
    return distances


def slug(name: str) -> str:
    """Return a class's name as a part of a metric's name: letters, digits, `_`, `-` and `.`."""
    return re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII).strip("_") or "class"
