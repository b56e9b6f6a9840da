import numpy as np
import pytest
from scipy.optimize import check_grad

from medpt.errors import InputError
from medpt.survival import ridge
from medpt.survival.concordance import concordance_index

pytestmark = pytest.mark.usefixtures("one_thread")


def patients(n: int = 120, p: int = 6, effect: float = 1.0, seed: int = 0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    x = rng.normal(3, 5, (n, p))
    death, leaving = rng.exponential(np.exp(-effect * (x[:, 0] - 3) / 5)), rng.exponential(2, n)
    return x, np.minimum(death, leaving), death <= leaving


@pytest.mark.parametrize("penalty", [1e-3, 0.1, 3.0])
def test_weights_are_those_of_lifelines(penalty: float) -> None:
    import pandas as pd
    from lifelines import CoxPHFitter

    x, time, event = patients()
    z = (x - x.mean(0)) / x.std(0)
    table = pd.DataFrame(z).assign(time=time, event=event)
    theirs = CoxPHFitter(penalizer=penalty * event.sum() / len(event)).fit(table, "time", "event")
    ours = ridge.fit(x, time, event, penalty)
    np.testing.assert_allclose(ours.weights, theirs.params_ / 1.0, atol=2e-3)
    np.testing.assert_allclose(ours(x), z @ ours.weights)


def test_the_gradient_is_that_of_the_loss() -> None:
    _, time, event = patients(40)
    time = np.ceil(time * 5)
    at_risk = time >= time[event][:, None]
    start = np.random.default_rng(1).normal(size=40)
    difference = check_grad(
        lambda risk: ridge._loss(risk, at_risk, event)[0],
        lambda risk: ridge._loss(risk, at_risk, event)[1],
        start,
    )
    assert difference < 1e-6
    huge = ridge._loss(start + 5000, at_risk, event)[0]
    assert huge == pytest.approx(ridge._loss(start, at_risk, event)[0], abs=1e-6)


def test_a_constant_column_gets_no_weight() -> None:
    x, time, event = patients()
    x[:, 3] = 7
    assert ridge.fit(x, time, event, 0.1).weights[3] == 0


def test_cross_validation_finds_the_planted_risk_and_shrinks_noise() -> None:
    x, time, event = patients(260, 30)
    model = ridge.fit_cv(x[:130], time[:130], event[:130], 0)
    assert concordance_index(time[130:], event[130:], model(x[130:])) >= 0.7
    strong = ridge.fit(x, time, event, ridge.PENALTIES[0])
    assert np.abs(strong.weights).max() < 0.02 < np.abs(model.weights).max()


def test_without_deaths_it_says_so() -> None:
    x, time, event = patients()
    with pytest.raises(InputError, match="0 deaths"):
        ridge.fit_cv(x, time, event & False, 0)
