"""The filters of a first convolution (m, 3, k, k): as a picture, and in numbers (Wen et al. 2021, Fig. 6b).

Numpy alone. Filters keep their order in every panel, so that panels of one network before and after
training can be laid over each other.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medpt.errors import InputError

Filters = NDArray[np.float64]
Picture = NDArray[np.uint8]

COLUMNS, ENLARGED, GAP = 8, 8, 4  # filters a row; pixels a weight; white pixels between filters
PADDED = 64  # side of the spectra: the frequency is read to 1/64 cycle a pixel


def checked(filters: ArrayLike) -> Filters:
    """float64 (m, 3, k, k). Raises InputError for another shape and for what is no finite number."""
    weights = np.asarray(filters, dtype=np.float64)
    if weights.ndim != 4 or weights.shape[1] != 3 or weights.shape[2] != weights.shape[3] or not weights.size:
        raise InputError(f"filters of shape {weights.shape}; (filters, 3, k, k) is accepted")
    if not np.isfinite(weights).all():
        raise InputError("filters hold what is no finite number")
    return weights


def panel(filters: ArrayLike) -> Picture:
    """RGB picture uint8 (H, W, 3) of a grid of eight columns, each weight 8 × 8 pixels.

    Each filter has its own scale, its least weight 0 and its largest 255 over the three channels together; a
    constant one is mid-grey.
    """
    weights = checked(filters)
    low, high = (f(weights, axis=(1, 2, 3), keepdims=True) for f in (np.min, np.max))
    spread = np.where(high > low, high - low, 1)
    return _grid(np.where(high > low, (weights - low) / spread, 0.5))


def difference(before: ArrayLike, after: ArrayLike) -> Picture:
    """`panel` of after - before on one scale for all filters: mid-grey is no change, 0 or 255 the largest."""
    change = _change(before, after)
    largest = np.abs(change).max() or 1.0
    return _grid(0.5 + change / (2 * largest))


def _grid(values: Filters) -> Picture:
    """Values in [0, 1], (m, 3, k, k), as tiles on white."""
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
    """‖after - before‖ / ‖before‖ over all weights; 0: nothing learned here."""
    return float(np.linalg.norm(_change(before, after)) / np.linalg.norm(checked(before)))


def cosine(before: ArrayLike, after: ArrayLike) -> float:
    """Of all weights less their means, in [-1, 1]; 1: the same up to scale and shift."""
    _change(before, after)
    old, new = (weights.ravel() - weights.mean() for weights in (checked(before), checked(after)))
    return float(old @ new / (np.linalg.norm(old) * np.linalg.norm(new)))


def _change(before: ArrayLike, after: ArrayLike) -> Filters:
    old, new = checked(before), checked(after)
    if old.shape != new.shape:
        raise InputError(
            f"filters of shapes {old.shape} before and {new.shape} after; one network is expected"
        )
    return new - old


def patterns(filters: ArrayLike) -> Filters:
    """(m, k, k): each filter's dominant spatial pattern, of mean 0 and norm 1; a constant filter gives zeros.

    The first right singular vector of its (3, k²) matrix. Its sign says nothing.
    """
    weights = checked(filters)
    spatial = np.linalg.svd(weights.reshape(*weights.shape[:2], -1), full_matrices=False)[2][:, 0]
    return unit(spatial).reshape(len(weights), *weights.shape[2:])


def unit(rows: Filters) -> Filters:
    """Rows (m, d) with mean 0 and norm 1; rows that are constant to rounding become zeros."""
    centred = rows - rows.mean(1, keepdims=True)
    norm = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.where(norm > 1e-12, centred / np.maximum(norm, 1e-12), 0)


def spectra(shapes: Filters) -> tuple[Filters, Filters, Filters]:
    """Energy (m, 64, 64) of patterns (m, k, k), and each bin's frequencies (64, 64) down and across.

    Frequencies are in cycles a pixel, from -0.5 to 0.5.
    """
    energy = np.abs(np.fft.fft2(shapes, s=(PADDED, PADDED))) ** 2
    axis = np.fft.fftfreq(PADDED)
    down, across = np.meshgrid(axis, axis, indexing="ij")
    return energy, down, across


def spectrum_centroid(filters: ArrayLike) -> float:
    """Mean over filters of the energy-weighted mean frequency of their patterns, cycles a pixel.

    White noise has 0.38; higher is finer.
    """
    energy, down, across = spectra(patterns(filters))
    return _mean_of_shaped((energy * np.hypot(down, across)).sum((1, 2)), energy.sum((1, 2)))


def anisotropy(filters: ArrayLike) -> float:
    """Mean over filters of |Σ E e^{2iθ}| / Σ E, in [0, 1]: 1 is one orientation, 0 none or two at right
    angles.
    """
    energy, down, across = spectra(patterns(filters))
    turned = np.exp(2j * np.arctan2(down, across))
    return _mean_of_shaped(np.abs((energy * turned).sum((1, 2))), energy.sum((1, 2)))


def _mean_of_shaped(values: Filters, energy: Filters) -> float:
    """Mean of values/energy over the filters that are not constant; nan where all are."""
    shaped = energy > 0
    return float((values[shaped] / energy[shaped]).mean()) if shaped.any() else float("nan")
