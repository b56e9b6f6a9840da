"""How well features (n, d) of a frozen network carry labels (n,), without training on them.

Both scores compare networks on the same images: higher is better, and only their order means something.
Features of few images flatter themselves; take n well above d. scipy is imported where it is used.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medpt.errors import InputError

Matrix = NDArray[np.float64]

RANGE = 1e8  # the noise is sought between a RANGE-th and RANGE times the largest variance of the features
GRID = 161


def logme(features: ArrayLike, labels: ArrayLike) -> float:
    """Log of the maximum evidence of a linear model a sample, mean over classes one against the rest.

    You, Liu, Wang & Long 2021 (LogME, section 4): y ~ N(F w, 1/beta), w ~ N(0, 1/alpha), no intercept, both
    precisions at their maximum. They are found on the profile over alpha/beta, which needs one SVD and one
    search in one dimension, in place of the authors' fixed point; both reach the same evidence. Any real
    number. Raises InputError for shapes and values that fit no classification.
    """
    F, classes, place = _checked(features, labels)
    U, singular, _ = np.linalg.svd(F, full_matrices=False)
    targets = (place[:, None] == np.arange(len(classes))).astype(float)
    inside = (U.T @ targets) ** 2
    outside = np.maximum((targets**2).sum(0) - inside.sum(0), 0)
    return float(
        np.mean([_evidence(singular**2, z, rest, len(F)) for z, rest in zip(inside.T, outside, strict=True)])
    )


def _evidence(variances: Matrix, inside: Matrix, outside: float, n: int) -> float:
    """Maximum over alpha/beta of log N(y; 0, (I + F Fᵀ beta/alpha)/beta)/n, with 1/beta at its best.

    `inside` are the squares of y along the left singular vectors, `outside` is what they leave.
    """
    from scipy.optimize import minimize_scalar

    def loss(log_ratio: float) -> float:
        ratio = np.exp(log_ratio)
        noise = ((inside * ratio / (ratio + variances)).sum() + outside) / n
        return float(np.log(2 * np.pi * noise) + 1 + np.log1p(variances / ratio).sum() / n) / 2

    middle = np.log(variances.max())
    grid = middle + np.linspace(-np.log(RANGE), np.log(RANGE), GRID)
    best = int(np.argmin([loss(point) for point in grid]))
    around = (grid[max(best - 1, 0)], grid[min(best + 1, GRID - 1)])
    return -float(minimize_scalar(loss, bounds=around, method="bounded", options={"xatol": 1e-6}).fun)


def h_score(features: ArrayLike, labels: ArrayLike) -> float:
    """tr(cov(F)⁺ cov(E[F | label])), in [0, min(d, classes - 1)].

    Bao et al. 2019 (An information-theoretic approach to transferability). Directions with a variance under
    1e-10 of the largest are left out of the inverse. Raises InputError as `logme` does.
    """
    F, classes, place = _checked(features, labels)
    F = F - F.mean(0)
    means = np.stack([F[place == k].mean(0) for k in range(len(classes))])[place]
    inverse = np.linalg.pinv(F.T @ F, rcond=1e-10, hermitian=True)
    return float(np.trace(inverse @ (means.T @ means)))


def _checked(features: ArrayLike, labels: ArrayLike) -> tuple[Matrix, NDArray[Any], NDArray[np.intp]]:
    F, y = np.asarray(features), np.asarray(labels)
    if F.ndim != 2 or y.ndim != 1 or len(F) != len(y) or 0 in F.shape:
        raise InputError(f"features {F.shape} and labels {y.shape}; (n, d) and (n,) are accepted")
    F = F.astype(np.float64)
    classes, place = np.unique(y, return_inverse=True)
    problems = []
    if not np.isfinite(F).all():
        problems.append("features hold what is no finite number")
    elif not F.any():
        problems.append("features are 0 throughout")
    if len(classes) < 2:
        problems.append(f"labels are all {classes[0]}; two classes or more are needed")
    if problems:
        raise InputError(problems)
    return F, classes, place
