"""The share of Gabor filters in a first convolution: fits, a criterion, and a control.

The paper shows pictures (Fig. 6b); the score is this project's (specification, section 3). A smooth blob also
has a high R², so a filter counts only if it is also band-pass. The score to publish is the difference from
that of the same patterns with scrambled phases. Kernels are 5 × 5 or larger.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medpt.analysis.filters import patterns, unit
from medpt.errors import InputError

Array = NDArray[np.float64]

# Centre down and across (px), orientation (rad), width sigma (px), aspect gamma, wavelength (px).
LOW = np.array([-2, -2, -np.inf, 0.8, 0.3, 2.5])
HIGH = np.array([2, 2, np.inf, 5, 2, 14])
STARTS = np.array([(0, 0, a * np.pi / 4, 2, 1, wave) for a in range(4) for wave in (4, 8)], dtype=float)
STEPS = 40
BLOCK = 512  # fits side by side
THRESHOLD = 0.7  # of R²
LONGEST = 7.0  # px: longer waves are blobs or edges, no gratings
SCRAMBLES = 20  # controls a filter


@dataclass(frozen=True)
class Fits:
    """The best Gabor of each of m patterns."""

    r2: Array  # (m,) share of the pattern's variance that the Gabor explains
    parameters: Array  # (m, 6) in the order of LOW

    @property
    def gabor(self) -> NDArray[np.bool_]:
        """R² above THRESHOLD at a wavelength of at most LONGEST.

        The peak of the spectrum cannot replace the wavelength: that of Gaussian blobs of 1 px without their
        mean is at 1/6 cycle per pixel.
        """
        return (self.r2 > THRESHOLD) & (self.parameters[:, 5] <= LONGEST)


@dataclass(frozen=True)
class Score:
    """Shares of filters in [0, 1] and mean R²; `published` is the share minus that of the control."""

    fraction: float
    mean_r2: float
    control: float
    control_r2: float
    filters: int

    @property
    def published(self) -> float:
        return self.fraction - self.control


def gabor_score(filters: ArrayLike, seed: int = 0) -> Score:
    """Score filters (m, 3, k, k), k ≥ 5: the fraction that are Gabors, and that of the control.

    Raises InputError for smaller kernels (ShuffleNet's 3 × 3), which a Gabor always fits.
    """
    shapes = patterns(filters)
    found, control = fit(shapes), fit(scrambled(shapes, seed, SCRAMBLES))
    return Score(
        float(found.gabor.mean()),
        float(found.r2.mean()),
        float(control.gabor.mean()),
        float(control.r2.mean()),
        len(shapes),
    )


def scrambled(shapes: Array, seed: int, draws: int) -> Array:
    """Return patterns with their amplitude spectra and the phases of white noise, (draws · m, k, k)."""
    noise = np.random.default_rng(seed).standard_normal((draws, *shapes.shape))
    phases = np.fft.fft2(noise)
    mixed = np.fft.ifft2(np.abs(np.fft.fft2(shapes)) * phases / np.abs(phases)).real
    return mixed.reshape(-1, *shapes.shape[1:])


def fit(shapes: Array) -> Fits:
    """Fit the Gabor E(x', y')·cos(2πx'/λ + φ), less its mean, that explains most of each pattern (m, k, k).

    E = exp(-(x'² + γ²y'²)/2σ²). Amplitude and phase are solved for (they are linear in the cosine and the
    sine grating: variable projection, Golub & Pereyra 1973, with Kaufman's Jacobian); the other six start
    from four angles and two wavelengths and are followed by 40 Levenberg-Marquardt steps within LOW and
    HIGH.
    """
    side = shapes.shape[-1]
    if side < 5:
        raise InputError(f"{side}×{side} kernels; a Gabor filter needs 5×5 or more")
    targets = unit(shapes.reshape(len(shapes), -1))
    starts = np.tile(STARTS, (len(targets), 1))
    wanted = targets.repeat(len(STARTS), axis=0)
    parts = [
        _followed(starts[n : n + BLOCK], wanted[n : n + BLOCK], side) for n in range(0, len(wanted), BLOCK)
    ]
    lost = np.concatenate([loss for _, loss in parts]).reshape(-1, len(STARTS))
    parameters = np.concatenate([p for p, _ in parts]).reshape(-1, len(STARTS), len(LOW))
    best = lost.argmin(1)
    rows = np.arange(len(targets))
    constant = ~targets.any(1)
    r2 = np.where(constant, 0, 1 - lost[rows, best])
    return Fits(r2, parameters[rows, best])


def _followed(parameters: Array, targets: Array, side: int) -> tuple[Array, Array]:
    """Solve all problems (B, 6) at once by Levenberg-Marquardt; return also their losses 1 - R², (B,)."""
    damping = np.full(len(parameters), 1e-2)
    residual, jacobian = _linearised(parameters, targets, side)
    loss = (residual**2).sum(1)
    for _ in range(STEPS):
        moved = np.clip(parameters + _step(parameters, residual, jacobian, damping), LOW, HIGH)
        new_residual, new_jacobian = _linearised(moved, targets, side)
        new_loss = (new_residual**2).sum(1)
        better = new_loss < loss
        parameters = np.where(better[:, None], moved, parameters)
        residual = np.where(better[:, None], new_residual, residual)
        jacobian = np.where(better[:, None, None], new_jacobian, jacobian)
        loss = np.where(better, new_loss, loss)
        damping = np.clip(np.where(better, damping / 3, damping * 4), 1e-9, 1e9)
    return parameters, loss


def _step(parameters: Array, residual: Array, jacobian: Array, damping: Array) -> Array:
    """Return the step (B, 6), 0 for parameters at a bound that would cross it."""
    slope = np.einsum("bpn,bn->bp", jacobian, residual)
    free = ~(((parameters <= LOW) & (slope > 0)) | ((parameters >= HIGH) & (slope < 0)))
    jacobian, slope = jacobian * free[:, :, None], slope * free
    curvature = np.einsum("bpn,bqn->bpq", jacobian, jacobian)
    scale = np.maximum(np.einsum("bpp->bp", curvature), 1e-12) * damping[:, None]
    return -np.linalg.solve(curvature + scale[:, :, None] * np.eye(len(LOW)), slope[:, :, None])[:, :, 0]


def _linearised(parameters: Array, targets: Array, side: int) -> tuple[Array, Array]:
    """Return the residual of the best amplitude and phase, (B, k²), and its slopes (B, 6, k²)."""
    axis = np.arange(side) - (side - 1) / 2
    down, across = (grid.ravel() for grid in np.meshgrid(axis, axis, indexing="ij"))
    y0, x0, angle, sigma, gamma, wave = (column[:, None] for column in parameters.T)
    cos, sin, k = np.cos(angle), np.sin(angle), 2 * np.pi / wave
    x = (across - x0) * cos + (down - y0) * sin
    y = -(across - x0) * sin + (down - y0) * cos
    envelope = np.exp(-(x**2 + gamma**2 * y**2) / (2 * sigma**2))
    gratings = np.stack([envelope * np.cos(k * x), envelope * np.sin(k * x)], axis=1)
    basis = _orthonormal(gratings - gratings.mean(2, keepdims=True))
    residual = targets - np.einsum("bin,bi->bn", basis.rows, np.einsum("bin,bn->bi", basis.rows, targets))
    a, b = basis.weights(targets)
    model = a * gratings[:, 0] + b * gratings[:, 1]
    carrier = k * (b * gratings[:, 0] - a * gratings[:, 1])
    by_x, by_y = carrier - model * x / sigma**2, -model * gamma**2 * y / sigma**2
    slopes = np.stack(
        [
            -by_x * sin - by_y * cos,
            -by_x * cos + by_y * sin,
            by_x * y - by_y * x,
            model * (x**2 + gamma**2 * y**2) / sigma**3,
            -model * gamma * y**2 / sigma**2,
            -carrier * x / wave,
        ],
        axis=1,
    )
    slopes -= slopes.mean(2, keepdims=True)
    slopes -= np.einsum("bpi,bin->bpn", np.einsum("bpn,bin->bpi", slopes, basis.rows), basis.rows)
    return residual, -slopes


@dataclass(frozen=True)
class _Basis:
    """Two orthonormal rows (B, 2, n), and the transform of their coefficients back to the given pair."""

    rows: Array
    first: Array  # (B,) norm of the given first row
    along: Array  # (B,) the second one's component along the first
    second: Array  # (B,) norm of what is left of it; infinite where nothing is

    def weights(self, targets: Array) -> tuple[Array, Array]:
        """Return the amplitudes of the given pair, (B, 1) each, nearest to the targets (B, n)."""
        c = np.einsum("bin,bn->bi", self.rows, targets)
        b = c[:, 1] / self.second
        return ((c[:, 0] - b * self.along) / self.first)[:, None], b[:, None]


def _orthonormal(pair: Array) -> _Basis:
    first = np.maximum(np.linalg.norm(pair[:, 0], axis=1), 1e-12)
    u = pair[:, 0] / first[:, None]
    along = np.einsum("bn,bn->b", u, pair[:, 1])
    rest = pair[:, 1] - along[:, None] * u
    second = np.linalg.norm(rest, axis=1)
    second = np.where(second > 1e-9, second, np.inf)
    return _Basis(np.stack([u, rest / second[:, None]], axis=1), first, along, second)
