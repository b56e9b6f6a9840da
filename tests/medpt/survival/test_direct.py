from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from bags import awkward, c_of_test, censored_validation, leaks, planted, shuffled
from hypothesis import given
from hypothesis import strategies as st

from medpt.errors import InputError
from medpt.models.registry import build_encoder
from medpt.survival import direct
from medpt.survival.direct import Options, choose_patches, patient_vectors, phenotypes, predict
from medpt.survival.study import TRAIN, VALIDATION, Study

FAST = Options(learning_rate=3e-3, epochs=10)
SHORT = replace(FAST, epochs=2)
FROZEN = Options(frozen=True)
VARIANTS = {
    "km": FAST,
    "spectral": replace(FAST, clustering="sp"),
    "frozen km": FROZEN,
    "frozen spectral": replace(FROZEN, clustering="sp"),
}


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_planted_risk_is_found(options: Options) -> None:
    assert c_of_test(planted(1), predict(planted(1), options)) >= 0.75


@pytest.mark.parametrize("options", [SHORT, FROZEN], ids=["trained", "frozen"])
def test_shuffled_follow_up_leaves_chance(options: Options) -> None:
    studies = [shuffled(planted(seed)) for seed in range(4)]
    assert abs(np.mean([c_of_test(study, predict(study, options)) for study in studies]) - 0.5) <= 0.1


@pytest.mark.parametrize("options", [SHORT, FROZEN], ids=["trained", "frozen"])
def test_equal_seeds_give_equal_risks_whatever_becomes_of_the_test_patients(options: Options) -> None:
    assert not leaks(planted(1), partial(predict, options=options))
    other = predict(replace(planted(1), seed=2), options)
    assert options.frozen or not np.array_equal(other.risk, predict(planted(1), options).risk)


@pytest.mark.parametrize("options", [SHORT, FROZEN], ids=["trained", "frozen"])
def test_patients_without_patches_get_the_median_risk(options: Options) -> None:
    study = awkward(planted(1))
    prediction = predict(study, options)
    empty = [row for row, bag in enumerate(study.bags) if not len(bag)]
    seen = np.setdiff1d(study.rows(TRAIN), empty)
    assert prediction.facts["without_patches"] == len(empty) == 3
    np.testing.assert_array_equal(prediction.risk[empty], np.median(prediction.risk[seen]))
    assert np.isfinite(prediction.risk).all()


def test_without_a_death_in_validation_it_trains_to_the_end() -> None:
    prediction = predict(censored_validation(planted(1)), SHORT)
    assert prediction.facts["epoch"] == 2
    assert np.isnan(prediction.facts["val_c_index"])
    nobody = replace(planted(1), split=np.where(planted(1).split == VALIDATION, TRAIN, planted(1).split))
    assert predict(nobody, SHORT).facts["epoch"] == 2


def test_validation_chooses_the_epoch_and_its_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    fits: list[int] = []
    counted = direct.CLUSTERINGS["km"]
    monkeypatch.setitem(direct.CLUSTERINGS, "km", lambda *inputs: fits.append(1) or counted(*inputs))
    scores = iter([0.5, 0.9, 0.1, 0.1, 0.1, 0.5, 0.9])
    monkeypatch.setattr(direct, "c_index", lambda *_: next(scores))
    options = replace(FAST, epochs=5, least_epochs=1, recluster_every=2, patience=9, judged_per_cluster=1)
    prediction = predict(planted(1), options)
    assert len(fits) == 3  # at the start and before epochs 3 and 5
    alone = predict(planted(1), replace(options, epochs=2))
    assert prediction.facts == alone.facts == {"epoch": 2, "val_c_index": 0.9, "without_patches": 0}
    np.testing.assert_array_equal(prediction.risk, alone.risk)


def test_patience_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.5, 0.8, 0.8, 0.7, 0.9])
    monkeypatch.setattr(direct, "c_index", lambda *_: next(scores))
    assert predict(planted(1), replace(FAST, least_epochs=1, patience=2)).facts == {
        "epoch": 2,
        "val_c_index": 0.8,
        "without_patches": 0,
    }


