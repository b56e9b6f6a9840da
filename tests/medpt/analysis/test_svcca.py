import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medpt.analysis import noise_floor, svcca
from medpt.analysis.svcca import Covariances
from medpt.errors import InputError


def oracle(x: np.ndarray, y: np.ndarray, variance: float = 0.99) -> np.ndarray:
    """Plain SVDs: the singular values of the product of the two orthonormal bases."""
    bases = []
    for z in (x, y):
        u, s, _ = np.linalg.svd(z - z.mean(0), full_matrices=False)
        kept = int(np.argmax(np.cumsum(s**2) / (s**2).sum() >= variance * (1 - 1e-15))) + 1
        bases.append(u[:, : min(kept, int((s**2 >= 1e-10 * s[0] ** 2).sum()))])
    return np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def shared(seed: int, n: int, p: int, q: int) -> tuple[np.ndarray, np.ndarray]:
    """Two mixtures of some common sources, with means far from 0."""
    sources = normal(seed, n, 4)
    x = sources @ normal(seed + 1, 4, p) + 0.5 * normal(seed + 2, n, p) + 30
    y = sources @ normal(seed + 3, 4, q) + 0.5 * normal(seed + 4, n, q) - 7
    return x, y


def orthogonal(seed: int, p: int) -> np.ndarray:
    return np.linalg.qr(normal(seed, p, p))[0]


@pytest.mark.parametrize("variance", [0.99, 0.9, 1.0])
@pytest.mark.parametrize(("p", "q"), [(20, 20), (8, 30), (1, 5)])
def test_agrees_with_plain_svds(p: int, q: int, variance: float) -> None:
    x, y = shared(p, 700, p, q)
    np.testing.assert_allclose(svcca(x, y, variance), oracle(x, y, variance), atol=1e-8, rtol=0)


def test_agrees_with_plain_svds_where_the_condition_is_bad() -> None:
    """Standard deviations from 1 to 3e-5 in turned axes, around means of 100."""
    scales = np.geomspace(1, 3e-5, 16)
    sources = normal(0, 2000, 16)
    x = sources * scales @ orthogonal(1, 16) + 100
    y = (sources + normal(2, 2000, 16)) * scales @ orthogonal(3, 16) + 100
    expected = oracle(x, y, 1.0)
    assert len(expected) == 16
    np.testing.assert_allclose(svcca(x, y, 1.0), expected, atol=1e-4, rtol=0)


def test_itself_and_its_orthogonal_image_are_1() -> None:
    x, _ = shared(0, 5000, 64, 1)
    np.testing.assert_allclose(svcca(x, x), 1, atol=1e-10)
    np.testing.assert_allclose(svcca(x, x @ orthogonal(1, 64) * 3 + 2), 1, atol=1e-8)


@pytest.mark.parametrize(("rho", "mean"), [(0.5, 0.503), (0.9, 0.900)])
def test_planted_correlation_is_recovered(rho: float, mean: float) -> None:
    """analysis.md, section 1: measured for n = 5000, p = 64."""
    x, z = normal(0, 5000, 64), normal(1, 5000, 64)
    assert svcca(x, rho * x + np.sqrt(1 - rho**2) * z).mean() == pytest.approx(mean, abs=0.004)


def test_linear_map_is_1_only_without_truncation() -> None:
    x = normal(0, 4000, 12)
    mapped = x * np.geomspace(1, 1e-3, 12) @ orthogonal(1, 12)
    np.testing.assert_allclose(svcca(x, mapped, 1.0), 1, atol=1e-8)
    assert len(svcca(x, mapped)) < 12


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_correlations_are_ordered_symmetric_and_blind_to_rotation(p: int, q: int, seed: int) -> None:
    x, y = shared(seed, 60, p, q)
    found = svcca(x, y)
    assert (found[:-1] >= found[1:]).all()
    assert (found >= 0).all()
    assert (found <= 1).all()
    np.testing.assert_allclose(found, svcca(y, x), atol=1e-8)
    np.testing.assert_allclose(found, svcca(x @ orthogonal(seed, p) * 5, y - 3), atol=1e-7)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6))
@settings(max_examples=30, deadline=None)
def test_batches_add_up_to_the_whole(sizes: list[int]) -> None:
    x, y = shared(3, sum(sizes) + 20, 5, 4)
    covariances = Covariances()
    edges = np.cumsum([20, *sizes])[:-1]
    for part_x, part_y in zip(np.split(x, edges), np.split(y, edges), strict=True):
        covariances.add(part_x, part_y)
    found = covariances.canonical()
    assert found.rows == len(x)
    np.testing.assert_allclose(found.correlations, oracle(x, y), atol=1e-8)


