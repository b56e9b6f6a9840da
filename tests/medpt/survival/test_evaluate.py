from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from cohorts import planted, study
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines import KaplanMeierFitter

from medpt.errors import DivergedError
from medpt.survival import evaluate as module
from medpt.survival.censoring import weigh
from medpt.survival.concordance import concordance_index, strict_concordance_index
from medpt.survival.evaluate import (
    bootstrap_interval,
    concordance_influence,
    evaluate,
    kaplan_meier,
    risk_groups,
)
from medpt.survival.study import TEST, TRAIN, Study


def case(seed: int, patients: int = 120) -> tuple[Study, np.ndarray]:
    cohort = planted(seed, patients)
    return study(cohort, seed, patches=1), cohort[0][:, 0] - cohort[0][:, 1]


def metrics(cohort: Study, risk: np.ndarray) -> dict[str, float]:
    return dict(evaluate(cohort, risk, weigh(cohort, risk)))


def of_test_patients_alone(found: dict[str, float]) -> dict[str, float]:
    """Weights for censoring, and the curves of the Brier score, come from the other patients."""
    weighted = ("c_index_ipcw", "integrated_brier", "integrated_brier_trivial")
    return {name: value for name, value in found.items() if name not in weighted}


def test_every_number_is_of_the_test_set() -> None:
    cohort, risk = case(1)
    rows = cohort.rows(TEST)
    time, event = cohort.time[rows], cohort.event[rows]
    found = metrics(cohort, risk)
    assert found["c_index"] == concordance_index(time, event, risk[rows]) > 0.7
    assert found["c_index_strict"] == strict_concordance_index(time, event, risk[rows])
    assert found["c_index_flipped"] == pytest.approx(1 - found["c_index"])
    assert found["censoring"] == pytest.approx(1 - event.mean())
    assert found["c_index_low"] < found["c_index"] < found["c_index_high"]
    assert found["logrank_p"] < 0.05
    elsewhere = np.where(cohort.split == TEST, risk, np.median(risk[cohort.rows(TRAIN)]))
    assert of_test_patients_alone(metrics(cohort, elsewhere)) == of_test_patients_alone(found)


def test_random_control_scatters_around_a_half() -> None:
    found = [metrics(*case(seed, 60))["c_index_random"] for seed in range(12)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.08)
    assert np.std(found) > 0.02


def test_interval_is_that_of_indices_of_resampled_patients() -> None:
    rng = np.random.default_rng(0)
    time, event, risk = rng.integers(1, 9, 30).astype(float), rng.random(30) < 0.5, rng.integers(0, 5, 30)
    draws = rng.integers(0, 30, (800, 30))
    slow = [concordance_index(time[draw], event[draw], risk[draw]) for draw in draws]
    expected = np.percentile(slow, [2.5, 97.5])
    assert bootstrap_interval(time, event, risk.astype(float), 0) == pytest.approx(expected, abs=0.02)


@given(st.integers(0, 10_000))
def test_pair_matrices_of_the_bootstrap_add_up_to_the_index(seed: int) -> None:
    rng = np.random.default_rng(seed)
    time, event, risk = rng.integers(1, 9, 30).astype(float), rng.random(30) < 0.8, rng.integers(0, 5, 30)
    comparable, credit = module._pair_matrices(time, event, risk.astype(float))
    assert credit.sum() / comparable.sum() == pytest.approx(concordance_index(time, event, risk))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 30))
