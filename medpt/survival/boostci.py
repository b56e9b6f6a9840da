"""Boosting of the concordance index itself (BoostCI): component-wise linear, on handcrafted vectors.

Mayr & Schmid 2014 (PLoS ONE 9:e84483), as mboost's family `Cindex`: Uno's C with its indicator smoothed to a
sigmoid, by gradient ascent one feature a step. The score η grows with survival, so that risk = -η.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from medpt.errors import InputError
from medpt.identity import stream_seed
from medpt.survival.evaluate import kaplan_meier
from medpt.survival.fitting import fill_missing, patients_with_patches
from medpt.survival.handcrafted import patient_vectors
from medpt.survival.options import BoostCiOptions as Options
from medpt.survival.split import cross_validated
from medpt.survival.study import TRAIN, Prediction, Study

Floats = NDArray[np.float64]


DEFAULTS = Options()


def predict(study: Study, options: Options = DEFAULTS) -> Prediction:
    """Fit boosting on the training patients with patches and return the risks of all patients.

    Cross-validation over the training patients chooses the number of steps. Patients without patches get the
    training patients' median risk. Facts: `steps`, the number of `features` used, `cv_c_index` of the choice.
    """
    x, rows = patient_vectors(study), patients_with_patches(study, TRAIN)
    time, event = study.time[rows], study.event[rows]
    mean, scale = scaling(x[rows])
    x = (x - mean) / scale

    def risks(inside: NDArray[np.bool_], outside: NDArray[np.bool_]) -> Iterator[Floats]:
        for weights in boost(x[rows[inside]], time[inside], event[inside], options):
            yield -x[rows[outside]] @ weights

    scores = cross_validated(time, event, options.folds, stream_seed(study.seed, "boostci"), risks)
    steps = int(scores.argmax()) + 1
    weights = list(zip(range(steps), boost(x[rows], time, event, options), strict=False))[-1][1]
    facts = {
        "steps": float(steps),
        "features": float((weights != 0).sum()),
        "cv_c_index": float(scores.max()),
    }
    return Prediction(fill_missing(-x @ weights, study), facts)


def scaling(x: Floats) -> tuple[Floats, Floats]:
    """Return the mean and standard deviation of each column, (p,) each; 1 for a constant column."""
    deviation = x.std(0)
    return x.mean(0), np.where(deviation > 1e-12, deviation, 1.0)


def boost(x: Floats, time: Floats, event: NDArray[np.bool_], options: Options) -> Iterator[Floats]:
    """Yield the weights (p,) after each step, which moves the feature that fits the gradient best.

    It moves by `shrinkage` times its fit. Columns of `x` (n, p) are centred here, so that a base learner has
    no intercept; the weights of constant columns stay 0.
    """
    x = x - x.mean(0)
    squares = (x**2).sum(0)
    pairs = pair_weights(time, event, options.max_weight)
    weights, score = np.zeros(x.shape[1]), np.zeros(len(x))
    for _ in range(options.max_steps):
        fit = np.divide(
            x.T @ gradient(pairs, score, options.sigma), squares, where=squares > 1e-12, out=0 * squares
        )
        best = int((fit**2 * squares).argmax())
        weights[best] += options.shrinkage * fit[best]
        score += options.shrinkage * fit[best] * x[:, best]
        yield weights.copy()


def pair_weights(time: Floats, event: NDArray[np.bool_], max_weight: float) -> Floats:
    """Return the weights w (n, n), summing to 1, of the pairs in which j dies before the end of k.

    Half of a weight counts at equal times. Uno et al. 2011: the square of event / Ĝ(t_j), where Ĝ is the
    Kaplan-Meier estimate of not being censored. Raises InputError if no pair has a weight.
    """
    times, uncensored = kaplan_meier(time, ~event)
    here = uncensored[np.searchsorted(times, time)]
    inverse = np.divide(event, here, where=here > 0, out=np.where(event, np.inf, 0.0))
    before = (time[:, None] < time) + (time[:, None] == time) / 2 - np.eye(len(time)) / 2
    pairs = np.minimum(inverse, max_weight)[:, None] ** 2 * before
    if not pairs.any():
        raise InputError(
            f"BoostCI: {event.sum()} deaths among {len(event)} training patients: no comparable pair"
        )
    return pairs / pairs.sum()


def smooth_index(pairs: Floats, score: Floats, sigma: float) -> float:
    """Return Σ_jk w_jk sigmoid((η_k - η_j) / σ), in (0, 1), which `boost` maximises."""
    return float((pairs * (1 - _sigmoid((score[:, None] - score) / sigma))).sum())


def gradient(pairs: Floats, score: Floats, sigma: float) -> Floats:
    """Return the gradient of `smooth_index` with respect to η, (n,)."""
    p = _sigmoid((score[:, None] - score) / sigma)
    pull = pairs * p * (1 - p) / sigma
    return pull.sum(0) - pull.sum(1)


def _sigmoid(value: Floats) -> Floats:
    return (1 + np.tanh(value / 2)) / 2
