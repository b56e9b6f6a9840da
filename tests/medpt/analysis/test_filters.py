import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from scipy.optimize import least_squares

from medpt.analysis import filters, gabor
from medpt.errors import InputError

AXIS = np.arange(7) - 3.0
DOWN, ACROSS = np.meshgrid(AXIS, AXIS, indexing="ij")


def drawn(parameters: np.ndarray, phase: float) -> np.ndarray:
    """A Gabor (7, 7) of gabor's parameters, written down from the formula."""
    y0, x0, angle, sigma, gamma, wave = parameters
    x = (ACROSS - x0) * np.cos(angle) + (DOWN - y0) * np.sin(angle)
    y = -(ACROSS - x0) * np.sin(angle) + (DOWN - y0) * np.cos(angle)
    return np.exp(-(x**2 + gamma**2 * y**2) / (2 * sigma**2)) * np.cos(2 * np.pi * x / wave + phase)


def gabors(n: int, seed: int = 0, longest: float = 6) -> np.ndarray:
    rng = np.random.default_rng(seed)
    low, high = [-1, -1, 0, 1.2, 0.5, 3], [1, 1, np.pi, 3, 1.5, longest]
    return np.stack([drawn(rng.uniform(low, high), rng.uniform(0, 2 * np.pi)) for _ in range(n)])


def noise(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, 7, 7))


def in_colour(shapes: np.ndarray, seed: int = 0) -> np.ndarray:
    colours = np.random.default_rng(seed).standard_normal((len(shapes), 3, 1, 1))
    return shapes[:, None] * colours


def noisy(share: float, n: int = 64) -> np.ndarray:
    clean = gabors(n)
    return clean + share * clean.std((1, 2), keepdims=True) * noise(n)


def smoothed(n: int = 64) -> np.ndarray:
    return np.stack([gaussian_filter(kernel, 1, mode="wrap") for kernel in noise(n)])


@pytest.mark.parametrize(
    ("shapes", "quantiles"),
    [
        (noise(64), (0.21, 0.27, 0.37)),
        (smoothed(), (0.51, 0.75, 0.92)),
        (noisy(0.3), (0.91, 0.94, 0.96)),
        (noisy(0.6), (0.71, 0.80, 0.85)),
    ],
    ids=["noise", "smooth", "gabor + 30 %", "gabor + 60 %"],
)
def test_baselines_are_those_of_the_specification(shapes: np.ndarray, quantiles: tuple[float, ...]) -> None:
    """analysis.md, section 3: R² of 5, 50 and 95 % of 64 kernels, other draws than these."""
    np.testing.assert_allclose(np.quantile(gabor.fit(shapes).r2, [0.05, 0.5, 0.95]), quantiles, atol=0.06)


def scipy_r2(target: np.ndarray) -> float:
    """The specification's fit: 16 starts of seven parameters, 40 evaluations each, amplitude in closed
    form.
    """

    def residual(p: np.ndarray) -> np.ndarray:
        model = drawn(p[:6], p[6]).ravel()
        model -= model.mean()
        return target - model * (model @ target) / (model @ model + 1e-18)

    bounds = ([-2, -2, -9, 0.8, 0.3, 2.5, -9], [2, 2, 9, 5, 2, 14, 9])
    starts = [
        (0, 0, a * np.pi / 4, 2, 1, wave, phase)
        for a in range(4)
        for wave in (4, 8)
        for phase in (0, np.pi / 2)
    ]
    fits = [least_squares(residual, start, bounds=bounds, max_nfev=40) for start in starts]
    return float(max(1 - (found.fun**2).sum() for found in fits))


@pytest.mark.parametrize(
    "shapes", [noise(2, 5), smoothed(2), noisy(0.6, 2)], ids=["noise", "smooth", "gabor"]
)
def test_all_fits_at_once_find_what_one_at_a_time_finds(shapes: np.ndarray) -> None:
    targets = filters.unit(shapes.reshape(len(shapes), -1))
    np.testing.assert_allclose(gabor.fit(shapes).r2, [scipy_r2(t) for t in targets], atol=0.01)


