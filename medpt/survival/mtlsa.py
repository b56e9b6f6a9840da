"""Multi-task learning for survival analysis (MTLSA): one linear regression for each time interval.

Li, Wang, Ye, Reddy 2016 (KDD, 1715-1724). For each interval a linear model predicts whether a patient is
alive. All models share a sparse choice of features, and predictions never increase from interval to interval:

    min over B (d, k):  ½ ‖W∘(Y - XB)‖² + λ1/2 ‖B‖² + λ2 Σ_r ‖b_r‖   with every row of XB in the cone

of non-negative, non-increasing rows. ADMM reaches the optimum of a general convex solver, given enough
iterations. The intervals, the scaling and λ2, which cross-validation chooses, depend on training patients
only. The intercept (first column of X) is not penalized; the paper has none. With more than 200 intervals the
cone constrains predictions only (the paper's MTLSA.V2).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from medpt.errors import InputError
from medpt.protocol import decision
from medpt.survival.split import cross_validated
from medpt.survival.study import Prediction

Matrix = NDArray[np.float64]

V2_FROM = 200  # intervals beyond which the cone is left to the predictions


@dataclass(frozen=True)
class Options:
    interval_days: float = decision(30.44, "a month; the authors count in the data's own unit")
    max_intervals: int = decision(120, "ten years; later events count as in the last interval")
    ridge: float = decision(0.0, "λ1; the authors' code has 0")
    path: int = decision(
        30, "values of λ2, from λ_max down to a hundredth of it; the authors' 100 take three times as long"
    )
    folds: int = decision(5, "cross-validation over patients; the released script chooses λ on the test set")
    rho: float = decision(10.0, "of the authors' ADMM")
    iterations: int = decision(100, "ADMM, as the authors'")
    tolerance: float = decision(5e-4, "ADMM stops on a change of B below it, as the authors'")
    inner_iterations: int = decision(1_000, "FISTA, as the authors'")
    inner_tolerance: float = decision(1e-4, "FISTA stops on a relative change of B below it, as the authors'")
    authors_projection: bool = decision(
        False, "True: M-step with equal weights, up to 0.08 off the exact one"
    )


@dataclass(frozen=True)
class Problem:
    """X (n, d), its first column 1; Y and W (n, k), W = 0 where a patient's state is unknown."""

    x: Matrix
    y: Matrix
    w: Matrix


@dataclass(frozen=True)
class State:
    """The variables of ADMM: B (d, k) and its scaled dual U (n, k)."""

    b: Matrix
    u: Matrix


def predict_from(
    x_train: Matrix,
    time: Matrix,
    event: NDArray[np.bool_],
    x_all: Matrix,
    seed: int,
    options: Options = Options(),
) -> Prediction:
    """Return risks (m,) for the rows of `x_all` (m, d): minus the predicted lifetime in intervals.

    `x_train` (n, d), `time` (n,) in days above 0 and `event` (n,) are the training patients'. Facts:
    `lambda_share` (of λ_max), `features` kept, `intervals`, and the `cv_c_index` of the choice. Raises
    InputError for features that are not finite and if no fold has a comparable pair.
    """
    _require_finite(x_train, x_all)

    def risks(inside: NDArray[np.bool_], outside: NDArray[np.bool_]) -> Iterator[NDArray[np.float64]]:
        problem, scaling = _prepared(x_train[inside], time[inside], event[inside], options)
        for b in solutions(problem, options, options.path):
            yield -lifetimes(scaling(x_train[outside]), b)

    scores = cross_validated(time, event, options.folds, seed, risks)
    best = int(scores.argmax())
    problem, scaling = _prepared(x_train, time, event, options)
    b = list(solutions(problem, options, best + 1))[-1]
    facts = {
        "lambda_share": _share(best, options.path),
        "features": float((np.abs(b[1:]).max(1, initial=0) > 0).sum()),
        "intervals": float(b.shape[1]),
        "cv_c_index": float(scores[best]),
    }
    return Prediction(-lifetimes(scaling(x_all), b), facts)


def solutions(problem: Problem, options: Options, count: int) -> Iterator[Matrix]:
    """Yield the first `count` B of the path λ2 = λ_max · 0.01^(i / path), i ≥ 1, each started at the last."""
    largest = lambda_max(problem)
    state = null_state(problem, options)
    solve = admm if problem.y.shape[1] <= V2_FROM else unconstrained
    for step in range(count):
        state = solve(problem, largest * _share(step, options.path), state, options)
        yield state.b


def _share(step: int, path: int) -> float:
    return 0.01 ** ((step + 1) / path)


def targets(time: Matrix, event: NDArray[np.bool_], options: Options) -> tuple[Matrix, Matrix]:
    """Return Y and W (n, k): Y is 1 while the patient is alive, 0 after a death; W is 0 after censoring.

    Interval j runs from (j - 1) to j months; a patient counts as alive in the interval of the end of
    follow-up. k is the last interval in which a follow-up ends; ends after `max_intervals` are moved to that
    one.
    """
    last = np.clip(np.ceil(time / options.interval_days), 1, options.max_intervals)
    interval = np.arange(1, int(last.max()) + 1)
    alive = interval <= last[:, None]
    return alive.astype(float), (alive | event[:, None]).astype(float)


def _prepared(
    x: Matrix, time: Matrix, event: NDArray[np.bool_], options: Options
) -> tuple[Problem, Callable[[Matrix], Matrix]]:
    mean, deviation = x.mean(0), x.std(0)
    deviation = np.where(deviation > 1e-12, deviation, 1.0)

    def scaling(rows: Matrix) -> Matrix:
        return np.column_stack([np.ones(len(rows)), (rows - mean) / deviation])

    return Problem(scaling(x), *targets(time, event, options)), scaling