def test_first_epochs_are_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.6, 0.5, 0.7, 0.9, 0.1])
    monkeypatch.setattr(direct, "c_index", lambda *_: next(scores))
    facts = predict(planted(1), replace(FAST, epochs=4, least_epochs=3)).facts
    assert (facts["epoch"], facts["val_c_index"]) == (3, 0.6)
    assert predict(planted(1), replace(FAST, epochs=3, least_epochs=9)).facts["epoch"] == 3


def test_real_network_trains_end_to_end() -> None:
    study = replace(planted(1, (8, 4, 4), 4), encoder=partial(build_encoder, "resnet18"))
    prediction = predict(study, Options(k=3, epochs=1))
    assert np.isfinite(prediction.risk).all()
    assert len(set(prediction.risk.tolist())) == 16


def test_clusters_are_fitted_on_training_patches() -> None:
    study = awkward(planted(1))
    assert (study.split[study.patient[direct._sampled(study)]] == TRAIN).all()
    assert len(direct._sampled(study)) == 58 * 12 + 1


def study_of(bags: list[int]) -> Study:
    patients = len(bags)
    return Study(
        patients=tuple(map(str, range(patients))),
        time=np.ones(patients),
        event=np.ones(patients, bool),
        split=np.zeros(patients, np.int8),
        patient=np.repeat(np.arange(patients, dtype=np.int32), bags),
    )


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(1, 4), st.integers(0, 99))
def test_weights_share_a_patient_by_what_its_clusters_hold(bags: list[int], k: int, seed: int) -> None:
    study, rng = study_of(bags), np.random.default_rng(seed)
    labels = rng.integers(k, size=sum(bags))
    everyone = np.arange(len(bags))
    rows, owner, weight = choose_patches(study, everyone, labels, lambda members: members)
    np.testing.assert_array_equal(study.patient[rows], owner)
    np.testing.assert_allclose(weight, 1 / np.array(bags)[owner], rtol=1e-6)
    rows, owner, weight = choose_patches(study, everyone, labels, lambda members: rng.choice(members, 1))
    for row, place, share in zip(rows, owner, weight, strict=True):
        own = labels[study.patient == place]
        assert share == pytest.approx((own == labels[row]).mean(), rel=1e-6)
    assert len(rows) == sum(len(set(labels[study.patient == row])) for row in everyone)


def test_frozen_vector_is_shares_then_means() -> None:
    study = awkward(planted(1))
    assert study.features is not None
    options = Options(k=3, components=4, frozen=True)
    found, labels = (
        patient_vectors(study, study.features, options),
        phenotypes(study, study.features, options),
    )
    reduced = direct.principal(study.features[direct._sampled(study)], 4)(study.features)
    assert found.shape == (len(study.patients), 3 + 3 * 4)
    for row, bag in enumerate(study.bags):
        for cluster in range(3):
            members = bag[labels[bag] == cluster]
            share = len(members) / len(bag) if len(bag) else 0
            mean = reduced[members].mean(0) if len(members) else np.zeros(4)
            assert found[row, cluster] == pytest.approx(share)
            np.testing.assert_allclose(found[row, 3 + 4 * cluster : 7 + 4 * cluster], mean, atol=1e-9)


def test_risk_of_a_patient_is_that_of_its_mean_feature() -> None:
    fit = direct._Fit.start(planted(1), FAST)
    found = fit.risks(np.arange(5))
    fit.network.eval()
    for row, bag in enumerate(planted(1).bags[:5]):
        images = direct.load(fit.images, bag, "cpu")
        with torch.no_grad():
            risk = fit.network(images, torch.full((1, len(bag)), 1 / len(bag)))
        assert found[row] == pytest.approx(risk.item(), abs=1e-5)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"images": None, "encoder": None}, FAST, "no images given\n.*no encoder given"),
        ({"features": None}, FROZEN, "no features given"),
        ({"split": np.full(120, VALIDATION, np.int8)}, FAST, "no training patient has a patch"),
        ({}, Options(clustering="kmeans"), "clustering: .kmeans.; .*km"),
    ],
)
def test_what_is_missing_is_named(change: dict[str, Any], options: Options, message: str) -> None:
    with pytest.raises(InputError, match=message):
        predict(replace(planted(1), **change), options)
