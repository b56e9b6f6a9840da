import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from medpt.analysis import h_score, logme
from medpt.errors import InputError


def problem(n: int, d: int, classes: int, signal: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    centres = rng.standard_normal((classes, d))
    return rng.standard_normal((n, d)) * np.geomspace(1, 0.1, d) + signal * centres[labels], labels


def direct_logme(F: np.ndarray, labels: np.ndarray) -> float:
    """Each class's log evidence, from the dense covariance of y, maximised over both precisions."""
    n = len(F)

    def loss(logs: np.ndarray, y: np.ndarray) -> float:
        alpha, beta = np.exp(logs)
        covariance = np.eye(n) / beta + F @ F.T / alpha
        _, logdet = np.linalg.slogdet(covariance)
        return float(n * np.log(2 * np.pi) + logdet + y @ np.linalg.solve(covariance, y)) / 2 / n

    best = []
    for k in np.unique(labels):
        y = (labels == k).astype(float)
        starts = [(a, b) for a in (-2.0, 2.0, 6.0) for b in (0.0, 4.0)]
        options = {"xatol": 1e-7, "fatol": 1e-12, "maxiter": 2000}
        found = [minimize(loss, start, (y,), method="Nelder-Mead", options=options).fun for start in starts]
        best.append(-min(found))
    return float(np.mean(best))


def authors_logme(F: np.ndarray, labels: np.ndarray) -> float:
    """The fixed point of You et al. 2021, algorithm 1."""
    n, d = F.shape
    U, s, Vt = np.linalg.svd(F, full_matrices=False)
    found = []
    for k in np.unique(labels):
        y = (labels == k).astype(float)
        alpha = beta = 1.0
        for _ in range(5000):
            t = alpha / beta
            gamma = (s**2 / (s**2 + t)).sum()
            m = Vt.T @ (s * (U.T @ y) / (s**2 + t))
            alpha, beta = gamma / (m @ m), (n - gamma) / ((F @ m - y) ** 2).sum()
        A = alpha * np.eye(d) + beta * F.T @ F
        m = beta * np.linalg.solve(A, F.T @ y)
        evidence = n / 2 * np.log(beta) + d / 2 * np.log(alpha) - n / 2 * np.log(2 * np.pi)
        evidence -= beta / 2 * ((F @ m - y) ** 2).sum() + alpha / 2 * m @ m + np.linalg.slogdet(A)[1] / 2
        found.append(evidence / n)
    return float(np.mean(found))


@pytest.mark.parametrize(("n", "d", "classes"), [(60, 5, 2), (60, 12, 3), (24, 40, 2)])
def test_logme_is_the_maximum_evidence(n: int, d: int, classes: int) -> None:
    features, labels = problem(n, d, classes, 0.7)
    assert logme(features, labels) == pytest.approx(direct_logme(features, labels), abs=1e-6)


@pytest.mark.parametrize(("n", "d", "classes"), [(200, 5, 2), (150, 20, 4)])
def test_logme_is_that_of_its_authors(n: int, d: int, classes: int) -> None:
    features, labels = problem(n, d, classes, 0.7)
    assert logme(features, labels) == pytest.approx(authors_logme(features, labels), abs=1e-6)


def test_h_score_is_its_definition() -> None:
    features, labels = problem(300, 6, 3, 0.5)
    within = sum(np.cov(features[labels == k].T, bias=True) * (labels == k).mean() for k in range(3))
    total = np.cov(features.T, bias=True)
    assert h_score(features, labels) == pytest.approx(np.trace(np.linalg.solve(total, total - within)))


@pytest.mark.parametrize("score", [logme, h_score])
def test_more_signal_scores_higher(score: object) -> None:
    found = [score(*problem(400, 10, 4, signal)) for signal in (0.0, 0.3, 1.0, 3.0)]  # type: ignore[operator]
    assert found == sorted(found)
    assert found[-1] > found[0] + 0.1


def test_h_score_of_separated_classes_is_their_number_less_one() -> None:
    features, labels = problem(400, 10, 4, 1e4)
    assert h_score(features, labels) == pytest.approx(3, abs=1e-3)


@given(st.integers(2, 5), st.integers(1, 8), st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_scores_are_blind_to_rotation_order_and_scale(classes: int, d: int, seed: int) -> None:
    features, labels = problem(40, d, classes, 0.5, seed)
    rng = np.random.default_rng(seed)
    turned = features @ np.linalg.qr(rng.standard_normal((d, d)))[0] * 7
    order = rng.permutation(40)
    for score in (logme, h_score):
        assert score(turned[order], labels[order]) == pytest.approx(score(features, labels), abs=1e-6)
    assert 0 <= h_score(features, labels) <= min(d, classes - 1) + 1e-9


def test_h_score_takes_copied_columns() -> None:
    features, labels = problem(100, 4, 3, 0.5)
    assert h_score(np.hstack([features, features]), labels) == pytest.approx(h_score(features, labels))


def test_what_is_no_classification_is_refused() -> None:
    with pytest.raises(InputError, match=r"features \(3, 2\) and labels \(4,\)"):
        logme(np.ones((3, 2)), [0, 1, 0, 1])
    with pytest.raises(InputError) as caught:
        h_score(np.array([[np.inf], [1.0]]), [7, 7])
    assert caught.value.problems == [
        "features hold what is no finite number",
        "labels are all 7; two classes or more are needed",
    ]
