import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cohorts import index_of_test_part, planted, real_labels, study

from medpt.errors import InputError
from medpt.survival.forest import Options, predict
from medpt.survival.study import TRAIN

FAST = Options(trees=30, node_size=8)


def test_planted_risk_is_found() -> None:
    for seed in range(2):
        one = study(planted(seed, 200), seed)
        prediction = predict(one, FAST)
        assert index_of_test_part(one, prediction) >= 0.7
        assert prediction.facts == {"trees": 30.0}


def test_shuffled_times_leave_nothing_to_find() -> None:
    studies = [study(planted(seed, shuffled=True), seed) for seed in range(6)]
    assert np.mean([index_of_test_part(one, predict(one, FAST)) for one in studies]) == pytest.approx(
        0.5, abs=0.1
    )


@pytest.mark.real
def test_noise_says_nothing_of_the_real_labels(real: Path) -> None:
    time, event = real_labels(real)
    found = []
    for seed in range(4):
        noise = np.random.default_rng(seed).normal(size=(len(time), 3))
        one = study((noise, time, event), seed, patches=1)
        found.append(index_of_test_part(one, predict(one, replace(FAST, trees=15))))
    assert np.mean(found) == pytest.approx(0.5, abs=0.1)


def test_equal_seeds_grow_equal_forests_and_the_test_set_s_follow_up_is_not_looked_at() -> None:
    one = study(planted(1), 1)
    blind = replace(
        one, time=np.where(one.split == TRAIN, one.time, 1.0), event=one.event & (one.split == TRAIN)
    )
    risk = predict(one, FAST).risk
    assert (predict(blind, FAST).risk == risk).all()
    assert (predict(replace(one, seed=2), FAST).risk != risk).any()


def test_risk_is_the_ensemble_s_mortality() -> None:
    """One leaf: everyone's cumulative hazard is that of a bootstrap sample, about Nelson and Aalen's,
    summed over the times of death.
    """
    from sksurv.nonparametric import nelson_aalen_estimator

    one = study(planted(1), 1)
    rows = one.rows(TRAIN)
    prediction = predict(one, Options(trees=200, node_size=len(rows)))
    times, hazard = nelson_aalen_estimator(one.event[rows], one.time[rows])
    died = np.isin(times, one.time[rows][one.event[rows]])
    assert len(np.unique(prediction.risk)) == 1
    assert prediction.risk[0] == pytest.approx(hazard[died].sum(), rel=0.05)


def test_no_leaf_has_fewer_patients_than_the_node_size() -> None:
    one = study(planted(1, 200), 1)
    leaves = len(np.unique(predict(one, Options(trees=1, node_size=30)).risk))
    assert 2 <= leaves <= len(one.rows(TRAIN)) // 30


def test_patient_without_patches_has_the_median_risk() -> None:
    one = study(planted(1), 1)
    absent = int(one.rows(TRAIN)[0])
    kept = one.patient != absent
    assert one.handcrafted is not None
    risk = predict(replace(one, patient=one.patient[kept], handcrafted=one.handcrafted[kept]), FAST).risk
    assert risk[absent] == np.median(np.delete(risk[one.rows(TRAIN)], 0))


def test_what_cannot_be_grown_is_refused_with_words(monkeypatch: pytest.MonkeyPatch) -> None:
    one = study(planted(1), 1)
    with pytest.raises(InputError, match="training patients has an event"):
        predict(replace(one, event=np.zeros_like(one.event)), FAST)
    monkeypatch.setitem(sys.modules, "sksurv.ensemble", None)
    with pytest.raises(InputError, match=r"medpt-grid\[forest\]"):
        predict(one, FAST)