def test_kaplan_meier_is_lifelines(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    time, event = rng.integers(1, 9, n).astype(float), rng.random(n) < 0.5
    times, survival = kaplan_meier(time, event)
    expected = KaplanMeierFitter().fit(time, event).survival_function_at_times(times).to_numpy()
    assert survival == pytest.approx(expected, abs=1e-12)


def logrank_by_hand(time: np.ndarray, event: np.ndarray, high: np.ndarray) -> float:
    """The chi-square statistic from one two-by-two table for each time of death."""
    surplus = variance = 0.0
    for now in np.unique(time[event]):
        at_risk, dying = time >= now, (time == now) & event
        n, m, d = at_risk.sum(), (at_risk & high).sum(), dying.sum()
        surplus += (dying & high).sum() - d * m / n
        variance += d * m / n * (1 - m / n) * (n - d) / (n - 1) if n > 1 else 0
    return surplus**2 / variance


def test_groups_are_cut_at_the_training_set_s_median() -> None:
    from scipy.stats import chi2

    cohort, risk = case(2)
    groups = risk_groups(cohort, risk)
    rows = cohort.rows(TEST)
    high = risk[rows] > np.median(risk[cohort.rows(TRAIN)])
    assert (groups.high.patients, groups.low.patients) == (high.sum(), (~high).sum())
    assert groups.high.deaths == cohort.event[rows][high].sum()
    expected = chi2.sf(logrank_by_hand(cohort.time[rows], cohort.event[rows], high), 1)
    assert groups.logrank_p == pytest.approx(expected, rel=1e-9)
    times, survival = kaplan_meier(cohort.time[rows][high], cohort.event[rows][high])
    assert (groups.high.time, groups.high.survival) == ((0, *times), (1, *survival))
    assert all(type(number) is float for number in asdict(groups)["low"]["survival"])


def test_constant_risk_has_one_group_and_no_p_value() -> None:
    cohort, risk = case(2)
    groups = risk_groups(cohort, np.zeros_like(risk))
    assert (groups.high.patients, groups.high.time) == (0, (0.0,))
    assert np.isnan(groups.logrank_p)
    found = metrics(cohort, np.zeros_like(risk))
    assert (found["c_index"], found["c_index_strict"]) == (0.5, 0.0)


def test_risks_that_are_no_numbers_are_a_divergence() -> None:
    cohort, risk = case(2)
    weighted = weigh(cohort, risk)
    with pytest.raises(DivergedError, match="1 of 120 predicted risks"):
        dict(evaluate(cohort, np.where(np.arange(120) == 3, np.inf, risk), weighted))


def test_follow_up_of_training_patients_does_not_matter() -> None:
    cohort, risk = case(4)
    other = replace(cohort, time=np.where(cohort.split == TEST, cohort.time, 1.0))
    found = [of_test_patients_alone(metrics(each, risk)) for each in (other, cohort)]
    assert found[0] == found[1]


def censored(seed: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    risk = rng.normal(size=n)
    death, end = rng.exponential(np.exp(-risk)), rng.exponential(2, n)
    return np.minimum(death, end), death < end, risk.round(1)


def test_concordance_influence_agrees_with_the_jackknife_of_torchsurv() -> None:
    """Not with its interval by Noether's method, which is twice as wide as its bootstrap."""
    torchsurv = pytest.importorskip("torchsurv.metrics.cindex")
    time, event, risk = censored(0, 60)
    found = concordance_influence(time, event, risk)
    tensors = [torch.from_numpy(values).float() for values in (risk, time)]
    tensors.insert(1, torch.from_numpy(event))

    def theirs(rows: np.ndarray) -> float:
        return float(torchsurv.ConcordanceIndex()(*(tensor[rows] for tensor in tensors)))

    kept = [np.delete(np.arange(60), i) for i in range(60)]
    without = np.array([concordance_index(time[rows], event[rows], risk[rows]) for rows in kept])
    assert [theirs(rows) for rows in kept[:3]] == pytest.approx(without[:3], abs=1e-6)
    assert found.sum() == pytest.approx(0, abs=1e-9)
    assert np.corrcoef(found, -without)[0, 1] > 0.999
    assert found.std() == pytest.approx(59 * without.std(), rel=0.05)


def test_concordance_influence_without_comparable_pairs_is_nan() -> None:
    assert np.isnan(concordance_influence(np.ones(3), np.zeros(3, bool), np.arange(3.0))).all()
