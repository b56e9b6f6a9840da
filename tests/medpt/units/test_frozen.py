"""Frozen evaluation against scikit-learn on the same features, with the value of C or k chosen in a loop."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memory_inputs import MemoryInputs, job_in
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from training_sets import findings, shades

from medpt.data.arrays import Loader
from medpt.errors import InputError
from medpt.specs import Frozen
from medpt.tasks.supervised import hold_out
from medpt.units import frozen
from medpt.units.base import ITEMS
from medpt.units.finetune import training_rows

PROBE = Frozen("random", None, "Toy", "data", "features", "resnet18", "linear_probe", metric="macro_auc")
KNN = replace(PROBE, mode="knn", neighbours=(1, 5, 20), temperature=0.07, strengths=None)


def features_of(loader: Loader) -> np.ndarray:
    """Return features (N, 6) that say something of the first label, with noise."""
    first = np.nan_to_num(loader.index.labels.reshape(len(loader.index), -1)[:, :1])
    noise = np.random.default_rng(1).normal(0, 1, (len(first), 6))
    return (first + noise).astype(np.float32)


def run(spec: Frozen, loader: Loader, folder: Path) -> tuple[dict[str, float], dict[str, Any]]:
    inputs = MemoryInputs({"data": loader}, matrices={"features": features_of(loader)})
    metrics = frozen.run(spec, inputs, job_in(folder))
    return metrics, json.loads((folder / "out" / "record.json").read_text())


def model(spec: Frozen, value: float) -> Any:
    if spec.mode == "linear_probe":
        logistic = LogisticRegression(C=value, class_weight="balanced", max_iter=500)
        return make_pipeline(StandardScaler(), logistic)
    return KNeighborsClassifier(int(value), metric="cosine", weights=lambda d: np.exp((1 - d) / 0.07))


@pytest.mark.parametrize("spec", [PROBE, replace(KNN, seed=2), replace(PROBE, target_size=0.5, seed=1)])
def test_scores_are_those_of_scikit_learn_with_the_best_value(spec: Frozen, tmp_path: Path) -> None:
    loader = shades(120, 40)
    metrics, record = run(spec, loader, tmp_path)
    features, index = features_of(loader), loader.index
    rows, test = training_rows(spec, loader), index.rows("test")
    train, val = hold_out(index, rows, 0.1, spec.seed, metric="macro_auc")
    values = spec.strengths or spec.neighbours or ()
    found = [
        roc_auc_score(
            index.labels[val],
            model(spec, v).fit(features[train], index.labels[train]).predict_proba(features[val])[:, 1],
        )
        for v in values
    ]
    chosen = values[int(np.argmax(found))]
    expected = model(spec, chosen).fit(features[rows], index.labels[rows]).predict_proba(features[test])
    with np.load(tmp_path / "out" / ITEMS) as items:
        np.testing.assert_allclose(items["scores"], expected, atol=2e-3)
        assert items["labels"].tolist() == index.labels[test].tolist()
    assert record["val_macro_auc"] == pytest.approx(found, abs=1e-6)
    assert (record["chosen"], record["train_images"], record["val_images"]) == (chosen, len(train), len(val))
    assert metrics["val_macro_auc"] == pytest.approx(max(found), abs=1e-6)
    assert metrics["macro_auc"] == pytest.approx(roc_auc_score(index.labels[test], expected[:, 1]), abs=1e-2)


@pytest.mark.parametrize("spec", [replace(PROBE, metric=None), replace(KNN, metric=None)])
def test_several_findings_are_scored(spec: Frozen, tmp_path: Path) -> None:
    metrics, record = run(spec, findings(60, 30), tmp_path)
    assert metrics["auc"] > 0.6
    assert len(record["val_auc"]) == len(record["values"])


def test_without_validation_set_the_middle_value_is_taken(tmp_path: Path) -> None:
    metrics, record = run(replace(KNN, validation_fraction=0.0), shades(30, 10), tmp_path)
    assert record["chosen"] == 5
    assert record["val_macro_auc"] == []
    assert not any(name.startswith("val_") for name in metrics)


def test_scores_of_patients_are_those_of_their_images_averaged(tmp_path: Path) -> None:
    loader = shades(40, 12)
    loader.index.groups[:] = [f"p{label}{n // 4}" for n, label in enumerate(loader.index.labels)]
    run(replace(KNN, evaluate_by="patient"), loader, tmp_path)
    with np.load(tmp_path / "out" / ITEMS) as items:
        assert len(items["scores"]) == len(set(loader.index.groups[loader.index.rows("test")]))


def test_first_of_equal_scores_is_chosen_and_the_middle_of_none() -> None:
    assert frozen.best_position([0.5, float("nan"), 0.7, 0.7], 4) == 2
    assert frozen.best_position([float("nan")] * 4, 4) == 2


def test_target_without_test_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="0 test images; both are needed"):
        run(PROBE, shades(12, 0), tmp_path)


def test_mode_removes_what_has_no_meaning_in_it() -> None:
    assert PROBE.neighbours is PROBE.temperature is None
    assert replace(KNN, strengths=(1.0,)) == KNN
    assert KNN.strengths is None
