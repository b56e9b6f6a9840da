"""Phenotypes: clusters of patch features, fitted on training patches and assigned to all patches.

Features are scaled to unit vectors and reduced to their first 50 principal components, in which both
clusterings work. Fitting reads the given sample only. Equal seeds give equal clusters.
"""

import warnings
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from medpt.errors import InputError

Assign = Callable[[NDArray[np.floating]], NDArray[np.intp]]
"""A function from features (n, d) to clusters (n,) in 0..k-1."""

COMPONENTS = 50
SAMPLED_PER_PATIENT = 200
SPECTRAL_PATCHES = 5_000
GRAPH_NEIGHBOURS = 10
VOTERS = 5
CHUNK = 16_384  # rows that are float64 at a time


def sample(bags: Sequence[NDArray[np.intp]], at_most: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Draw at most `at_most` patches of each bag without replacement, bag after bag."""
    return np.concatenate([rng.permutation(bag)[:at_most] for bag in bags])


def kmeans(features: NDArray[np.floating], k: int, seed: int, whiten: bool = False) -> Assign:
    """Fit `k_centres` to the principal components; `whiten` gives each component unit variance first."""
    _require_patches(features, k, k)
    project = principal(features, COMPONENTS, whiten)
    assign = k_centres(project(features), k, seed)
    return _by_chunks(lambda chunk: assign(project(chunk)))


def k_centres(points: NDArray[np.floating], k: int, seed: int) -> Assign:
    """Fit k-means to `points` as they are, with ten k-means++ starts; InputError for fewer than k points."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    _require_patches(points, k, k)
    with threadpool_limits(1, "openmp"):  # threads would add up distances in any order
        model = KMeans(k, n_init=10, random_state=seed % 2**32).fit(points)
    return lambda others: model.predict(others)


def spectral(features: NDArray[np.floating], k: int, seed: int) -> Assign:
    """Fit normalised cuts of the graph of 10 nearest neighbours of at most 5,000 patches, drawn by `seed`.

    k-means of k eigenvectors of the symmetric normalised Laplacian (Shi and Malik 2000, solved by
    scikit-learn). A patch gets the cluster of its five nearest sampled patches, weighted by 1/distance, so
    that a sampled patch keeps its own. Raises InputError for fewer than k + 2 patches.
    """
    from sklearn.cluster import SpectralClustering
    from sklearn.neighbors import KNeighborsClassifier
    from threadpoolctl import threadpool_limits

    _require_patches(features, k + 2, k)
    drawn = np.random.default_rng(seed).permutation(len(features))[:SPECTRAL_PATCHES]
    project = principal(features[drawn], COMPONENTS)
    points = project(features[drawn])
    neighbours = min(GRAPH_NEIGHBOURS, len(points))
    model = SpectralClustering(
        k, affinity="nearest_neighbors", n_neighbors=neighbours, random_state=seed % 2**32
    )
    with threadpool_limits(1, "openmp"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Graph is not fully connected")  # its pieces are clusters
        labels = model.fit_predict(points)
    voters = KNeighborsClassifier(min(VOTERS, len(points)), weights="distance").fit(points, labels)
    return _by_chunks(lambda chunk: voters.predict(project(chunk)))


CLUSTERINGS: dict[str, Callable[[NDArray[np.floating], int, int], Assign]] = {"km": kmeans, "sp": spectral}
"""`fit(features of a sample (n, d), k, seed)`, by the names of the paper's Table 5."""


def principal(
    features: NDArray[np.floating], components: int, whiten: bool = False
) -> Callable[[NDArray[np.floating]], NDArray[np.float64]]:
    """Fit principal axes of unit vectors; return the map (n, d) to (n, m), m = min(components, n, d)."""
    from sklearn.decomposition import PCA

    points = unit(features)
    model = PCA(min(components, *points.shape), whiten=whiten, svd_solver="covariance_eigh").fit(points)
    return lambda chunk: model.transform(unit(chunk)).astype(np.float64)


def unit(features: NDArray[np.floating]) -> NDArray[np.floating]:
    """Scale rows to length 1; a row of zeros stays."""
    values = features.astype(np.float32)
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return values / np.where(length > 0, length, 1)


def _by_chunks(assign: Assign) -> Assign:
    def assign_all(features: NDArray[np.floating]) -> NDArray[np.intp]:
        starts = range(0, len(features), CHUNK)
        parts = [assign(features[start : start + CHUNK]) for start in starts]
        return np.concatenate([np.empty(0, np.intp), *parts]).astype(np.intp)

    return assign_all


def _require_patches(features: NDArray[np.floating], least: int, k: int) -> None:
    if len(features) < least:
        raise InputError(
            f"clusters: {len(features)} training patches for {k} clusters; at least {least} are accepted"
        )
