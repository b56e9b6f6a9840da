"""The numbers of the tables: AUC for classification, overlaps for segmentation, as fractions in [0, 1].

Numpy only. What is not defined (one class only, no pixel, a score that is not a number) is nan: never 0,
never an exception. Wrong shapes and labels outside the classes are errors of the caller: InputError.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medpt.errors import InputError

Array = NDArray[Any]

IGNORE = 255


def micro_auc(scores: Array, labels: Array) -> float:
    """Area under the ROC curve of all N·K scores against the flattened one-hot labels, ties by mid-rank.

    scores (N, K), higher = more likely; labels (N,) in 0..K-1. 1 is perfect, 0.5 is chance. Defined when
    a class is absent; for two classes it is not the ordinary binary AUC; many classes inflate it.
    Wen et al. 2021, section 2.2; the same number as scikit-learn's average="micro".
    """
    scores, labels = _checked(scores, labels)
    positive = labels[:, None] == np.arange(scores.shape[1])
    return binary_auc(scores.ravel(), positive.ravel())


def macro_auc(scores: Array, labels: Array) -> float:
    """Mean over classes of the one-against-rest AUC; classes that all or no images have are left out."""
    scores, labels = _checked(scores, labels)
    areas = [binary_auc(scores[:, k], labels == k) for k in range(scores.shape[1])]
    return _nan_if_bad(scores, mean_of_defined(np.array(areas)))


def binary_auc(scores: Array, positive: Array) -> float:
    """P(score of a positive > score of a negative) + P(equal)/2, from the rank sum in O(n log n)."""
    positives = int(np.count_nonzero(positive))
    pairs = positives * (len(scores) - positives)
    if pairs == 0 or np.isnan(scores).any():
        return float("nan")
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mid_ranks = np.cumsum(counts) - (counts - 1) / 2
    rank_sum = mid_ranks[place.ravel()][positive].sum()
    return float((rank_sum - positives * (positives + 1) / 2) / pairs)


def accuracy(scores: Array, labels: Array) -> float:
    """Fraction of images whose highest score, the first of equals, is that of their label."""
    scores, labels = _checked(scores, labels)
    return _nan_if_bad(scores, mean_of_defined((scores.argmax(1) == labels).astype(float)))


def confusion_matrix(prediction: Array, target: Array, num_classes: int, ignore_index: int = IGNORE) -> Array:
    """Counts (K, K) int64, rows the target's class, columns the predicted one, over all elements.

    Elements whose target is `ignore_index` do not count.
    """
    prediction, target = np.asarray(prediction), np.asarray(target)
    if prediction.shape != target.shape:
        raise InputError(f"prediction {prediction.shape} and target {target.shape} differ in shape")
    counted = target != ignore_index
    truth, guess = target[counted].astype(np.int64), prediction[counted].astype(np.int64)
    _check_range("target", truth, num_classes)
    _check_range("prediction", guess, num_classes)
    return np.bincount(truth * num_classes + guess, minlength=num_classes**2).reshape(
        num_classes, num_classes
    )


def class_iou(confusion: Array) -> Array:
    """Intersection over union of each class, (K,); nan where target and prediction both lack the class."""
    hits = confusion.diagonal().astype(float)
    union = confusion.sum(0) + confusion.sum(1) - hits
    return np.divide(hits, union, out=np.full(len(hits), np.nan), where=union > 0)


def class_dice(confusion: Array) -> Array:
    """2·TP / (2·TP + FP + FN) of each class, (K,); nan where target and prediction both lack the class."""
    hits = confusion.diagonal().astype(float)
    both = confusion.sum(0) + confusion.sum(1)
    return np.divide(2 * hits, both, out=np.full(len(hits), np.nan), where=both > 0)


def mean_iou(prediction: Array, target: Array, num_classes: int, ignore_index: int = IGNORE) -> float:
    """Mean IoU over all classes, background included, from one confusion matrix over all pixels.

    prediction, target (N, H, W) integers. Classes absent from both are skipped. The all-background
    predictor already scores about 0.5 on two classes: see `background_iou`.
    """
    return mean_of_defined(class_iou(confusion_matrix(prediction, target, num_classes, ignore_index)))


def foreground_iou(prediction: Array, target: Array, num_classes: int, ignore_index: int = IGNORE) -> float:
    """As `mean_iou`, without class 0."""
    return mean_of_defined(class_iou(confusion_matrix(prediction, target, num_classes, ignore_index))[1:])


def dice(prediction: Array, target: Array, num_classes: int, ignore_index: int = IGNORE) -> float:
    """Mean Dice coefficient of the classes but 0, from one confusion matrix over all pixels."""
    return mean_of_defined(class_dice(confusion_matrix(prediction, target, num_classes, ignore_index))[1:])


def mean_image_iou(prediction: Array, target: Array, num_classes: int, ignore_index: int = IGNORE) -> float:
    """Mean over images of the image's own mean IoU, (N, H, W) each; wholly ignored images are skipped."""
    pairs = zip(prediction, target, strict=True)
    return mean_of_defined(np.array([mean_iou(p, t, num_classes, ignore_index) for p, t in pairs]))


def background_iou(target: Array, num_classes: int, ignore_index: int = IGNORE) -> float:
    """What `mean_iou` gives to a predictor that answers background everywhere: the floor of a result."""
    return mean_iou(np.zeros_like(target), target, num_classes, ignore_index)


def mean_of_defined(values: Array) -> float:
    """Mean of the values that are numbers; nan when none is."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


def _checked(scores: Array, labels: Array) -> tuple[Array, Array]:
    scores, labels = np.asarray(scores), np.asarray(labels)
    if scores.ndim != 2 or labels.shape != scores.shape[:1]:
        raise InputError(f"scores {scores.shape} and labels {labels.shape} are not (N, K) and (N,)")
    _check_range("label", labels, scores.shape[1])
    return scores, labels


def _check_range(what: str, values: Array, num_classes: int) -> None:
    if len(values) and not (values.min() >= 0 and values.max() < num_classes):
        raise InputError(f"{what} {values.min()}..{values.max()} outside the classes 0..{num_classes - 1}")


def _nan_if_bad(scores: Array, value: float) -> float:
    return float("nan") if np.isnan(scores).any() else value