def test_chunks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = shared(0, 500, 6, 7)
    whole = svcca(x, y)
    monkeypatch.setattr(sys.modules["medpt.analysis.svcca"], "CHUNK", 100)
    np.testing.assert_allclose(svcca(x, y), whole, atol=1e-10)


def test_tensors_arrays_and_read_only_maps_are_the_same() -> None:
    x, y = (z.astype(np.float32) for z in shared(0, 400, 6, 7))
    expected = svcca(x, y)
    assert np.array_equal(svcca(torch.from_numpy(x).requires_grad_(), torch.from_numpy(y)), expected)
    x.flags.writeable = False
    before = x.copy()
    assert np.array_equal(svcca(x, y), expected)
    assert np.array_equal(x, before)
    assert isinstance(expected, np.ndarray)


def test_inputs_stay_as_they_were() -> None:
    x = torch.from_numpy(normal(0, 50, 3))
    before = x.clone()
    svcca(x, x)
    assert torch.equal(x, before)


@pytest.mark.gpu
def test_gpu_gives_the_same() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    x, y = (torch.from_numpy(z) for z in shared(0, 3000, 32, 20))
    np.testing.assert_allclose(svcca(x.cuda(), y.cuda()), svcca(x, y), atol=1e-9)


def test_memory_does_not_grow_with_the_rows() -> None:
    """Of 800 MB of rows in float64 the process never holds more than a fifth."""
    program = """
import resource
import numpy as np
from medpt.analysis.svcca import Covariances
rows = np.random.default_rng(0).standard_normal((500_000, 50)).astype(np.float16)
covariances = Covariances()
covariances.add(rows[:1000], rows[:1000])
covariances.canonical()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
covariances.add(rows, rows)
covariances.add(rows[::-1], rows)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 160_000  # KiB


@pytest.mark.parametrize(
    ("n", "p", "measured"),
    [(2000, 64, 0.151), (5000, 64, 0.096), (5000, 512, 0.272), (20_000, 512, 0.135), (100_000, 64, 0.021)],
)
def test_noise_floor_is_that_of_the_specification(n: int, p: int, measured: float) -> None:
    """analysis.md, section 1; its figures were drawn once and cut to 99 % of the variance."""
    assert noise_floor(n, p) == pytest.approx(measured, rel=0.03)


@pytest.mark.parametrize(
    ("n", "p", "q"), [(500, 8, 8), (300, 10, 40), (100, 30, 60), (100, 60, 70), (40, 39, 5)]
)
def test_noise_floor_is_the_mean_of_draws(n: int, p: int, q: int) -> None:
    draws = [oracle(normal(s, n, p), normal(s + 100, n, q), 1.0).mean() for s in range(12)]
    assert noise_floor(n, p, q) == pytest.approx(np.mean(draws), rel=0.06 if p < 16 else 0.02)
    assert noise_floor(n, p, q) == noise_floor(n, q, p)


def test_constant_side_has_no_correlation() -> None:
    assert svcca(np.ones((10, 3)), normal(0, 10, 2)).shape == (0,)


@pytest.mark.parametrize(
    ("x", "y", "variance", "words"),
    [
        (np.zeros((3, 2)), np.zeros((4, 2)), 0.99, "x has 3 rows and y 4"),
        (np.zeros(3), np.zeros((3, 2)), 0.99, r"x: float64 of shape \(3,\); real \(n, channels\)"),
        (np.zeros((2, 3, 4, 4)), np.zeros((2, 3)), 0.99, "x: float64 of shape"),
        (np.zeros((3, 2)), np.zeros((3, 2), complex), 0.99, "y: complex128"),
        (np.zeros((1, 2)), np.zeros((1, 2)), 0.99, "1 rows; two or more"),
        (np.full((3, 2), np.nan), np.zeros((3, 2)), 0.99, "not finite"),
        (np.zeros((3, 2)), np.zeros((3, 2)), 99, "variance: 99; a fraction"),
        (normal(0, 8, 9), normal(1, 8, 2), 1.0, "8 rows of 7 and 2 directions: such correlations are 1"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    x: np.ndarray, y: np.ndarray, variance: float, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        svcca(x, y, variance)


def test_batches_keep_their_width() -> None:
    covariances = Covariances()
    covariances.add(np.eye(3), np.eye(3))
    with pytest.raises(InputError, match=r"\(2, 3\) columns after \(3, 3\)"):
        covariances.add(np.eye(3)[:, :2], np.eye(3))


def test_importing_the_analysis_is_light_and_leaves_functions() -> None:
    program = """
import sys
import medpt.analysis
assert not {"torch", "cv2", "scipy", "pandas", "rich"} & set(sys.modules), sorted(sys.modules)
import medpt.analysis.cmd, medpt.analysis.svcca, medpt.analysis.activations
assert callable(medpt.analysis.cmd) and callable(medpt.analysis.svcca)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