def lifetimes(x: Matrix, b: Matrix) -> NDArray[np.float64]:
    """Return the number of intervals survived (m,): sums of the rows of XB projected onto the cone."""
    answers = x @ b
    return project(answers, np.ones_like(answers)).sum(1)


def project(values: Matrix, weights: Matrix) -> Matrix:
    """Return the nearest non-negative, non-increasing rows (n, k) in the weighted norm, weights above 0.

    Isotonic regression, then clipping. All rows are solved in one call: each is moved below the one before
    it, so that no two rows are pooled.
    """
    from scipy.optimize import isotonic_regression

    lowered = (np.ptp(values) + 1) * np.arange(len(values), 0, -1)[:, None]
    fit = isotonic_regression((values + lowered).ravel(), weights=weights.ravel(), increasing=False)
    return np.maximum(fit.x.reshape(values.shape) - lowered, 0)


def objective(problem: Problem, b: Matrix, sparsity: float, ridge: float) -> float:
    """Return the objective to minimise, at λ2 = `sparsity` and λ1 = `ridge`."""
    misfit = (problem.w * (problem.y - problem.x @ b)) ** 2
    return float(misfit.sum() / 2 + ridge / 2 * (b[1:] ** 2).sum() + sparsity * _norms(b[1:]).sum())


def null_state(problem: Problem, options: Options) -> State:
    """Return the best B without features, the share known to be alive in each interval, and its dual.

    That share never increases, since patients were alive when they were censored: the constraint is inactive,
    and the dual is the residual.
    """
    b = np.zeros((problem.x.shape[1], problem.y.shape[1]))
    b[0] = (problem.w * problem.y).sum(0) / problem.w.sum(0)
    return State(b, problem.w * (problem.y - b[0]) / options.rho)


def lambda_max(problem: Problem) -> float:
    """Return the smallest λ2 at which the optimum has no features, by the residual of `null_state`."""
    null = problem.w * (problem.y - null_state(problem, Options()).b[0])
    return float(_norms(problem.x[:, 1:].T @ null).max(initial=0))


def admm(problem: Problem, sparsity: float, start: State, options: Options) -> State:
    """Minimise with the split XB = M: misfit and cone act on M, penalties on B (section 4 of the paper).

    The M-step is exact: isotonic regression weighted by W + ρ, since unknown cells have weight ρ only.
    """
    x, rho = problem.x, options.rho
    gram, b, u = rho * x.T @ x, start.b, start.u
    ridge = _penalized(b, options.ridge)
    lipschitz = float(np.linalg.norm(gram, 2)) + options.ridge
    weights = problem.w + rho
    pooling = np.ones_like(weights) if options.authors_projection else weights
    for _ in range(options.iterations):
        m = project((problem.w * problem.y - rho * (u - x @ b)) / weights, pooling)
        pull, before = rho * x.T @ (m + u), b
        b = fista(partial(_quadratic_slope, gram, pull, ridge), lipschitz, sparsity, b, options)
        u = u + m - x @ b
        if np.linalg.norm(b - before) < options.tolerance:
            break
    return State(b, u)


def _quadratic_slope(gram: Matrix, pull: Matrix, ridge: Matrix, at: Matrix) -> Matrix:
    return gram @ at - pull + ridge * at


def unconstrained(problem: Problem, sparsity: float, start: State, options: Options) -> State:
    """Minimise without the cone (MTLSA.V2), which `lifetimes` then applies."""
    x = problem.x
    ridge = _penalized(start.b, options.ridge)
    lipschitz = float(np.linalg.norm(x, 2)) ** 2 + options.ridge

    def slope(at: Matrix) -> Matrix:
        return x.T @ (problem.w * (x @ at - problem.y)) + ridge * at

    return State(fista(slope, lipschitz, sparsity, start.b, options), start.u)


def fista(
    slope: Callable[[Matrix], Matrix], lipschitz: float, sparsity: float, start: Matrix, options: Options
) -> Matrix:
    """Minimise a smooth function with that slope plus sparsity · Σ_r ‖b_r‖ over all rows but the first.

    Beck & Teboulle 2009, restarted when momentum points uphill (O'Donoghue & Candès 2015).
    """
    b, ahead, momentum = start, start, 1.0
    thresholds = _penalized(start, sparsity / lipschitz)
    for _ in range(options.inner_iterations):
        new = _shrunk(ahead - slope(ahead) / lipschitz, thresholds)
        change = new - b
        if np.linalg.norm(change) <= options.inner_tolerance * max(float(np.linalg.norm(b)), 1e-12):
            return new
        if ((ahead - new) * change).sum() > 0:
            momentum = 1.0
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        b, ahead, momentum = new, new + (momentum - 1) / following * change, following
    return b


def _shrunk(b: Matrix, thresholds: Matrix) -> Matrix:
    norms = np.maximum(_norms(b)[:, None], 1e-300)
    return b * np.maximum(1 - thresholds / norms, 0)


def _penalized(b: Matrix, value: float) -> Matrix:
    """Return `value` for each row, (d, 1), and 0 for the intercept."""
    column = np.full((len(b), 1), value)
    column[0] = 0
    return column


def _norms(rows: Matrix) -> NDArray[np.float64]:
    return np.sqrt((rows**2).sum(1))


def _require_finite(*matrices: Matrix) -> None:
    bad = sum(int((~np.isfinite(matrix)).sum()) for matrix in matrices)
    if bad:
        raise InputError(f"MTLSA: {bad} values of the features are not finite")
