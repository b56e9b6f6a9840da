"""Cox regression: the loss of the deep models, a ridge regression, and the clinical baseline `cox`."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medpt.errors import InputError, did_you_mean
from medpt.survival.options import CoxOptions as Options
from medpt.survival.split import cross_validated
from medpt.survival.study import TRAIN, Prediction, Study

Floats = NDArray[np.float64]

PENALTIES = tuple(float(10**exponent) for exponent in np.arange(2, -3.5, -0.5))  # from strong to none
FOLDS = 5


DEFAULTS = Options()


def predict(study: Study, options: Options = DEFAULTS) -> Prediction:
    """Fit ridge Cox regression on clinical columns, such as age and grade, and return the log hazards.

    This is the baseline without any image. Ties are treated as by Breslow. An unknown value (nan) becomes the
    median of the training patients' known values. Columns with fewer than two distinct known values among
    the training patients are excluded. If no training patient died, all risks are equal.

    Facts: the number of `columns` used, and the share of `unknown` values in them, 0 to 1. Raises InputError
    if no column is left, or if the study lacks a column of `options.columns`.
    """
    rows = study.rows(TRAIN)
    columns = _columns(study, options, rows)
    x = np.column_stack([np.where(np.isnan(c), np.nanmedian(c[rows]), c) for c in columns])
    model = fit_ridge(x[rows], study.time[rows], study.event[rows], options.penalty)
    facts = {"columns": float(len(columns)), "unknown": float(np.isnan(columns).mean())}
    return Prediction(model(x), facts)


def _columns(study: Study, options: Options, rows: NDArray[np.intp]) -> list[Floats]:
    """Return the columns (P,) with two or more distinct known values among `rows`."""
    names = options.columns or tuple(study.clinical)
    absent = [name for name in names if name not in study.clinical]
    if absent:
        raise InputError(f"cox: column {name!r}: {did_you_mean(name, study.clinical)}" for name in absent)
    values = [np.asarray(study.clinical[name], np.float64) for name in names]
    varying = [column for column in values if len(np.unique(column[rows][~np.isnan(column[rows])])) > 1]
    if not varying:
        raise InputError(
            f"cox: columns {', '.join(names) or 'none'}: each has fewer than two distinct known values among "
            "the training patients; use a column that varies"
        )
    return varying


@dataclass(frozen=True)
class RidgeCox:
    """A linear risk of patients (n, p): (x − mean) / scale · weights; higher = shorter survival."""

    mean: Floats
    scale: Floats
    weights: Floats
    penalty: float

    def __call__(self, x: Floats) -> Floats:
        return (x - self.mean) / self.scale @ self.weights


def fit_ridge_cv(x: Floats, time: Floats, event: NDArray[np.bool_], seed: int) -> RidgeCox:
    """Fit x (n, p) with the one of PENALTIES that has the best mean C-index over five folds.

    Of equally good penalties the strongest is used. Raises InputError if no fold has a comparable pair.
    """

    def risks(inside: NDArray[np.bool_], outside: NDArray[np.bool_]) -> Iterator[Floats]:
        for penalty in PENALTIES:
            yield fit_ridge(x[inside], time[inside], event[inside], penalty)(x[outside])

    scores = cross_validated(time, event, FOLDS, seed, risks)
    return fit_ridge(x, time, event, PENALTIES[int(scores.argmax())])


def fit_ridge(x: Floats, time: Floats, event: NDArray[np.bool_], penalty: float) -> RidgeCox:
    """Minimise `cox_loss` + penalty/2 · ‖weights‖² over the standardised columns of x (n, p)."""
    from scipy.optimize import minimize

    mean, scale = x.mean(0), x.std(0)
    scale = np.where(scale > 1e-12, scale, 1.0)
    z, times, events = (torch.from_numpy(values) for values in ((x - mean) / scale, time, event))

    def objective(values: Floats) -> tuple[float, Floats]:
        weights = torch.tensor(values, requires_grad=True)
        loss = cox_loss(z @ weights, times, events) + penalty / 2 * weights @ weights
        (slope,) = torch.autograd.grad(loss, weights)
        return loss.item(), slope.numpy()

    found = minimize(objective, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    return RidgeCox(mean, scale, found.x, penalty)


def cox_loss(risk: Tensor, time: Tensor, event: Tensor) -> Tensor:
    """Return the mean negative log partial likelihood of a batch's deaths, at least 0; ties as by Breslow.

    `risk` (n,) are log hazards, higher = shorter survival; `time` (n,); `event` (n,) is bool or 0/1. The risk
    set of a death is everyone of the batch whose time is not before it. Computed in float32 at least, with
    O(deaths · n) memory. A batch without a death has loss 0 and gradient 0; an optimizer with weight decay
    or momentum would still move on it, so training skips such batches (`if event.any()`).

    Raises InputError unless all three have one shape (n,): broadcasting (n, 1) against (n,) would compare
    everyone with everyone, and the result would still look like a loss.

    Cox 1975; Breslow 1974; Katzman et al. 2018 (DeepSurv), equation 4.
    """
    if not risk.shape == time.shape == event.shape or risk.ndim != 1:
        shapes = {"risk": tuple(risk.shape), "time": tuple(time.shape), "event": tuple(event.shape)}
        raise InputError(f"Cox loss: shapes {shapes}; accepted: (n,) each")
    event = event.bool()
    risk = risk.to(torch.promote_types(risk.dtype, torch.float32))
    if not event.any():
        return risk.sum() * 0
    at_risk = time >= time[event][:, None]
    risk_sets = risk.expand_as(at_risk).masked_fill(~at_risk, -torch.inf).logsumexp(1)
    return (risk_sets - risk[event]).mean()
