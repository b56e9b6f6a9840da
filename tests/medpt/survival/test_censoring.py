"""Metrics that are weighted for censoring, beside scikit-survival, torchsurv and sums over patients."""

import numpy as np
import pytest
import torch
from cohorts import planted, study
from hypothesis import given, settings
from hypothesis import strategies as st

from medpt.survival.censoring import HORIZON, TIMES, survival_curves, uncensored, weigh
from medpt.survival.concordance import concordance_index
from medpt.survival.evaluate import concordance_influence, weighted_concordance
from medpt.survival.study import TEST, Study

Array = np.ndarray


def case(seed: int = 0, patients: int = 150) -> tuple[Study, Array]:
    cohort = planted(seed, patients)
    return study(cohort, seed, patches=1), cohort[0][:, 0] - cohort[0][:, 1]


def sides(cohort: Study) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Follow-up and events of the patients that are not tested, and of those that are."""
    tested = cohort.split == TEST
    return (cohort.time[~tested], cohort.event[~tested]), (cohort.time[tested], cohort.event[tested])


def uncensored_by_hand(time: Array, event: Array, at: float) -> float:
    """One factor for each time of a censoring: the share of those exposed that is not censored then."""
    share = 1.0
    for now in np.unique(time[~event]):
        if now <= at:
            exposed = (time > now) | ((time == now) & ~event)
            share *= 1 - ((time == now) & ~event).sum() / exposed.sum()
    return share


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 25))
def test_uncensored_is_a_product_over_censorings(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    time, event = rng.integers(1, 9, count).astype(float), rng.random(count) < 0.5
    at = np.array([0.0, 1.0, 3.5, 8.0, 20.0])
    expected = [uncensored_by_hand(time, event, moment) for moment in at]
    assert uncensored(time, event, at) == pytest.approx(expected, abs=1e-12)


def weighted_concordance_by_hand(time: Array, event: Array, risk: Array, weight: Array) -> float:
    credit = total = 0.0
    for i in range(len(time)):
        for j in range(len(time)):
            later = time[j] > time[i] or (time[j] == time[i] and not event[j])
            if event[i] and later and i != j:
                total += weight[i]
                credit += weight[i] * ((risk[i] > risk[j]) + (risk[i] == risk[j]) / 2)
    return credit / total if total else np.nan


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 20))
def test_weighted_concordance_is_a_sum_over_pairs(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    time, event = rng.integers(1, 9, count).astype(float), rng.random(count) < 0.6
    risk, weight = rng.integers(0, 5, count).astype(float), rng.integers(0, 4, count) / 2
    found = weighted_concordance(time, event, risk, weight)
    assert found == pytest.approx(weighted_concordance_by_hand(time, event, risk, weight), nan_ok=True)
    if event.any() and (time[event].min() < time).any():
        plain = weighted_concordance(time, event, risk, np.ones(count))
        assert plain == pytest.approx(concordance_index(time, event, risk))


def test_index_by_uno_is_that_of_scikit_survival_and_torchsurv() -> None:
    metrics, util = pytest.importorskip("sksurv.metrics"), pytest.importorskip("sksurv.util")
    theirs, ipcw = (
        pytest.importorskip("torchsurv.metrics.cindex"),
        pytest.importorskip("torchsurv.stats.ipcw"),
    )
    cohort, risk = case()
    rest, (time, event) = sides(cohort)
    tested, horizon = cohort.split == TEST, float(np.quantile(rest[0], HORIZON))
    found = weighted_concordance(time, event, risk[tested], weigh(cohort, risk).weight)
    surv = [util.Surv.from_arrays(e, t) for t, e in (rest, (np.minimum(time, rest[0].max()), event))]
    assert found == pytest.approx(metrics.concordance_index_ipcw(*surv, risk[tested], tau=horizon)[0])
    known = torch.tensor(rest[1]), torch.tensor(rest[0], dtype=torch.float32)
    times = torch.tensor(time, dtype=torch.float32)
    weights = ipcw.get_ipcw(*known, times)
    values = torch.tensor(risk[tested]), torch.tensor(event), times
    assert found == pytest.approx(
        float(theirs.ConcordanceIndex()(*values, weight=weights, tmax=torch.tensor(horizon))), abs=1e-5
    )


def test_integrated_brier_score_is_that_of_scikit_survival() -> None:
    metrics, util = pytest.importorskip("sksurv.metrics"), pytest.importorskip("sksurv.util")
    cohort, risk = case(1)
    rest, test = sides(cohort)
    kept = test[0] <= rest[0].max()  # it refuses test patients who are followed longer
    tested, times = cohort.split == TEST, np.linspace(0, float(np.quantile(rest[0], HORIZON)), TIMES)
    surv = [util.Surv.from_arrays(e, t) for t, e in (rest, (test[0][kept], test[1][kept]))]
    curves = survival_curves(*rest, risk[~tested], risk[tested], times)
    inner = times[(times > test[0].min()) & (times < test[0].max())]
    _, expected = metrics.brier_score(*surv, curves[kept][:, np.isin(times, inner)], inner)
    found = brier_by_hand(rest, test, curves, times)[kept][:, np.isin(times, inner)]
    assert found.mean(0) == pytest.approx(expected)


def brier_by_hand(rest: tuple[Array, Array], test: tuple[Array, Array], curves: Array, times: Array) -> Array:
    """Squared errors (n, T), patient by patient and time by time."""
    errors = np.zeros(curves.shape)
    for i, (time, event) in enumerate(zip(*test, strict=True)):
        for k, now in enumerate(times):
            if time <= now and event:
                errors[i, k] = curves[i, k] ** 2 / uncensored_by_hand(*rest, time)
            elif time > now:
                errors[i, k] = (1 - curves[i, k]) ** 2 / uncensored_by_hand(*rest, now)
    return errors


def test_errors_are_those_of_single_patients_and_times() -> None:
    cohort, risk = case(2, 60)
    rest, test = sides(cohort)
    tested, times = cohort.split == TEST, np.linspace(0, float(np.quantile(rest[0], HORIZON)), TIMES)
    curves = survival_curves(*rest, risk[~tested], risk[tested], times)
    errors = brier_by_hand(rest, test, curves, times)
    between = (errors[:, 1:] + errors[:, :-1]) / 2
    found = weigh(cohort, risk)
    assert found.error == pytest.approx(between.mean(1))
    assert found.error.mean() < found.trivial_error.mean()


def test_a_useless_risk_has_the_error_of_the_kaplan_meier_curve() -> None:
    cohort, risk = case(3)
    found = weigh(cohort, np.zeros_like(risk))
    assert found.error == pytest.approx(found.trivial_error)
    shuffled = weigh(cohort, np.random.default_rng(0).permutation(risk))
    assert shuffled.error.mean() > found.trivial_error.mean() - 0.02


def test_weights_count_deaths_before_the_horizon_alone() -> None:
    cohort, risk = case(4)
    found = weigh(cohort, risk)
    (rest, _), (time, event) = sides(cohort)
    after = time >= np.quantile(rest, HORIZON)
    assert (found.weight[after] == 0).all()
    assert (found.weight[~event] == 0).all()
    assert (found.weight[event & ~after] >= 1).all()
    assert weigh(cohort, np.exp(risk)).weight == pytest.approx(found.weight)


def test_influence_with_weights_agrees_with_the_jackknife() -> None:
    cohort, risk = case(5)
    _, (time, event) = sides(cohort)
    tested, weight = risk[cohort.split == TEST], weigh(cohort, risk).weight
    found = concordance_influence(time, event, tested, weight)
    kept = [np.delete(np.arange(len(time)), i) for i in range(len(time))]
    without = [weighted_concordance(time[k], event[k], tested[k], weight[k]) for k in kept]
    assert found.sum() == pytest.approx(0, abs=1e-9)
    assert np.corrcoef(found, -np.array(without))[0, 1] > 0.99
