"""Pictures and statistics of the filters (m, 3, k, k) of a first convolution (Wen et al. 2021, Fig. 6b).

Needs numpy only. Filters keep their order, so that panels before and after training can be compared.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medpt.errors import InputError

Filters = NDArray[np.float64]
Picture = NDArray[np.uint8]

COLUMNS, ENLARGED, GAP = 8, 8, 4  # filters a row; pixels a weight; white pixels between filters
PADDED = 64  # side of the spectra: the frequency is read to 1/64 cycle a pixel


def require_filters(filters: ArrayLike) -> Filters:
    """Return filters as float64 (m, 3, k, k); InputError for other shapes and values that are not finite."""
    weights = np.asarray(filters, dtype=np.float64)
    if weights.ndim != 4 or weights.shape[1] != 3 or weights.shape[2] != weights.shape[3] or not weights.size:
        raise InputError(f"filters of shape {weights.shape}; (filters, 3, k, k) is accepted")
    if not np.isfinite(weights).all():
        raise InputError("filters are not finite")
    return weights


def panel(filters: ArrayLike) -> Picture:
    """Draw filters as an RGB picture uint8 (H, W, 3): eight per row, each weight 8 × 8 pixels.

    Each filter is scaled so that the smallest weight of its three channels is 0 and the largest 255; a
    constant filter is mid-grey.
    """
    weights = require_filters(filters)
    low, high = (f(weights, axis=(1, 2, 3), keepdims=True) for f in (np.min, np.max))
    spread = np.where(high > low, high - low, 1)
    return _grid(np.where(high > low, (weights - low) / spread, 0.5))


def difference(before: ArrayLike, after: ArrayLike) -> Picture:
    """Draw after - before like `panel`, on one scale: mid-grey is no change, 0 and 255 the largest change."""
    change = _change(before, after)
    largest = np.abs(change).max() or 1.0
    return _grid(0.5 + change / (2 * largest))


def _grid(values: Filters) -> Picture:
    """Draw values in [0, 1], (m, 3, k, k), as tiles on white."""
    tiles = np.rint(values * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    tiles = tiles.repeat(ENLARGED, axis=1).repeat(ENLARGED, axis=2)
    step = tiles.shape[1] + GAP
    rows = -(-len(tiles) // COLUMNS)
    picture = np.full((rows * step - GAP, COLUMNS * step - GAP, 3), 255, np.uint8)
    for n, tile in enumerate(tiles):
        top, left = (n // COLUMNS) * step, (n % COLUMNS) * step
        picture[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return picture


def relative_change(before: ArrayLike, after: ArrayLike) -> float:
    """Return ‖after - before‖ / ‖before‖ over all weights, from 0, no change."""
    return float(np.linalg.norm(_change(before, after)) / np.linalg.norm(require_filters(before)))


def cosine(before: ArrayLike, after: ArrayLike) -> float:
    """Return the correlation of all weights, in [-1, 1]; 1: the same up to scale and shift."""
    _change(before, after)
    old, new = (
        weights.ravel() - weights.mean() for weights in (require_filters(before), require_filters(after))
    )
    return float(old @ new / (np.linalg.norm(old) * np.linalg.norm(new)))


def _change(before: ArrayLike, after: ArrayLike) -> Filters:
    old, new = require_filters(before), require_filters(after)
    if old.shape != new.shape:
        raise InputError(
            f"filters of shapes {old.shape} before and {new.shape} after; give two states of one network"
        )
    return new - old


def patterns(filters: ArrayLike) -> Filters:
    """Return each filter's dominant spatial pattern, (m, k, k), with mean 0 and norm 1; zeros if constant.

    It is the first right singular vector of the filter's (3, k²) matrix; its sign is arbitrary.
    """
    weights = require_filters(filters)
    spatial = np.linalg.svd(weights.reshape(*weights.shape[:2], -1), full_matrices=False)[2][:, 0]
    return unit(spatial).reshape(len(weights), *weights.shape[2:])


def unit(rows: Filters) -> Filters:
    """Scale rows (m, d) to mean 0 and norm 1; rows that are constant up to rounding become zeros."""
    centred = rows - rows.mean(1, keepdims=True)
    norm = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.where(norm > 1e-12, centred / np.maximum(norm, 1e-12), 0)


def spectra(shapes: Filters) -> tuple[Filters, Filters, Filters]:
    """Return the energy (m, 64, 64) of patterns (m, k, k), and frequencies (64, 64) down and across.

    Frequencies are in cycles a pixel, from -0.5 to 0.5.
    """
    energy = np.abs(np.fft.fft2(shapes, s=(PADDED, PADDED))) ** 2
    axis = np.fft.fftfreq(PADDED)
    down, across = np.meshgrid(axis, axis, indexing="ij")
    return energy, down, across


def spectrum_centroid(filters: ArrayLike) -> float:
    """Return the energy-weighted mean frequency of patterns in cycles per pixel, mean over filters.

    White noise has 0.38; higher is finer.
    """
    energy, down, across = spectra(patterns(filters))
    return _mean_of_shaped((energy * np.hypot(down, across)).sum((1, 2)), energy.sum((1, 2)))


def anisotropy(filters: ArrayLike) -> float:
    """Return the mean over filters of |Σ E e^{2iθ}| / Σ E, in [0, 1].

    1 is a single orientation, 0 is none or two at right angles.
    """
    energy, down, across = spectra(patterns(filters))
    turned = np.exp(2j * np.arctan2(down, across))
    return _mean_of_shaped(np.abs((energy * turned).sum((1, 2))), energy.sum((1, 2)))


def _mean_of_shaped(values: Filters, energy: Filters) -> float:
    """Return the mean of values/energy over filters that are not constant; nan if all are."""
    shaped = energy > 0
    return float((values[shaped] / energy[shaped]).mean()) if shaped.any() else float("nan")
