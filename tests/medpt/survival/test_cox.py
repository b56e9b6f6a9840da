from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from cohorts import index_of_test_part, planted, real_labels, study
from hypothesis import given
from hypothesis import strategies as st
from lifelines import CoxPHFitter
from statsmodels.duration.hazard_regression import PHReg

from medpt.errors import InputError
from medpt.survival.concordance import concordance_index
from medpt.survival.cox import PENALTIES, Options, cox_loss, fit_ridge, fit_ridge_cv, predict
from medpt.survival.study import TRAIN, Study

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def batch(seed: int, n: int = 20, tied: bool = True) -> Batch:
    rng = np.random.default_rng(seed)
    time = rng.integers(1, 8, n).astype(float) if tied else rng.permutation(n) + 1.0
    event = rng.random(n) < 0.6
    event[0] = True
    return torch.tensor(rng.normal(size=n)), torch.tensor(time), torch.tensor(event)


def naive(risk: torch.Tensor, time: torch.Tensor, event: torch.Tensor) -> float:
    total = 0.0
    for i in range(len(risk)):
        if event[i]:
            at_risk = [float(risk[j].exp()) for j in range(len(risk)) if time[j] >= time[i]]
            total += np.log(sum(at_risk)) - float(risk[i])
    return total / int(event.sum())


@given(st.integers(0, 10_000))
def test_cox_loss_equals_sum_over_deaths(seed: int) -> None:
    assert float(cox_loss(*batch(seed))) == pytest.approx(naive(*batch(seed)), abs=1e-12)


def test_cox_loss_equals_likelihood_of_lifelines_without_ties() -> None:
    risk, time, event = batch(3, tied=False)
    frame = pd.DataFrame({"x": risk, "t": time, "e": event})
    fitted = CoxPHFitter().fit(frame, "t", "e")
    loss = cox_loss(risk * fitted.params_["x"], time, event)
    assert float(loss) * int(event.sum()) == pytest.approx(-fitted.log_likelihood_, abs=1e-8)


def test_cox_loss_equals_breslow_likelihood_of_statsmodels_with_ties() -> None:
    risk, time, event = batch(5)
    model = PHReg(time.numpy(), risk.numpy()[:, None], status=event.numpy(), ties="breslow")
    assert float(cox_loss(risk, time, event)) * int(event.sum()) == pytest.approx(-model.loglike([1.0]))


def test_cox_loss_depends_on_events() -> None:
    risk, time, event = batch(5)
    other = event.clone()
    other[[int(event.int().argmax()), int(event.int().argmin())]] = torch.tensor([False, True])
    assert abs(float(cox_loss(risk, time, event)) - float(cox_loss(risk, time, other))) > 1e-3


@given(st.integers(0, 10_000), st.floats(-50, 50))
def test_cox_loss_ignores_added_constant_and_its_gradient_sums_to_zero(seed: int, constant: float) -> None:
    risk, time, event = batch(seed)
    assert float(cox_loss(risk + constant, time, event)) == pytest.approx(float(cox_loss(risk, time, event)))
    risk.requires_grad_()
    cox_loss(risk, time, event).backward()
    assert risk.grad is not None
    assert float(risk.grad.abs().sum()) > 0
    assert float(risk.grad.sum()) == pytest.approx(0, abs=1e-12)


def test_cox_loss_is_finite_for_large_bfloat16_risks() -> None:
    risk, time, event = batch(1)
    loss = cox_loss((risk * 1000).to(torch.bfloat16), time, event)
    assert loss.dtype == torch.float32
    assert bool(loss.isfinite())


def test_cox_loss_is_zero_with_zero_gradient_without_deaths() -> None:
    risk, time, event = batch(1)
    loss = cox_loss(risk.requires_grad_(), time, torch.zeros_like(event))
    loss.backward()
    assert risk.grad is not None
    assert (loss.item(), float(risk.grad.abs().sum())) == (0.0, 0.0)


def test_cox_loss_refuses_shapes_that_would_broadcast() -> None:
    risk, time, event = batch(1)
    with pytest.raises(InputError, match="shapes"):
        cox_loss(risk[:, None], time, event)


