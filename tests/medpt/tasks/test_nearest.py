"""Nearest neighbours against a loop over images, and against scikit-learn."""

import math

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from medpt.tasks import nearest
from medpt.tasks.nearest import find_neighbours

NAN = float("nan")
RNG = np.random.default_rng(0)
TRAINING, OTHER = RNG.normal(size=(40, 5)), RNG.normal(size=(9, 5))


def oracle(labels: np.ndarray, classes: int, count: int, temperature: float) -> list[list[float]]:
    """Vote image by image and class by class."""
    found = []
    for image in OTHER:
        cosines = [float(image @ t / np.linalg.norm(image) / np.linalg.norm(t)) for t in TRAINING]
        voters = sorted(range(len(TRAINING)), key=lambda n: -cosines[n])[:count]
        shares = []
        for k in range(classes):
            answers = [float(labels[n, k] if labels.ndim == 2 else labels[n] == k) for n in voters]
            weights = [math.exp(cosines[n] / temperature) for n in voters]
            known = [(w, a) for w, a in zip(weights, answers, strict=True) if not math.isnan(a)]
            total = sum(w for w, _ in known)
            shares.append(sum(w * a for w, a in known) / total if known else 0.5)
        found.append(shares)
    return found


@pytest.mark.parametrize("count", [1, 7, 40, 100])
def test_votes_of_classes_equal_those_of_a_loop(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(nearest, "QUERIES", 4)
    labels = RNG.integers(0, 3, len(TRAINING))
    scores = find_neighbours(TRAINING, OTHER, 100).scores(labels, 3, count, 0.07)
    np.testing.assert_allclose(scores, oracle(labels, 3, count, 0.07), atol=1e-9)
    np.testing.assert_allclose(scores.sum(1), 1)


def test_votes_of_findings_count_where_a_label_is_known() -> None:
    labels = RNG.integers(0, 2, (len(TRAINING), 2)).astype(np.float32)
    labels[::3, 0] = NAN
    labels[:, 1] = NAN
    scores = find_neighbours(TRAINING, OTHER, 6).scores(labels, 2, 6, 0.5)
    np.testing.assert_allclose(scores, oracle(labels, 2, 6, 0.5), atol=1e-9)
    assert (scores[:, 1] == 0.5).all()


def test_votes_equal_those_of_scikit_learn() -> None:
    labels = RNG.integers(0, 2, len(TRAINING))
    model = KNeighborsClassifier(7, metric="cosine", weights=lambda distance: np.exp((1 - distance) / 0.07))
    expected = model.fit(TRAINING, labels).predict_proba(OTHER)
    found = find_neighbours(TRAINING, OTHER, 7).scores(labels, 2, 7, 0.07)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_features_of_zeros_have_a_score() -> None:
    scores = find_neighbours(TRAINING, np.zeros((1, 5)), 3).scores(np.zeros(40, int), 2, 3, 0.07)
    assert scores.tolist() == [[1.0, 0.0]]
