"""Metrics of a survival model's risks that do not depend on when patients were censored.

What is observed of a test patient counts with one over the probability to be observed until then, which is
estimated from the patients that are not tested (inverse probability of censoring weights). Weights grow
without bound where follow-up ends, so that nothing after a horizon counts: the time by which nine of ten of
those patients have left.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medpt.survival.study import TEST, Study

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Events = NDArray[np.bool_]

HORIZON = 0.9  # of the follow-up times of the patients that are not tested
TIMES = 100  # at which squared errors are averaged, from day 0 to the horizon
PENALTY = 0.01  # of the Cox regression on the risk alone: bounds its slope where the risk orders all deaths


@dataclass(frozen=True)
class Weighted:
    """What each of n test patients adds to the metrics that are weighted for censoring.

    `weight` (n,) is that of the pairs in which the patient died first, 0 where no death was observed before
    the horizon. `error` and `trivial_error` (n,) are weighted squared errors of the probability to be alive,
    averaged over time: by a Cox regression on the risk, and by the Kaplan-Meier curve, which is the same for
    all patients. Their means are integrated Brier scores (Graf et al. 1999), from 0, lower is better. nan
    where there is nothing to take them from.
    """

    weight: Floats
    error: Floats
    trivial_error: Floats


def weigh(study: Study, risk: Floats) -> Weighted:
    """Weigh the test patients of a study for censoring, given the risks (P,) of all patients.

    Curves and weights come from the training and validation patients together.
    """
    tested = study.split == TEST
    time, event = study.time[~tested], study.event[~tested]
    horizon = float(np.quantile(time, HORIZON))
    times = np.linspace(0, horizon, TIMES)
    seen = _Seen(study.time[tested], study.event[tested], uncensored(time, event, study.time[tested]))
    still = uncensored(time, event, times)
    trivial = np.tile(_alive(time, event, times), (len(seen.time), 1))
    curves = survival_curves(time, event, risk[~tested], risk[tested], times)
    return Weighted(
        weight=seen.weights(horizon) ** 2,
        error=seen.errors(curves, times, still),
        trivial_error=seen.errors(trivial, times, still),
    )


@dataclass(frozen=True)
class _Seen:
    """Follow-up times and events of test patients, and their probability (n,) to be observed until then."""

    time: Floats
    event: Events
    observed: Floats

    def weights(self, horizon: float) -> Floats:
        """Return 1 / probability of the deaths before the horizon, 0 elsewhere."""
        counts = self.event & (self.time < horizon) & (self.observed > 0)
        return np.where(counts, 1 / np.where(counts, self.observed, 1), 0)

    def errors(self, alive: Floats, times: Floats, still: Floats) -> Floats:
        """Return weighted squared errors of curves (n, T), averaged over time; `still` (T,): not censored."""
        died = (self.time[:, None] <= times) & self.event[:, None]
        under_observation = self.time[:, None] > times
        with np.errstate(divide="ignore"):
            squares = np.where(died, alive**2 / self.observed[:, None], 0)
            squares += np.where(under_observation, (1 - alive) ** 2 / still, 0)
        averages: Floats = np.trapezoid(squares, times, axis=1) / times[-1]
        return averages


def uncensored(time: Floats, event: Events, at: Floats) -> Floats:
    """Return the probability not to be censored up to each time of `at`, by Kaplan-Meier with roles swapped.

    Of equal times, deaths come before censorings: who dies at a time can no longer be censored at it.
    """
    times, where = np.unique(time, return_inverse=True)
    ended, died = np.bincount(where), np.bincount(where, weights=event)
    exposed = len(time) - np.cumsum(ended) + ended - died
    steps = np.cumprod(1 - (ended - died) / np.maximum(exposed, 1))
    return np.append(1.0, steps)[np.searchsorted(times, at, side="right")]


def survival_curves(time: Floats, event: Events, risk: Floats, tested: Floats, times: Floats) -> Floats:
    """Return the probability of each patient of `tested` to be alive at `times`, (n, T).

    Risks are no probabilities, and those of forests and boosting no log hazards. A Cox regression on the
    standardised risk alone translates them. nan where it cannot be fitted. A constant risk has the
    Kaplan-Meier curve.
    """
    from lifelines import CoxPHFitter
    from lifelines.exceptions import ConvergenceError

    mean, spread = risk.mean(), risk.std()
    if not spread > 1e-12 * max(1.0, abs(mean)):
        return np.tile(_alive(time, event, times), (len(tested), 1))
    table = _table(time, event, (risk - mean) / spread)
    try:
        model = CoxPHFitter(penalizer=PENALTY).fit(table, duration_col="time", event_col="event")
    except ConvergenceError:
        return np.full((len(tested), len(times)), np.nan)
    curves = model.predict_survival_function(((tested - mean) / spread)[:, None], times=times)
    return np.clip(curves.to_numpy(np.float64).T, 0, 1)


def _table(time: Floats, event: Events, risk: Floats) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame({"time": time, "event": event, "risk": risk})


def _alive(time: Floats, event: Events, times: Floats) -> Floats:
    from lifelines import KaplanMeierFitter

    estimate = KaplanMeierFitter().fit(time, event).survival_function_at_times(times)
    return estimate.to_numpy(np.float64)