def test_gabor_is_recognised_with_its_parameters() -> None:
    true = np.array([0.5, -0.4, 0.9, 1.8, 0.8, 4.5])
    found = gabor.fit(drawn(true, 0.7)[None])
    assert found.r2[0] == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(found.parameters[0, 3:], true[3:], rtol=1e-3)
    assert np.mod(found.parameters[0, 2], np.pi) == pytest.approx(0.9, abs=1e-3)
    assert found.gabor[0]


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_fits_do_not_depend_on_scale_sign_and_company(seed: int) -> None:
    shapes = noise(3, seed)
    together = gabor.fit(shapes)
    assert ((together.r2 >= 0) & (together.r2 <= 1)).all()
    assert (together.parameters >= gabor.LOW).all()
    assert (together.parameters <= gabor.HIGH).all()
    alone = gabor.fit(-7 * shapes[1:2] + 3)
    assert alone.r2[0] == pytest.approx(together.r2[1], abs=1e-4)


def test_slopes_are_those_of_small_differences() -> None:
    """Of 1 - R², whose gradient the projected Jacobian gives exactly."""
    rng = np.random.default_rng(0)
    targets = filters.unit(noise(5).reshape(5, -1))
    at = rng.uniform([-1, -1, -3, 1, 0.5, 3], [1, 1, 3, 4, 1.5, 12], (5, 6))
    residual, jacobian = gabor._linearised(at, targets, 7)
    for k in range(6):
        step = 1e-6 * np.eye(6)[k]
        sides = [(gabor._linearised(at + s * step, targets, 7)[0] ** 2).sum(1) for s in (1, -1)]
        expected = (sides[0] - sides[1]) / 2e-6
        np.testing.assert_allclose(2 * np.einsum("bn,bn->b", jacobian[:, k], residual), expected, atol=1e-6)


def test_score_counts_gabors_and_not_blobs() -> None:
    """Half of the filters are fine gratings, half blobs of 1 to 2.3 px, which Gabors of long waves fit as
    well.
    """
    places = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    blobs = np.stack([drawn(np.array([y, x, 0, 1 + n / 6, 1, 1e6]), 0) for n, (y, x) in enumerate(places)])
    mixed = in_colour(np.concatenate([gabors(9), blobs]))
    assert (gabor.fit(blobs).r2 > 0.95).all()
    found = gabor.gabor_score(mixed)
    assert found.fraction == 0.5
    assert found.mean_r2 > 0.95
    assert found.filters == 18
    assert found.published == found.fraction - found.control


def test_scrambled_gabors_score_less_and_noise_scores_nothing() -> None:
    found = gabor.gabor_score(in_colour(gabors(24)))
    assert found.fraction > 0.95
    assert found.published > 0.3
    assert found.control_r2 < found.mean_r2
    assert gabor.gabor_score(in_colour(noise(24))).fraction == 0
    assert gabor.gabor_score(in_colour(noise(4)), seed=3) == gabor.gabor_score(in_colour(noise(4)), seed=3)


def test_scrambling_keeps_the_amplitudes_and_changes_the_phases() -> None:
    shapes = filters.patterns(in_colour(noise(3)))
    mixed = gabor.scrambled(shapes, 0, 2).reshape(2, 3, 7, 7)
    amplitude = np.abs(np.fft.fft2(shapes))
    np.testing.assert_allclose(np.abs(np.fft.fft2(mixed)), np.broadcast_to(amplitude, mixed.shape), atol=1e-9)
    assert not np.allclose(mixed[0], mixed[1])


def test_constant_filters_are_no_gabors_and_small_kernels_are_refused() -> None:
    found = gabor.gabor_score(np.ones((3, 3, 7, 7)))
    assert (found.fraction, found.mean_r2) == (0, 0)
    with pytest.raises(InputError, match="3×3 kernels; a Gabor filter needs 5×5 or more"):
        gabor.gabor_score(np.zeros((24, 3, 3, 3)))