def patients(n: int = 120, p: int = 6, effect: float = 1.0, seed: int = 0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    x = rng.normal(3, 5, (n, p))
    death, leaving = rng.exponential(np.exp(-effect * (x[:, 0] - 3) / 5)), rng.exponential(2, n)
    return x, np.minimum(death, leaving), death <= leaving


@pytest.mark.parametrize("penalty", [1e-3, 0.1, 3.0])
def test_ridge_weights_equal_those_of_lifelines(penalty: float) -> None:
    x, time, event = patients()
    z = (x - x.mean(0)) / x.std(0)
    table = pd.DataFrame(z).assign(time=time, event=event)
    theirs = CoxPHFitter(penalizer=penalty * event.sum() / len(event)).fit(table, "time", "event")
    ours = fit_ridge(x, time, event, penalty)
    np.testing.assert_allclose(ours.weights, theirs.params_ / 1.0, atol=2e-3)
    np.testing.assert_allclose(ours(x), z @ ours.weights)


def test_ridge_gives_constant_column_no_weight() -> None:
    x, time, event = patients()
    x[:, 3] = 7
    assert fit_ridge(x, time, event, 0.1).weights[3] == 0


def test_ridge_cv_finds_planted_risk_and_shrinks_noise() -> None:
    x, time, event = patients(260, 30)
    model = fit_ridge_cv(x[:130], time[:130], event[:130], 0)
    assert concordance_index(time[130:], event[130:], model(x[130:])) >= 0.7
    strong = fit_ridge(x, time, event, PENALTIES[0])
    assert np.abs(strong.weights).max() < 0.02 < np.abs(model.weights).max()


def test_ridge_cv_refuses_patients_without_deaths() -> None:
    x, time, event = patients()
    with pytest.raises(InputError, match="0 deaths"):
        fit_ridge_cv(x, time, event & False, 0)


def by_lifelines(one: Study) -> np.ndarray:
    """The log hazards of lifelines' ridge regression on columns standardized on the training set."""
    x = np.column_stack([one.clinical[name] for name in one.clinical])
    rows = one.rows(TRAIN)
    x = (x - x[rows].mean(0)) / x[rows].std(0)
    frame = pd.DataFrame(x).assign(time=one.time, event=one.event)
    deaths_share = one.event[rows].mean()
    fitter = CoxPHFitter(penalizer=Options().penalty * deaths_share).fit(frame.iloc[rows], "time", "event")
    return x @ fitter.params_.to_numpy()


def test_baseline_equals_ridge_regression_of_lifelines() -> None:
    one = study(planted(2), 2)
    prediction = predict(one)
    assert prediction.risk == pytest.approx(by_lifelines(one), abs=0.02)
    assert np.std(prediction.risk) > 1


def test_baseline_finds_planted_risk() -> None:
    for seed in range(3):
        one = study(planted(seed, 240), seed)
        prediction = predict(one)
        assert index_of_test_part(one, prediction) >= 0.7
        assert prediction.facts["columns"] == 6


def test_baseline_scores_chance_on_shuffled_times() -> None:
    studies = [study(planted(seed, shuffled=True), seed) for seed in range(6)]
    assert np.mean([index_of_test_part(one, predict(one)) for one in studies]) == pytest.approx(0.5, abs=0.1)


@pytest.mark.real
def test_baseline_scores_chance_on_noise_with_real_labels(real: Path) -> None:
    time, event = real_labels(real)
    found = []
    for seed in range(4):
        noise = np.random.default_rng(seed).normal(size=(len(time), 1))
        one = study((noise, time, event), seed, patches=1)
        found.append(index_of_test_part(one, predict(one)))
    assert np.mean(found) == pytest.approx(0.5, abs=0.1)


def test_baseline_fills_unknown_value_with_training_median() -> None:
    one = study(planted(1), 1)
    age = one.clinical["column-0"].copy()
    row = int(one.rows(TRAIN)[3])
    age[row] = np.nan
    filled = age.copy()
    filled[row] = np.median(np.delete(age[one.rows(TRAIN)], 3))
    given, by_hand = (predict(replace(one, clinical={"age": values})) for values in (age, filled))
    assert (given.risk == by_hand.risk).all()
    assert given.facts["unknown"] == pytest.approx(1 / 120)


def test_baseline_reads_training_follow_up_and_given_columns_only() -> None:
    one = study(planted(1), 1)
    blind = replace(
        one, time=np.where(one.split == TRAIN, one.time, 1.0), event=one.event & (one.split == TRAIN)
    )
    assert (predict(one).risk == predict(blind).risk).all()
    age = replace(one, clinical={"column-1": one.clinical["column-1"]})
    assert (predict(one, Options(columns=("column-1",))).risk == predict(age).risk).all()


def test_baseline_drops_constant_columns_and_refuses_if_none_is_left() -> None:
    one = study(planted(1), 1)
    dull = {"grade": np.full(120, 2.0), "age": np.full(120, np.nan)}
    assert predict(replace(one, clinical={**one.clinical, **dull})).risk == pytest.approx(predict(one).risk)
    with pytest.raises(InputError, match="columns grade, age: each has fewer than two"):
        predict(replace(one, clinical=dull))
    with pytest.raises(InputError, match="columns none"):
        predict(replace(one, clinical={}))
    with pytest.raises(InputError, match="column 'agee': did you mean age"):
        predict(replace(one, clinical=dull), Options(columns=("agee",)))
