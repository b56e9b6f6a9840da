"""Metrics of classification (AUC, accuracy) and segmentation (IoU, Dice), as fractions in [0, 1].

Only numpy is needed. An undefined metric (a single class, no pixel, a score that is nan) is nan, never 0 and
never an exception. Wrong shapes and labels outside the classes raise InputError.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medpt.errors import InputError

Array = NDArray[Any]

IGNORE = 255


def micro_auc(scores: Array, labels: Array) -> float:
    """Area under the ROC curve of all N·K scores against the flattened one-hot labels, ties by mid-rank.

    scores (N, K), higher = more likely; labels (N,) in 0..K-1. 1 is perfect, 0.5 is chance. It is defined
    even if a class is absent. For two classes it differs from the ordinary binary AUC; many classes increase
    it. Wen et al. 2021, section 2.2; equal to scikit-learn's roc_auc_score with average="micro".
    """
    scores, labels = _checked(scores, labels)
    positive = labels[:, None] == np.arange(scores.shape[1])
    return binary_auc(scores.ravel(), positive.ravel())


def macro_auc(scores: Array, labels: Array) -> float:
    """Mean over classes of the one-versus-rest AUC, without classes that all or no images have.

    scores (N, K), higher = more likely; labels (N,) in 0..K-1. 1 is perfect, 0.5 is chance.
    """
    scores, labels = _checked(scores, labels)
    areas = [binary_auc(scores[:, k], labels == k) for k in range(scores.shape[1])]
    return _nan_if_bad(scores, mean_of_defined(np.array(areas)))


def finding_aucs(scores: Array, labels: Array) -> Array:
    """AUC of each of K findings of which an image can have any, (K,), over the images where it is known.

    scores (N, K), higher = more likely; labels (N, K) of 1, 0 and nan (unknown). It is nan for a finding that
    all or no images have.
    """
    scores, labels = _unmasked("scores", scores), _unmasked("labels", labels)
    if scores.ndim != 2 or scores.shape != labels.shape:
        raise InputError(f"scores {scores.shape} and labels {labels.shape} are not both (N, K)")
    known = ~np.isnan(labels)
    return np.array([binary_auc(scores[k, n], labels[k, n] == 1) for n, k in enumerate(known.T)])


def findings_macro_auc(scores: Array, labels: Array) -> float:
    """Mean of `finding_aucs` over the findings that have one."""
    return _nan_if_bad(scores, mean_of_defined(finding_aucs(scores, labels)))


def findings_micro_auc(scores: Array, labels: Array) -> float:
    """AUC over all known entries of scores and labels, (N, K) each, as `finding_aucs` takes them."""
    known = ~np.isnan(np.asarray(labels))
    return binary_auc(np.asarray(scores)[known], np.asarray(labels)[known] == 1)


def binary_auc(scores: Array, positive: Array) -> float:
    """Area under the ROC curve: P(score of a positive > score of a negative) + P(equal) / 2.

    scores (N,); positive (N,) bool. Computed from the rank sum in O(N log N).
    """
    positives = int(np.count_nonzero(positive))
    pairs = positives * (len(scores) - positives)
    if pairs == 0 or np.isnan(scores).any():
        return float("nan")
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mid_ranks = np.cumsum(counts) - (counts - 1) / 2
    rank_sum = mid_ranks[place.ravel()][positive].sum()
    return float((rank_sum - positives * (positives + 1) / 2) / pairs)


def accuracy(scores: Array, labels: Array) -> float:
    """Fraction of images whose highest score, the first of equal ones, is that of their label.

    scores (N, K); labels (N,) in 0..K-1.
    """
    scores, labels = _checked(scores, labels)
    return _nan_if_bad(scores, mean_of_defined((scores.argmax(1) == labels).astype(float)))


def quadratic_kappa(scores: Array, labels: Array) -> float:
    """Cohen's kappa of predicted and true grades with quadratic weights; 1 is perfect, 0 is chance.

    scores (N, K), of grades in their order; labels (N,) in 0..K-1. The prediction is the highest score, the
    first of equal ones. It is nan where all images have one grade and are predicted to have it. Cohen 1968,
    Psychological Bulletin 70:213.
    """
    from sklearn.metrics import cohen_kappa_score

    scores, labels = _checked(scores, labels)
    predicted = scores.argmax(1)
    if len(np.unique([labels, predicted])) < 2:
        return float("nan")
    kappa = cohen_kappa_score(labels, predicted, labels=range(scores.shape[1]), weights="quadratic")
    return _nan_if_bad(scores, float(kappa))


def confusion_matrix(prediction: Array, target: Array, num_classes: int, ignore_index: int = IGNORE) -> Array:
    """Count pairs of classes, int64 (K, K): rows for the target, columns for the prediction.

    Elements whose target is `ignore_index` are excluded. Raises InputError if the shapes differ, and for
    values that are no whole numbers (probabilities, a mask resized with interpolation) or outside
    0..num_classes-1.
    """
    prediction, target = _unmasked("prediction", prediction), _unmasked("target", target)
    if prediction.shape != target.shape:
        raise InputError(f"prediction {prediction.shape} and target {target.shape} differ in shape")
    if not isinstance(num_classes, int | np.integer) or isinstance(num_classes, bool) or num_classes < 1:
        raise InputError(f"num_classes is {num_classes!r}; accepted: a whole number from 1")
    counted = target != ignore_index
    truth, guess = _whole("target", target[counted]), _whole("prediction", prediction)
    _check_range("target", truth, num_classes)
    _check_range("prediction", guess, num_classes)  # also where the target is left out: 255 is no prediction
    guess = guess[counted]
    return np.bincount(truth * num_classes + guess, minlength=num_classes**2).reshape(
        num_classes, num_classes
    )


def class_iou(confusion: Array) -> Array:
    """Intersection over union of each class, (K,), from a confusion matrix (K, K); nan for absent classes."""
    hits = confusion.diagonal().astype(float)
    union = confusion.sum(0) + confusion.sum(1) - hits
    return np.divide(hits, union, out=np.full(len(hits), np.nan), where=union > 0)


def class_dice(confusion: Array) -> Array:
    """Dice coefficient 2·TP / (2·TP + FP + FN) of each class, (K,), as `class_iou`."""
    hits = confusion.diagonal().astype(float)
    both = confusion.sum(0) + confusion.sum(1)
    return np.divide(2 * hits, both, out=np.full(len(hits), np.nan), where=both > 0)


def image_ious(confusions: Array) -> Array:
    """Mean IoU of each image, (N,), from the confusion matrices of images (N, K, K); see `class_iou`."""
    return np.array([mean_of_defined(class_iou(confusion)) for confusion in confusions])


def mean_iou(prediction: Array, target: Array, num_classes: int, ignore_index: int = IGNORE) -> float:
    """Mean IoU over all classes, background included, from one confusion matrix over all pixels (N, H, W).

    Higher is better. Classes absent from both are skipped. Predicting background everywhere already scores
    about 0.5 on two classes. Takes and raises what `confusion_matrix` does.
    """
    return mean_of_defined(class_iou(confusion_matrix(prediction, target, num_classes, ignore_index)))


def dice(prediction: Array, target: Array, num_classes: int) -> float:
    """Mean Dice coefficient without class 0, from one confusion matrix over all pixels (N, H, W).

    Higher is better. Classes absent from both are skipped. Raises InputError as `confusion_matrix` does.
    """
    return mean_of_defined(class_dice(confusion_matrix(prediction, target, num_classes))[1:])


def mean_of_defined(values: Array) -> float:
    """Mean of the values that are not nan; nan if all are."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


