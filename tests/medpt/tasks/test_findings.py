"""Several findings of an image: loss and metrics against loops over what is known, and a fine-tuning."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from memory_inputs import MemoryInputs, job_in
from sklearn.metrics import roc_auc_score
from training_sets import findings

from medpt import influence, metrics
from medpt.losses import balanced_binary_cross_entropy
from medpt.protocol import TrainingProtocol
from medpt.specs import Finetune
from medpt.tasks.supervised import finding_weights
from medpt.units import finetune
from medpt.units.base import ITEMS

NAN = float("nan")
PROTOCOL = TrainingProtocol(
    batch_size=8, learning_rate=1e-3, patience=9, min_steps=0, max_steps=16, evaluate_every=8
)
SPEC = Finetune(
    "random", None, "Toy", "data", "resnet18", "classifier", protocol=PROTOCOL, metric="macro_auc"
)


@given(seed=st.integers(0, 1000), share=st.floats(0, 0.6))
def test_loss_is_the_weighted_mean_over_known_labels(seed: int, share: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(6, 3, generator=generator)
    target = torch.randint(0, 2, (6, 3), generator=generator).float()
    target[torch.rand(6, 3, generator=generator) < share] = NAN
    weights = torch.rand(3, 2, generator=generator) + 0.1
    total = norm = 0.0
    for n in range(6):
        for k in range(3):
            if not target[n, k].isnan():
                w = weights[k, int(target[n, k])]
                total += float(w * F.binary_cross_entropy_with_logits(logits[n, k], target[n, k]))
                norm += float(w)
    expected = total / norm if norm else 0.0
    assert float(balanced_binary_cross_entropy(logits, target, weights)) == pytest.approx(expected, rel=1e-5)


def test_unknown_labels_have_no_gradient() -> None:
    logits = torch.zeros(2, 2, requires_grad=True)
    target = torch.tensor([[1.0, NAN], [NAN, NAN]])
    balanced_binary_cross_entropy(logits, target, torch.ones(2, 2)).backward()
    assert logits.grad is not None
    assert (logits.grad != 0).tolist() == [[True, False], [False, False]]


@given(seed=st.integers(0, 1000))
def test_aucs_are_those_of_scikit_learn_over_known_labels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, labels = rng.integers(0, 6, (30, 3)) / 5, rng.integers(0, 2, (30, 3)).astype(np.float32)
    labels[rng.random((30, 3)) < 0.3] = NAN
    known = ~np.isnan(labels)
    each = [
        roc_auc_score(labels[k, n], scores[k, n]) if len(set(labels[k, n])) == 2 else NAN
        for n, k in enumerate(known.T)
    ]
    np.testing.assert_allclose(metrics.finding_aucs(scores, labels), each)
    assert metrics.findings_macro_auc(scores, labels) == pytest.approx(np.nanmean(each))
    assert metrics.findings_micro_auc(scores, labels) == pytest.approx(
        roc_auc_score(labels[known], scores[known])
    )


@pytest.mark.parametrize(
    ("metric", "of_items"),
    [
        (metrics.findings_macro_auc, influence.findings_macro_auc_influence),
        (metrics.findings_micro_auc, influence.findings_micro_auc_influence),
    ],
)
def test_influence_is_what_leaving_an_image_out_changes(metric, of_items) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (400, 3)).astype(np.float32)
    labels[rng.random((400, 3)) < 0.2] = NAN
    scores = rng.normal(size=(400, 3)) + np.nan_to_num(labels)
    found = of_items(scores, labels)
    rows = np.arange(400)
    left_out = [metric(scores[rows != n], labels[rows != n]) for n in rows]
    assert found.sum() == pytest.approx(0, abs=1e-9)
    jackknife = 399 * (np.mean(left_out) - np.array(left_out))
    assert np.corrcoef(found, jackknife)[0, 1] > 0.999
    assert found.std() == pytest.approx(jackknife.std(), rel=0.03)


def test_weights_balance_each_finding_over_known_labels() -> None:
    loader = findings()
    rows = loader.index.rows("train")
    weights = finding_weights(loader.index, rows, "inverse_frequency", (0.1, 10.0))
    for column, (absent, present) in zip(loader.index.labels[rows].T, weights.tolist(), strict=True):
        assert absent * (column == 0).sum() == pytest.approx(present * (column == 1).sum())


def test_fine_tuning_learns_findings_and_stores_them_with_unknown_labels(tmp_path: Path) -> None:
    loader = findings(48, 16)
    found = finetune.run(SPEC, MemoryInputs({"data": loader}), job_in(tmp_path))
    assert found["macro_auc"] > 0.8
    assert "val_macro_auc" in found
    with np.load(tmp_path / "out" / ITEMS) as stored:
        np.testing.assert_array_equal(stored["labels"], loader.index.labels[48:])
        assert found["macro_auc"] == metrics.findings_macro_auc(stored["scores"], stored["labels"])
