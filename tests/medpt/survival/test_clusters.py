from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans, SpectralClustering
from sklearn.metrics import adjusted_rand_score

from medpt.errors import InputError
from medpt.survival import clusters
from medpt.survival.clusters import CLUSTERINGS, k_centres, kmeans, principal, sample, spectral, unit


def blobs(n: int = 120, d: int = 20, k: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Directions with noise, of random lengths; float16 as features are."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(k, size=n)
    directions = rng.normal(size=(k, d))[labels] + 0.15 * rng.normal(size=(n, d))
    return (directions * rng.uniform(1, 9, (n, 1))).astype(np.float16), labels


def cap_and_ring(n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """A cap of the sphere and a ring around it: no two centres tell them apart."""
    rng = np.random.default_rng(1)
    ring = np.arange(n) % 2 == 0
    polar = np.where(ring, 0.6 + 0.01 * rng.normal(size=n), 0.15 * np.sqrt(rng.random(n)))
    turn = rng.uniform(0, 2 * np.pi, n)
    x = np.stack([np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar)], 1)
    return x, ring


@pytest.mark.parametrize("name", CLUSTERINGS)
def test_phenotypes_are_found_and_given_to_patches_not_seen(name: str) -> None:
    features, labels = blobs()
    assign = CLUSTERINGS[name](features[:80], 3, 5)
    assert adjusted_rand_score(labels[:80], assign(features[:80])) == 1
    assert adjusted_rand_score(labels, assign(features)) == 1
    assert assign(features[:0]).shape == (0,)


@pytest.mark.parametrize("name", CLUSTERINGS)
def test_equal_seeds_give_equal_clusters_in_whatever_chunks(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = np.random.default_rng(0).normal(size=(150, 8))
    one, two = (CLUSTERINGS[name](features, 4, 9)(features) for _ in range(2))
    monkeypatch.setattr(clusters, "CHUNK", 7)
    chunked = CLUSTERINGS[name](features, 4, 9)(features)
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one, chunked)
    assert set(one) == {0, 1, 2, 3}


@pytest.mark.parametrize("name", CLUSTERINGS)
def test_length_of_a_feature_vector_says_nothing(name: str) -> None:
    features = np.random.default_rng(2).normal(size=(90, 6))
    longer = features * np.random.default_rng(3).uniform(0.5, 20, (90, 1))
    labels = [CLUSTERINGS[name](x, 3, 1)(x) for x in (features, longer)]
    assert adjusted_rand_score(*labels) > 0.95


def lloyd(points: np.ndarray, k: int, rng: np.random.Generator) -> float:
    """Inertia of one plain k-means from random points."""
    centres = points[rng.permutation(len(points))[:k]]
    for _ in range(100):
        nearest = ((points[:, None] - centres) ** 2).sum(2).argmin(1)
        centres = np.stack(
            [points[nearest == c].mean(0) if (nearest == c).any() else centres[c] for c in range(k)]
        )
    return float(((points[:, None] - centres) ** 2).sum(2).min(1).sum())


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1000))
def test_k_centres_are_as_good_as_the_best_of_ten_plain_runs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(60, 3))
    labels = k_centres(points, 4, seed)(points)
    centres = np.stack([points[labels == c].mean(0) for c in range(4)])
    distance = ((points[:, None] - centres) ** 2).sum(2)
    np.testing.assert_array_equal(labels, distance.argmin(1))
    assert distance.min(1).sum() <= 1.03 * min(lloyd(points, 4, rng) for _ in range(10))


def test_spectral_clusters_follow_the_graph_where_centres_cannot() -> None:
    points, ring = cap_and_ring()
    assign = spectral(points[:200], 2, 0)
    assert adjusted_rand_score(ring, assign(points)) == 1
    assert adjusted_rand_score(ring, kmeans(points, 2, 0)(points)) < 0.5


def test_spectral_clusters_are_those_of_the_dense_laplacian() -> None:
    points = np.random.default_rng(4).normal(size=(150, 2)) @ np.array([[1, 0, 0.2], [0, 0.3, 0]]) + [0, 0, 2]
    projected = principal(points, 50)(points)
    distance = ((projected[:, None] - projected) ** 2).sum(2)
    graph = np.zeros_like(distance)
    np.put_along_axis(graph, distance.argsort(1)[:, :10], 1, 1)
    graph = (graph + graph.T) / 2
    np.fill_diagonal(graph, 0)
    root = np.sqrt(graph.sum(1))
    _, vectors = np.linalg.eigh(np.eye(150) - graph / root[:, None] / root)
    expected = KMeans(3, n_init=10, random_state=0).fit_predict(vectors[:, :3] / root[:, None])
    assert adjusted_rand_score(expected, spectral(points, 3, 0)(points)) > 0.9


def test_sampled_patch_keeps_the_cluster_that_the_graph_gave_it() -> None:
    points = np.random.default_rng(6).normal(size=(120, 4))
    drawn = np.random.default_rng(3).permutation(120)
    graph = SpectralClustering(4, affinity="nearest_neighbors", n_neighbors=10, random_state=3)
    expected = graph.fit_predict(principal(points[drawn], 50)(points[drawn]))
    np.testing.assert_array_equal(spectral(points, 4, 3)(points[drawn]), expected)


def test_spectral_clusters_of_a_few_patches_serve_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "SPECTRAL_PATCHES", 100)
    points, ring = cap_and_ring(600)
    assert adjusted_rand_score(ring, spectral(points, 2, 0)(points)) > 0.98


@pytest.mark.parametrize("whiten", [False, True])
def test_principal_components_against_a_plain_svd(whiten: bool) -> None:
    features, _ = blobs(60, 9)
    points = features.astype(float) / np.linalg.norm(features.astype(float), axis=1, keepdims=True)
    u, s, _ = np.linalg.svd(points - points.mean(0), full_matrices=False)
    expected = u[:, :4] * (np.sqrt(59) if whiten else s[:4])
    found = principal(features, 4, whiten)(features)
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=2e-3 if whiten else 1e-4)


def test_unit_vectors_and_a_vector_of_zeros() -> None:
    np.testing.assert_allclose(unit(np.array([[3.0, 4.0], [0, 0]])), [[0.6, 0.8], [0, 0]], rtol=1e-6)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.integers(1, 5), st.integers(0, 99))
def test_sample_has_few_patches_of_each_patient_once(sizes: list[int], most: int, seed: int) -> None:
    bags = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    drawn = sample(bags, most, np.random.default_rng(seed))
    assert len(set(drawn.tolist())) == len(drawn)
    assert [np.isin(drawn, bag).sum() for bag in bags] == [min(size, most) for size in sizes]


@pytest.mark.parametrize(("fit", "least"), [(kmeans, 6), (spectral, 8)])
def test_too_few_patches_are_refused(fit: Callable[..., object], least: int) -> None:
    with pytest.raises(InputError, match=f"{least - 1} training patches for 6 clusters; at least {least}"):
        fit(np.random.default_rng(0).normal(size=(least - 1, 5)), 6, 0)
    fit(np.random.default_rng(0).normal(size=(least, 5)), 6, 0)