def _checked(scores: Array, labels: Array) -> tuple[Array, Array]:
    scores, labels = _unmasked("scores", scores), _unmasked("labels", labels)
    if scores.ndim != 2 or labels.shape != scores.shape[:1]:
        raise InputError(f"scores {scores.shape} and labels {labels.shape} are not (N, K) and (N,)")
    if scores.dtype.kind not in "buif":
        raise InputError(f"scores of {scores.dtype}; accepted: real numbers")
    labels = _whole("labels", labels)
    _check_range("label", labels, scores.shape[1])
    return scores, labels


def _unmasked(what: str, values: Array) -> Array:
    """Values as an array. Raises InputError where some are masked, which numpy drops without a word."""
    if np.ma.is_masked(values):
        raise InputError(f"{what}: masked values; accepted: an array whose values all count")
    return np.asarray(values)


def _whole(what: str, values: Array) -> Array:
    """Values as int64. Raises InputError for what is no whole number; 1.0 and True are."""
    if values.dtype.kind not in "buif":
        raise InputError(f"{what} of {values.dtype}; accepted: whole numbers")
    if values.dtype.kind == "f":
        broken = values[~(np.isfinite(values) & (values == np.rint(values)))]
        if broken.size:
            raise InputError(
                f"{what}: {broken.size:,} values such as {broken.flat[0]}; accepted: whole numbers"
            )
    return values.astype(np.int64)


def _check_range(what: str, values: Array, num_classes: int) -> None:
    if values.size and not (values.min() >= 0 and values.max() < num_classes):
        raise InputError(f"{what} {values.min()}..{values.max()} outside the classes 0..{num_classes - 1}")


def _nan_if_bad(scores: Array, value: float) -> float:
    return float("nan") if np.isnan(scores).any() else value
