import lifelines
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.duration.hazard_regression import PHReg

from medpt.errors import InputError
from medpt.survival.cox import cox_loss

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
def test_it_is_the_sum_over_deaths_of_their_risk_sets(seed: int) -> None:
    assert float(cox_loss(*batch(seed))) == pytest.approx(naive(*batch(seed)), abs=1e-12)


def test_it_is_the_partial_likelihood_of_lifelines_where_no_times_are_tied() -> None:
    risk, time, event = batch(3, tied=False)
    frame = pd.DataFrame({"x": risk, "t": time, "e": event})
    fitted = lifelines.CoxPHFitter().fit(frame, "t", "e")
    loss = cox_loss(risk * fitted.params_["x"], time, event)
    assert float(loss) * int(event.sum()) == pytest.approx(-fitted.log_likelihood_, abs=1e-8)


def test_it_is_the_likelihood_of_breslow_where_times_are_tied() -> None:
    risk, time, event = batch(5)
    model = PHReg(time.numpy(), risk.numpy()[:, None], status=event.numpy(), ties="breslow")
    assert float(cox_loss(risk, time, event)) * int(event.sum()) == pytest.approx(-model.loglike([1.0]))


def test_it_depends_on_who_died() -> None:
    risk, time, event = batch(5)
    other = event.clone()
    other[[int(event.int().argmax()), int(event.int().argmin())]] = torch.tensor([False, True])
    assert abs(float(cox_loss(risk, time, event)) - float(cox_loss(risk, time, other))) > 1e-3


@given(st.integers(0, 10_000), st.floats(-50, 50))
def test_a_constant_changes_nothing_and_the_gradient_sums_to_zero(seed: int, constant: float) -> None:
    risk, time, event = batch(seed)
    assert float(cox_loss(risk + constant, time, event)) == pytest.approx(float(cox_loss(risk, time, event)))
    risk.requires_grad_()
    cox_loss(risk, time, event).backward()
    assert risk.grad is not None
    assert float(risk.grad.abs().sum()) > 0
    assert float(risk.grad.sum()) == pytest.approx(0, abs=1e-12)


def test_large_risks_in_half_precision_stay_finite() -> None:
    risk, time, event = batch(1)
    loss = cox_loss((risk * 1000).to(torch.bfloat16), time, event)
    assert loss.dtype == torch.float32
    assert bool(loss.isfinite())


def test_a_batch_without_a_death_has_no_loss_and_no_gradient() -> None:
    risk, time, event = batch(1)
    loss = cox_loss(risk.requires_grad_(), time, torch.zeros_like(event))
    loss.backward()
    assert risk.grad is not None
    assert (loss.item(), float(risk.grad.abs().sum())) == (0.0, 0.0)


def test_shapes_that_would_broadcast_are_refused() -> None:
    risk, time, event = batch(1)
    with pytest.raises(InputError, match="shapes"):
        cox_loss(risk[:, None], time, event)
