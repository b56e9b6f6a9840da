from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from bags import awkward, c_of_test, censored_validation, leaks, planted, shuffled
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from medpt.errors import InputError
from medpt.survival.deepattnmisl import MislNet, Options, phenotypes, predict, total_l1
from medpt.survival.study import TRAIN

FAST = Options(learning_rate=2e-3, epochs=30)
SHORT = replace(FAST, epochs=4)


@pytest.mark.parametrize(("width", "parameters"), [(4096, 266_434), (512, 37_058), (1024, 69_826)])
def test_it_has_the_published_number_of_parameters(width: int, parameters: int) -> None:
    assert sum(weight.numel() for weight in MislNet(width, 10).parameters()) == parameters


def network(k: int = 4) -> MislNet:
    torch.manual_seed(2)
    return MislNet(6, k).eval()


def bag(seed: int, n: int = 20, patients: int = 3, k: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    patient = torch.cat(
        [torch.arange(patients), torch.randint(patients, (n - patients,), generator=generator)]
    )
    return torch.randn(n, 6, generator=generator), patient, torch.randint(k, (n,), generator=generator)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_neither_the_order_of_patches_nor_the_names_of_clusters_matter(seed: int) -> None:
    features, patient, cluster = bag(seed)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(seed))
    names = torch.randperm(4, generator=torch.Generator().manual_seed(seed + 1))
    risk = network()(features, patient, cluster, 3)
    torch.testing.assert_close(network()(features[order], patient[order], cluster[order], 3), risk)
    torch.testing.assert_close(network()(features, patient, names[cluster], 3), risk)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_empty_phenotypes_have_no_attention_and_the_others_share_it(seed: int) -> None:
    features, patient, cluster = bag(seed, n=6)
    pooled, attention = network().phenotypes(features, patient, cluster, 3)
    filled = torch.zeros(3, 4, dtype=torch.bool)
    filled[patient, cluster] = True
    torch.testing.assert_close(attention.sum(1), torch.ones(3))
    assert (attention[~filled] == 0).all()
    assert (attention[filled] > 0).all()
    assert (pooled[~filled] == 0).all()


def test_one_patient_at_a_time_by_the_publication() -> None:
    net, (features, patient, cluster) = network(), bag(3)
    expected = []
    for row in range(3):
        pooled = []
        for number in range(4):
            patches = features[(patient == row) & (cluster == number)]
            if len(patches):
                maps = torch.conv2d(
                    patches.T[None, :, None], net.embed[0].weight[..., None, None], net.embed[0].bias
                )
                pooled.append(maps.clamp(min=0).mean((2, 3))[0])
        scores = torch.stack([net.attend[2](torch.tanh(net.attend[0](h)))[0] for h in pooled])
        shares = scores.exp() / scores.exp().sum()
        z = sum(share * h for share, h in zip(shares, pooled, strict=True))
        expected.append(net.risk[3](net.risk[0](z).clamp(min=0))[0])
    torch.testing.assert_close(net(features, patient, cluster, 3), torch.stack(expected))


def test_gradients_stay_numbers_where_phenotypes_are_empty() -> None:
    net = network()
    features, patient, _ = bag(4)
    net(features, patient, torch.zeros(20, dtype=torch.long), 3).sum().backward()
    assert all(torch.isfinite(weight.grad).all() for weight in net.parameters() if weight.grad is not None)


def test_l1_term_covers_every_parameter() -> None:
    net = network()
    total_l1(net).backward()
    for weight in net.parameters():
        torch.testing.assert_close(weight.grad, weight.sign())
    flat = np.concatenate([weight.detach().numpy().ravel() for weight in net.parameters()])
    assert total_l1(net).item() == pytest.approx(np.abs(flat).sum(), rel=1e-5)


def test_planted_risk_is_found() -> None:
    assert c_of_test(planted(1), predict(planted(1), FAST)) >= 0.75


def test_shuffled_follow_up_leaves_chance() -> None:
    studies = [shuffled(planted(seed)) for seed in range(4)]
    assert abs(np.mean([c_of_test(study, predict(study, SHORT)) for study in studies]) - 0.5) <= 0.1


def test_equal_seeds_give_equal_risks_whatever_becomes_of_the_test_patients() -> None:
    assert not leaks(planted(1), partial(predict, options=SHORT))
    assert not np.array_equal(
        predict(planted(1), SHORT).risk, predict(replace(planted(1), seed=9), SHORT).risk
    )


def test_patients_without_patches_get_the_median_risk() -> None:
    study = awkward(planted(1))
    prediction = predict(study, SHORT)
    empty = [row for row, patches in enumerate(study.bags) if not len(patches)]
    seen = np.setdiff1d(study.rows(TRAIN), empty)
    assert prediction.facts["without_patches"] == len(empty) == 3
    np.testing.assert_array_equal(prediction.risk[empty], np.median(prediction.risk[seen]))


def test_without_a_death_in_validation_it_trains_to_the_end() -> None:
    facts = predict(censored_validation(planted(1)), SHORT).facts
    assert facts["epoch"] == 4
    assert np.isnan(facts["val_c_index"])


def test_phenotypes_come_from_training_patches_alone() -> None:
    study = planted(1)
    assert study.features is not None
    trained = study.split[study.patient] == TRAIN
    altered = np.where(trained[:, None], study.features, study.features[::-1])
    one, two = phenotypes(study, study.features, 5), phenotypes(study, altered, 5)
    np.testing.assert_array_equal(one[trained], two[trained])
    assert (one[~trained] != two[~trained]).any()


def test_features_are_needed() -> None:
    with pytest.raises(InputError, match="no features given"):
        predict(replace(planted(1), features=None))