def test_patterns_are_what_the_colours_share() -> None:
    shapes = noise(5)
    found = filters.patterns(in_colour(shapes))
    for pattern, shape in zip(found, shapes, strict=True):
        expected = (shape - shape.mean()) / np.linalg.norm(shape - shape.mean())
        np.testing.assert_allclose(np.abs((pattern * expected).sum()), 1, atol=1e-9)


def test_panel_shows_each_filter_on_its_own_scale() -> None:
    weights = np.random.default_rng(0).standard_normal((64, 3, 7, 7))
    weights[5] = 4.2
    picture = filters.panel(weights)
    assert picture.dtype == np.uint8
    assert picture.shape == (8 * 60 - 4, 8 * 60 - 4, 3)
    for n in (0, 13, 63):
        tile = picture[(n // 8) * 60 :, (n % 8) * 60 :][:56, :56]
        low, high = weights[n].min(), weights[n].max()
        small = np.rint((weights[n] - low) / (high - low) * 255).astype(np.uint8).transpose(1, 2, 0)
        assert np.array_equal(tile[::8, ::8], small)
        assert np.array_equal(tile[7::8, 7::8], small)
    assert (picture[:56, 300:356] == 128).all()
    assert (picture[56:60] == 255).all()
    assert filters.panel(weights[:24, :, :3, :3]).shape == (3 * 28 - 4, 8 * 28 - 4, 3)


def test_difference_is_grey_where_nothing_changed() -> None:
    before = np.random.default_rng(0).standard_normal((8, 3, 7, 7))
    after = before.copy()
    after[2, 0, 3, 3] += 2
    after[4, 1, 0, 0] -= 1
    picture = filters.difference(before, after)
    assert picture[24, 120 + 24, 0] == 255
    assert picture[0, 240, 1] == 64
    assert (picture[:56, :56] == 128).all()
    assert (filters.difference(before, before)[:56, :56] == 128).all()


def test_changes_are_measured() -> None:
    before = np.random.default_rng(0).standard_normal((8, 3, 7, 7))
    assert filters.relative_change(before, before * 1.5) == pytest.approx(0.5)
    after = before + np.random.default_rng(1).standard_normal(before.shape)
    slow = np.corrcoef(before.ravel(), after.ravel())[0, 1]
    assert filters.cosine(before, after) == pytest.approx(slow)
    assert filters.cosine(before, 3 - 2 * before) == pytest.approx(-1)
    with pytest.raises(InputError, match="give two states of one network"):
        filters.relative_change(before, before[:7])


def grating(frequency: float, angle: float) -> np.ndarray:
    """A long wave through a soft window, in an odd side of 31."""
    axis = np.arange(31) - 15.0
    down, across = np.meshgrid(axis, axis, indexing="ij")
    window = np.exp(-(down**2 + across**2) / 60)
    return window * np.sin(2 * np.pi * frequency * (across * np.cos(angle) + down * np.sin(angle)))


@pytest.mark.parametrize("angle", [0, 0.6, np.pi / 2])
@pytest.mark.parametrize("frequency", [0.15, 0.3])
def test_grating_has_one_frequency_and_one_orientation(frequency: float, angle: float) -> None:
    weights = in_colour(grating(frequency, angle)[None])
    assert filters.spectrum_centroid(weights) == pytest.approx(frequency, abs=0.01)
    assert filters.anisotropy(weights) > 0.9
    crossed = in_colour((grating(frequency, angle) + grating(frequency, angle + np.pi / 2))[None])
    assert filters.anisotropy(crossed) < 0.1


def test_white_noise_has_the_centroid_of_the_square() -> None:
    """The mean of |f| over the square of side 1: 0.3826."""
    weights = in_colour(np.random.default_rng(0).standard_normal((300, 15, 15)))
    assert filters.spectrum_centroid(weights) == pytest.approx(0.3826, abs=0.005)
    assert np.isnan(filters.spectrum_centroid(np.ones((2, 3, 7, 7))))


@pytest.mark.parametrize("shape", [(64, 1, 7, 7), (64, 3, 7, 5), (3, 7, 7)])
def test_what_is_no_first_convolution_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="is accepted"):
        filters.panel(np.zeros(shape))
