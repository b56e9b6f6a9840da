"""Linear models on fixed features: logistic regression whose strength is chosen on a validation set."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medpt.data import splits
from medpt.metrics import findings_macro_auc, macro_auc

Floats = NDArray[np.floating]

STRENGTHS = (1e-3, 1e-1, 10.0)  # C of scikit-learn, the inverse of the L2 penalty's weight
VALIDATION = 0.2  # of the groups
MOST_ITERATIONS = 500


@dataclass(frozen=True)
class LinearModel:
    """Logits = features @ weights + bias, weights (d, K), bias (K,). `several`: each class by itself."""

    weights: Floats
    bias: Floats
    several: bool = False

    def scores(self, features: Floats) -> Floats:
        """Return probabilities (N, K); the rows sum to 1 unless an image can have several classes."""
        from scipy.special import expit, softmax

        logits = features @ self.weights + self.bias
        found: Floats = expit(logits) if self.several else softmax(logits, axis=1)
        return found


def fit(
    features: Floats, labels: NDArray[Any], groups: Sequence[str], classes: int, seed: int = 0
) -> LinearModel:
    """Fit with the C that has the highest macro AUC on a fifth of the groups, then on all rows with that C.

    features (N, d); labels (N,) in 0..K-1, or (N, K) of 1, 0 and nan (unknown) where an image can have
    several classes. Classes weigh the same. Without a validation set in which an AUC is defined, C is the
    middle one.
    """
    train, val = splits.validation(splits.strata(labels), groups, VALIDATION, seed)
    best = STRENGTHS[len(STRENGTHS) // 2]
    if len(val):
        models = [fit_strength(features[train], labels[train], classes, strength) for strength in STRENGTHS]
        areas = np.array([macro_auc_of_known(model.scores(features[val]), labels[val]) for model in models])
        if not np.isnan(areas).all():
            best = STRENGTHS[int(np.nanargmax(areas))]
    return fit_strength(features, labels, classes, best)


def macro_auc_of_known(scores: Floats, labels: NDArray[Any]) -> float:
    """Mean AUC over classes; labels (N,), or (N, K) of 1, 0 and nan, of which an AUC ignores the nan."""
    return macro_auc(scores, labels) if labels.ndim == 1 else findings_macro_auc(scores, labels)


def fit_strength(features: Floats, labels: NDArray[Any], classes: int, strength: float) -> LinearModel:
    """Fit with one C, to all rows; arguments are those of `fit`."""
    if labels.ndim == 1:
        return fit_classes(features, labels, classes, strength)
    known = ~np.isnan(labels)
    models = [
        fit_classes(features[known[:, k]], labels[known[:, k], k].astype(np.int64), 2, strength)
        for k in range(classes)
    ]
    weights = np.stack([model.weights[:, 1] - model.weights[:, 0] for model in models], axis=1)
    return LinearModel(weights, np.array([model.bias[1] - model.bias[0] for model in models]), several=True)


def fit_classes(
    features: Floats, labels: NDArray[Any], classes: int, strength: float, weights: Floats | None = None
) -> LinearModel:
    """Fit one strength, on features that are standardised; `weights` (K,) are of the classes, None: balanced.

    A class without a row gets a score near 0.
    """
    from sklearn.linear_model import LogisticRegression

    present, numbers = np.unique(labels, return_inverse=True)
    bias = np.full(classes, -50.0)
    coefficients = np.zeros((features.shape[1], classes))
    if len(present) < 2:
        bias[present] = 0
        return LinearModel(coefficients, bias)
    centre, scale = features.mean(0), features.std(0)
    scale[scale == 0] = 1
    balance: Any = "balanced" if weights is None else dict(enumerate(weights[present].tolist()))
    model = LogisticRegression(C=strength, class_weight=balance, max_iter=MOST_ITERATIONS)
    model.fit((features - centre) / scale, numbers)
    slopes, offsets = model.coef_, model.intercept_
    if len(present) == 2:  # scikit-learn has one row for two classes
        slopes, offsets = np.concatenate([-slopes, slopes]) / 2, np.concatenate([-offsets, offsets]) / 2
    coefficients[:, present] = (slopes / scale).T
    bias[present] = offsets - (slopes / scale) @ centre
    return LinearModel(coefficients, bias)
