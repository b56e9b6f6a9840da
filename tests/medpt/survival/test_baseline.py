from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cohorts import index_of_test_part, planted, real_labels, study
from lifelines import CoxPHFitter

from medpt.errors import InputError
from medpt.survival.baseline import Options, predict
from medpt.survival.study import TRAIN, Study


def by_lifelines(one: Study) -> np.ndarray:
    """The log hazards of lifelines' ridge regression on columns standardized on the training part."""
    x = np.column_stack([one.clinical[name] for name in one.clinical])
    rows = one.rows(TRAIN)
    x = (x - x[rows].mean(0)) / x[rows].std(0)
    frame = pd.DataFrame(x).assign(time=one.time, event=one.event)
    deaths_share = one.event[rows].mean()
    fitter = CoxPHFitter(penalizer=Options().penalty * deaths_share).fit(frame.iloc[rows], "time", "event")
    return x @ fitter.params_.to_numpy()


def test_it_is_lifelines_ridge_regression() -> None:
    one = study(planted(2), 2)
    prediction = predict(one)
    assert prediction.risk == pytest.approx(by_lifelines(one), abs=0.02)
    assert np.std(prediction.risk) > 1


def test_a_planted_risk_is_found() -> None:
    for seed in range(3):
        one = study(planted(seed, 240), seed)
        prediction = predict(one)
        assert index_of_test_part(one, prediction) >= 0.7
        assert prediction.facts["columns"] == 6


def test_shuffled_times_leave_nothing_to_find() -> None:
    studies = [study(planted(seed, shuffled=True), seed) for seed in range(6)]
    assert np.mean([index_of_test_part(one, predict(one)) for one in studies]) == pytest.approx(0.5, abs=0.1)


@pytest.mark.real
def test_noise_says_nothing_of_the_real_labels(real: Path) -> None:
    time, event = real_labels(real)
    found = []
    for seed in range(4):
        noise = np.random.default_rng(seed).normal(size=(len(time), 1))
        one = study((noise, time, event), seed, patches=1)
        found.append(index_of_test_part(one, predict(one)))
    assert np.mean(found) == pytest.approx(0.5, abs=0.1)


def test_a_value_unknown_is_the_training_part_s_median() -> None:
    one = study(planted(1), 1)
    age = one.clinical["column-0"].copy()
    row = int(one.rows(TRAIN)[3])
    age[row] = np.nan
    filled = age.copy()
    filled[row] = np.median(np.delete(age[one.rows(TRAIN)], 3))
    given, by_hand = (predict(replace(one, clinical={"age": values})) for values in (age, filled))
    assert (given.risk == by_hand.risk).all()
    assert given.facts["unknown"] == pytest.approx(1 / 120)


def test_only_the_training_part_and_the_columns_asked_for_decide() -> None:
    one = study(planted(1), 1)
    blind = replace(
        one, time=np.where(one.part == TRAIN, one.time, 1.0), event=one.event & (one.part == TRAIN)
    )
    assert (predict(one).risk == predict(blind).risk).all()
    age = replace(one, clinical={"column-1": one.clinical["column-1"]})
    assert (predict(one, Options(columns=("column-1",))).risk == predict(age).risk).all()


def test_columns_that_tell_nothing_are_left_out_or_refused() -> None:
    one = study(planted(1), 1)
    dull = {"grade": np.full(120, 2.0), "age": np.full(120, np.nan)}
    assert predict(replace(one, clinical={**one.clinical, **dull})).risk == pytest.approx(predict(one).risk)
    with pytest.raises(InputError, match="columns grade, age: accepted: two values"):
        predict(replace(one, clinical=dull))
    with pytest.raises(InputError, match="columns none"):
        predict(replace(one, clinical={}))
    with pytest.raises(InputError, match="column 'agee': did you mean age"):
        predict(replace(one, clinical=dull), Options(columns=("agee",)))
