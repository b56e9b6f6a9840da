"""Scores of features against slow definitions; rows of features against the maps they are read from."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch import nn

from medpt.analysis.transferability import BATCH, at_pixels, logme, pixels, pooled, transferability
from medpt.data.augment import normalise
from medpt.data.dataset import IGNORE
from medpt.errors import InputError
from medpt.models.registry import build_encoder

SIDE = 48


@pytest.fixture(scope="module")
def encoder() -> nn.Module:
    torch.manual_seed(0)
    return build_encoder("resnet18").eval()


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (BATCH + 5, SIDE, SIDE, 3)).astype(np.uint8)


def test_pooled_averages_the_last_map(encoder: nn.Module, images: np.ndarray) -> None:
    found = pooled(encoder, images)
    with torch.no_grad():
        for row in (0, BATCH, len(images) - 1):
            last = encoder(normalise(torch.tensor(images[row : row + 1])))[-1][0].double()
            np.testing.assert_allclose(found[row], last.sum((1, 2)) / last[0].numel(), atol=1e-5)


def test_at_pixels_reads_maps_at_their_positions(encoder: nn.Module, images: np.ndarray) -> None:
    places = np.random.default_rng(1).integers(0, SIDE, (len(images), 3, 2))
    found = at_pixels(encoder, images, places).reshape(len(images), 3, -1)
    for image, number in ((0, 2), (BATCH + 1, 0)):
        with torch.no_grad():
            maps = encoder(normalise(torch.tensor(images[image : image + 1])))
        row, column = places[image, number]
        scales = [SIDE / layer.shape[-1] for layer in maps]
        parts = [m[0, :, int(row / s), int(column / s)] for m, s in zip(maps, scales, strict=True)]
        np.testing.assert_allclose(found[image, number], torch.cat(parts).double(), atol=1e-5)


def test_pixels_draw_classes_evenly_and_skip_ignored() -> None:
    masks = np.zeros((50, SIDE, SIDE), np.uint8)
    masks[:, 3:5, 7] = 1
    masks[:, 20:] = IGNORE
    places = pixels(masks)
    assert places.shape == (50, 16, 2)
    drawn = masks[np.arange(50)[:, None], places[..., 0], places[..., 1]]
    assert set(np.unique(drawn)) == {0, 1}
    assert 0.43 < (drawn == 1).mean() < 0.57  # five standard deviations of 800 fair coins
    np.testing.assert_array_equal(places, pixels(masks))


def test_transferability_scores_labelled_pixels_only(encoder: nn.Module, images: np.ndarray) -> None:
    masks = (images[..., 0] > 127).astype(np.uint8)
    masks[3] = IGNORE
    score = transferability(encoder, images, masks)
    keep = np.arange(len(images)) != 3
    places = pixels(masks)
    rows = at_pixels(encoder, images[keep], places[keep])
    known = np.concatenate([masks[n][tuple(places[n].T)] for n in np.flatnonzero(keep)])
    assert score == pytest.approx(logme(rows, known), abs=1e-6)


def test_transferability_is_higher_for_encoder_that_sees_the_label(
    encoder: nn.Module, images: np.ndarray
) -> None:
    labels = np.arange(len(images)) % 2
    visible = images.copy()
    visible[labels == 1] //= 4
    blind = np.random.default_rng(2).permutation(labels)
    assert transferability(encoder, visible, labels) > transferability(encoder, visible, blind) + 0.3


def test_transferability_refuses_a_single_class(encoder: nn.Module, images: np.ndarray) -> None:
    with pytest.raises(InputError, match="two classes"):
        transferability(encoder, images[:8], np.zeros(8, np.int64))


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
def test_logme_equals_maximum_evidence(n: int, d: int, classes: int) -> None:
    features, labels = problem(n, d, classes, 0.7)
    assert logme(features, labels) == pytest.approx(direct_logme(features, labels), abs=1e-6)


@pytest.mark.parametrize(("n", "d", "classes"), [(200, 5, 2), (150, 20, 4)])
def test_logme_equals_fixed_point_of_its_authors(n: int, d: int, classes: int) -> None:
    features, labels = problem(n, d, classes, 0.7)
    assert logme(features, labels) == pytest.approx(authors_logme(features, labels), abs=1e-6)


def test_logme_is_higher_for_more_signal() -> None:
    found = [logme(*problem(400, 10, 4, signal)) for signal in (0.0, 0.3, 1.0, 3.0)]
    assert found == sorted(found)
    assert found[-1] > found[0] + 0.1


@given(st.integers(2, 5), st.integers(1, 8), st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_logme_ignores_rotation_order_and_scale(classes: int, d: int, seed: int) -> None:
    features, labels = problem(40, d, classes, 0.5, seed)
    rng = np.random.default_rng(seed)
    turned = features @ np.linalg.qr(rng.standard_normal((d, d)))[0] * 7
    order = rng.permutation(40)
    assert logme(turned[order], labels[order]) == pytest.approx(logme(features, labels), abs=1e-6)


def test_logme_refuses_what_is_no_classification() -> None:
    with pytest.raises(InputError, match=r"features \(3, 2\) and labels \(4,\)"):
        logme(np.ones((3, 2)), [0, 1, 0, 1])
    with pytest.raises(InputError) as caught:
        logme(np.array([[np.inf], [1.0]]), [7, 7])
    assert caught.value.problems == [
        "features are not finite",
        "labels are all 7; two classes or more are needed",
    ]
