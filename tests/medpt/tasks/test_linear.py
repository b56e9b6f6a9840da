"""Linear models on fixed features against scikit-learn's own predictions, and on classes that are absent."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from medpt.tasks import linear

NAN = float("nan")


def _features(seed: int, count: int = 60) -> np.ndarray:
    return np.random.default_rng(seed).normal(3, 5, (count, 4))


@pytest.mark.parametrize("classes", [2, 3])
def test_scores_equal_those_of_a_pipeline_of_scikit_learn(classes: int) -> None:
    features, other = _features(0), _features(1)
    labels = np.random.default_rng(2).integers(0, classes, len(features))
    oracle = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", max_iter=500))
    oracle.fit(features, labels)
    model = linear.fit_classes(features, labels, classes, 0.1)
    np.testing.assert_allclose(model.scores(other), oracle.predict_proba(other), atol=1e-9)


def test_class_without_rows_is_never_predicted() -> None:
    labels = np.arange(60) % 2 * 2
    scores = linear.fit_classes(_features(0), labels, 4, 1.0).scores(_features(1))
    assert scores[:, [1, 3]].max() < 1e-9
    np.testing.assert_allclose(scores.sum(1), 1)


def test_single_class_is_always_predicted() -> None:
    scores = linear.fit_classes(_features(0), np.ones(60, int), 2, 1.0).scores(_features(1))
    np.testing.assert_allclose(scores[:, 1], 1)


def test_strength_is_the_one_with_the_highest_validation_score(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    def fit(features: np.ndarray, labels: np.ndarray, classes: int, strength: float) -> linear.LinearModel:
        asked.append(strength)
        good = strength == linear.STRENGTHS[0]
        return linear.LinearModel(np.eye(4)[:, :2] * (1 if good else -1), np.zeros(2))

    monkeypatch.setattr(linear, "fit_strength", fit)
    features = _features(0)
    labels = (features[:, 1] > features[:, 0]).astype(int)
    linear.fit(features, labels, [str(n) for n in range(60)], 2)
    assert asked == [*linear.STRENGTHS, linear.STRENGTHS[0]]


def test_findings_are_fitted_one_by_one_on_what_is_known() -> None:
    features = _features(0)
    labels = (features[:, :2] > 3).astype(np.float32)
    labels[::3, 0] = NAN
    model = linear.fit(features, labels, [str(n) for n in range(60)], 2)
    known = ~np.isnan(labels[:, 0])
    alone = linear.fit_classes(features[known], labels[known, 0].astype(int), 2, 10.0)
    assert model.several
    assert linear.macro_auc_of_known(model.scores(features), labels) > 0.95
    np.testing.assert_allclose(model.scores(features)[:, 0] > 0.5, alone.scores(features)[:, 1] > 0.5)
