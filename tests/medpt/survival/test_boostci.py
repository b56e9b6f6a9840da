from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cohorts import index_of_test_part, planted, real_labels, study
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines import KaplanMeierFitter
from scipy.optimize import approx_fprime
from sksurv.metrics import concordance_index_ipcw

from medpt.errors import InputError
from medpt.survival.boostci import Options, boost, gradient, pair_weights, predict, smooth_index
from medpt.survival.study import TRAIN

FAST = Options(max_steps=60)


def cohort(seed: int, n: int = 25) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    event = rng.random(n) < 0.6
    event[0] = True
    return rng.integers(1, 12, n).astype(float), event, rng.normal(size=n)


def naive_weights(time: np.ndarray, event: np.ndarray, cap: float) -> np.ndarray:
    censoring = KaplanMeierFitter().fit(time, ~event)
    seen = censoring.survival_function_at_times(time).to_numpy()
    pairs = np.zeros((len(time), len(time)))
    for j in range(len(time)):
        for k in range(len(time)):
            if event[j] and j != k and time[j] <= time[k]:
                weight = min(1 / seen[j], cap) if seen[j] > 0 else cap
                pairs[j, k] = weight**2 * (0.5 if time[j] == time[k] else 1)
    return pairs / pairs.sum()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_pairs_weigh_the_inverse_square_of_the_chance_to_be_seen(seed: int) -> None:
    time, event, _ = cohort(seed)
    time[0] = 1.0
    assert pair_weights(time, event, 5.0) == pytest.approx(naive_weights(time, event, 5.0), abs=1e-12)


@given(st.integers(0, 10_000))
def test_gradient_is_that_of_finite_differences(seed: int) -> None:
    time, event, score = cohort(seed)
    pairs = pair_weights(time, event, 5.0)
    numeric = approx_fprime(score, lambda at: smooth_index(pairs, at, 0.5), 1e-7)
    assert gradient(pairs, score, 0.5) == pytest.approx(numeric, abs=1e-6)
    assert gradient(pairs, score, 0.5).sum() == pytest.approx(0, abs=1e-12)


def test_scores_far_apart_neither_overflow_nor_pull() -> None:
    time, event, score = cohort(0)
    with np.errstate(all="raise", under="ignore"):
        assert np.abs(gradient(pair_weights(time, event, 5.0), 1e6 * score, 0.1)).max() == 0


def test_sharp_sigmoid_is_uno_s_index() -> None:
    rng = np.random.default_rng(4)
    time, event, score = rng.permutation(60) + 1.0, rng.random(60) < 0.7, rng.normal(size=60)
    outcome = np.array(list(zip(event, time, strict=True)), [("event", "?"), ("time", "<f8")])
    uno = concordance_index_ipcw(outcome, outcome, -score)[0]
    assert smooth_index(pair_weights(time, event, np.inf), score, 1e-6) == pytest.approx(uno, abs=0.02)


def test_each_step_moves_the_one_feature_that_fits_the_gradient_best() -> None:
    x, time, event = planted(3, 50)
    options = replace(FAST, max_steps=30, sigma=0.3)
    x = (x - x.mean(0)) / x.std(0) * [1, 2, 0.5, 3, 1, 0.1]
    pairs = pair_weights(time, event, 5.0)
    before, climbed = np.zeros(6), []
    for weights in boost(x, time, event, options):
        slope = gradient(pairs, x @ before, 0.3)
        fits = [np.linalg.lstsq(x[:, [f]], slope, rcond=None) for f in range(6)]
        best = int(np.argmin([residual[0] for _, residual, *_ in fits]))
        assert np.flatnonzero(weights - before).tolist() == [best]
        assert weights[best] - before[best] == pytest.approx(0.1 * fits[best][0][0])
        climbed.append(smooth_index(pairs, x @ weights, 0.3))
        before = weights
    assert climbed == sorted(climbed)
    assert climbed[-1] > climbed[0]


def test_constant_feature_never_moves() -> None:
    x, time, event = planted(3, 50)
    x[:, 2] = 7.0
    weights = list(boost(x, time, event, FAST))[-1]
    assert weights[2] == 0
    assert np.isfinite(weights).all()


def test_planted_risk_is_found() -> None:
    for seed in range(2):
        found = study(planted(seed, 240), seed)
        prediction = predict(found, FAST)
        assert index_of_test_part(found, prediction) >= 0.7
        assert 1 <= prediction.facts["steps"] <= 60
        assert prediction.facts["cv_c_index"] > 0.7


def test_shuffled_times_leave_nothing_to_find() -> None:
    studies = [study(planted(seed, shuffled=True), seed) for seed in range(8)]
    found = [index_of_test_part(one, predict(one, replace(FAST, max_steps=20))) for one in studies]
    assert np.mean(found) == pytest.approx(0.5, abs=0.1)


@pytest.mark.real
def test_noise_says_nothing_of_the_real_labels(real: Path) -> None:
    time, event = real_labels(real)
    found = []
    for seed in range(4):
        noise = np.random.default_rng(seed).normal(size=(len(time), 3))
        one = study((noise, time, event), seed, patches=1)
        found.append(index_of_test_part(one, predict(one, replace(FAST, max_steps=10))))
    assert np.mean(found) == pytest.approx(0.5, abs=0.1)


def test_test_set_s_follow_up_is_not_looked_at() -> None:
    one = study(planted(1), 1)
    blind = replace(
        one, time=np.where(one.split == TRAIN, one.time, 1.0), event=one.event & (one.split == TRAIN)
    )
    assert (predict(one, FAST).risk == predict(blind, FAST).risk).all()


def test_patient_without_patches_has_the_median_risk() -> None:
    one = study(planted(1), 1)
    absent = int(one.rows(TRAIN)[0])
    kept = one.patient != absent
    assert one.handcrafted is not None
    fewer = replace(one, patient=one.patient[kept], handcrafted=one.handcrafted[kept])
    risk = predict(fewer, FAST).risk
    assert risk[absent] == np.median(np.delete(risk[one.rows(TRAIN)], 0))


def test_training_patients_who_all_live_are_refused() -> None:
    one = study(planted(1), 1)
    with pytest.raises(InputError, match="0 deaths of"):
        predict(replace(one, event=np.zeros_like(one.event)), FAST)
    with pytest.raises(InputError, match="no comparable pair"):
        pair_weights(one.time, np.zeros_like(one.event), 5.0)
