from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from bags import awkward, c_of_test, censored_validation, leaks, planted, shuffled, tiny_encoder

from medpt.errors import InputError
from medpt.models.registry import build_encoder
from medpt.survival import wsisa
from medpt.survival.study import TRAIN, Prediction, Study
from medpt.survival.wsisa import (
    ClusterNet,
    Expert,
    Options,
    patient_features,
    phenotypes,
    predict,
    selected,
    thumbnails,
)

FAST = Options(k=2, learning_rate=1e-3, epochs=4, components=8)
SHORT = replace(FAST, epochs=1)


def test_planted_risk_is_found() -> None:
    prediction = predict(planted(1), replace(FAST, k=3))
    assert c_of_test(planted(1), prediction) >= 0.75
    assert prediction.facts["best_cluster_val_c_index"] > 0.6
    assert 1 <= prediction.facts["clusters"] <= 3


def test_shuffled_follow_up_leaves_chance() -> None:
    studies = [shuffled(planted(seed)) for seed in range(3)]
    studies = [replace(study, time=study.time / 4) for study in studies]  # few intervals: MTLSA is quick
    assert abs(np.mean([c_of_test(study, predict(study, SHORT)) for study in studies]) - 0.5) <= 0.1


def instead_of_mtlsa(
    x: np.ndarray, time: np.ndarray, event: np.ndarray, everyone: np.ndarray, seed: int
) -> Prediction:
    """A risk that shows every feature; MTLSA has its own tests."""
    return Prediction(everyone @ np.arange(1, everyone.shape[1] + 1) + time.sum(), {})


def test_equal_seeds_give_equal_risks_whatever_becomes_of_the_test_patients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wsisa.mtlsa, "predict_from", instead_of_mtlsa)
    assert not leaks(planted(1), partial(predict, options=SHORT))


def test_patients_without_patches_get_the_median_risk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wsisa.mtlsa, "predict_from", instead_of_mtlsa)
    study = awkward(planted(1))
    prediction = predict(study, SHORT)
    empty = [row for row, patches in enumerate(study.bags) if not len(patches)]
    seen = np.setdiff1d(study.rows(TRAIN), empty)
    assert prediction.facts["without_patches"] == len(empty) == 3
    np.testing.assert_array_equal(prediction.risk[empty], np.median(prediction.risk[seen]))


def test_without_a_death_in_validation_all_clusters_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wsisa.mtlsa, "predict_from", instead_of_mtlsa)
    facts = predict(censored_validation(planted(1)), SHORT).facts
    assert facts["clusters"] == 2
    assert np.isnan(facts["best_cluster_val_c_index"])


def test_no_patient_is_twice_in_a_batch_and_only_training_patches_train(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study, batches = planted(1), []
    loaded = wsisa.load
    monkeypatch.setattr(
        wsisa, "load", lambda images, rows, *rest: batches.append(rows) or loaded(images, rows, *rest)
    )
    monkeypatch.setattr(wsisa.mtlsa, "predict_from", instead_of_mtlsa)
    predict(study, replace(SHORT, batch_patches=20))
    assert batches
    for rows in batches:
        assert len(set(study.patient[rows])) == len(rows) <= 20
        assert (study.split[study.patient[rows]] == TRAIN).all()
    labels = phenotypes(study, np.asarray(study.images), SHORT)
    assert {len(set(labels[rows])) for rows in batches} == {1}


@pytest.mark.parametrize(
    ("scores", "kept"),
    [
        ([0.6, 0.5, 0.4, 0.51], [True, False, False, True]),
        ([0.3, 0.45, 0.2], [False, True, False]),
        ([0.3, np.nan, 0.2], [True, False, False]),
        ([np.nan, np.nan], [True, True]),
        ([0.5], [True]),
    ],
)
def test_which_clusters_are_kept(scores: list[float], kept: list[bool]) -> None:
    assert selected(scores) == kept


def test_no_cluster_to_learn_from_is_an_error() -> None:
    with pytest.raises(InputError, match="in no cluster"):
        predict(replace(planted(1), event=np.zeros(120, bool)), SHORT)


def test_features_of_patients_weigh_clusters_by_share() -> None:
    one = Expert(0.6, np.array([3, 0, 0]), np.array([[1.0, 2], [0, 0], [0, 0]]))
    two = Expert(0.7, np.array([1, 5, 0]), np.array([[4.0, 8], [5, 6], [0, 0]]))
    np.testing.assert_allclose(patient_features([one, two]), [[0.75, 1.5, 1, 2], [0, 0, 5, 6], [0, 0, 0, 0]])


def test_thumbnails_are_area_averages() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 100, 100, 3)).astype(np.uint8)
    expected = images[[2, 0]].reshape(2, 50, 2, 50, 2, 3).mean((2, 4)) / 255
    found = thumbnails(images, np.array([2, 0]))
    assert (found.shape, found.dtype) == ((2, 7500), np.float32)
    np.testing.assert_allclose(found, expected.reshape(2, -1), atol=0.51 / 255)


def test_phenotypes_come_from_training_patches_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    study, images = planted(1), np.asarray(planted(1).images)
    trained = study.split[study.patient] == TRAIN
    altered = np.where(trained[:, None, None, None], images, 255 - images)
    one, two = phenotypes(study, images, FAST), phenotypes(study, altered, FAST)
    np.testing.assert_array_equal(one[trained], two[trained])
    assert (one[~trained] != two[~trained]).any()


def test_expert_tells_mean_activations_and_the_risk_of_them() -> None:
    study, images = planted(1), np.asarray(planted(1).images)
    members = np.arange(0, len(images), 3)
    torch.manual_seed(1)
    network = ClusterNet(tiny_encoder()).eval()
    bags = {row: members[study.patient[members] == row] for row in range(120)}
    fit = wsisa._Fit(
        study, FAST, images, bags, study.rows(TRAIN), network, torch.optim.SGD(network.parameters()), 0
    )
    counts, means = fit.summary(np.arange(5))
    for row in range(5):
        with torch.no_grad():
            expected = network.activations(wsisa.load(images, bags[row], "cpu")).mean(0)
        assert counts[row] == len(bags[row])
        np.testing.assert_allclose(means[row], expected, atol=1e-5)
    assert not counts[5:].any()
    assert not means[5:].any()


def test_real_network_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    study: Study = replace(planted(1, (20, 4, 4), 4), encoder=partial(build_encoder, "resnet18"))
    monkeypatch.setattr(wsisa.mtlsa, "predict_from", instead_of_mtlsa)
    assert np.isfinite(predict(study, SHORT).risk).all()
