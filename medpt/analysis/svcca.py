"""Singular vector canonical correlation analysis of two sets of activations on the same rows.

Raghu et al. 2017. Needs one pass in float64 and memory of (p1 + p2)² for any number of rows, on the device of
the rows. Equals plain SVDs of the centred data to 1e-8 if these are well conditioned, else to 1e-4: a
covariance squares the condition number, so directions with a variance below 1e-10 of the largest are dropped.
Importing this module does not import torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medpt.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 2**18  # float64 numbers of one chunk of rows: 2 MiB, what a cache holds
SMALLEST = 1e-10  # of the largest variance


def svcca(x: Any, y: Any, variance: float = 0.99) -> NDArray[np.float64]:
    """Return canonical correlations (k,) in [0, 1], descending, of activations x (n, p1) and y (n, p2).

    Takes numpy arrays or tensors, also on a GPU. Each side is centred and reduced to the fewest principal
    directions, k1 and k2, that hold `variance` of its variance (of σ², not of σ); k = min(k1, k2), or 0 if a
    side is constant. The mean is the SVCCA similarity: 1 for equal subspaces, `noise_floor` for independent
    ones. n should be 40 p or more. Raises InputError for other shapes, for values that are not finite, and
    where a side keeps n - 1 directions: n rows have no more, so that they would explain any other side.
    """
    covariances = Covariances()
    covariances.add(x, y)
    found = covariances.canonical(variance)
    if min(found.kept) and max(found.kept) >= found.rows - 1:
        raise InputError(
            f"{found.rows} rows of {found.kept[0]} and {found.kept[1]} directions: such correlations are 1 "
            "whatever the activations are; more rows than channels are accepted, 40 times as many are advised"
        )
    return found.correlations


@dataclass(frozen=True)
class Canonical:
    """Canonical correlations (min(kept),), descending, the number of rows and of directions kept."""

    correlations: NDArray[np.float64]
    rows: int
    kept: tuple[int, int]  # directions of either side

    @property
    def mean(self) -> float:
        """The SVCCA similarity in [0, 1]; nan if a side was constant."""
        return float(self.correlations.mean()) if len(self.correlations) else float("nan")

    @property
    def floor(self) -> float:
        """The mean for independent rows."""
        return noise_floor(self.rows, *self.kept) if min(self.kept) else float("nan")


class Covariances:
    """Mean and scatter of paired rows (x, y), merged batch by batch (Chan, Golub & LeVeque 1979)."""

    def __init__(self) -> None:
        self.rows = 0
        self.widths = (0, 0)
        self._mean: Tensor | None = None
        self._scatter: Tensor | None = None

    def add(self, x: Any, y: Any) -> None:
        """Add rows (n, p1) and (n, p2) of any type on one device; all calls have the same widths."""
        x, y = _matrix(x, "x"), _matrix(y, "y")
        widths = (x.shape[1], y.shape[1])
        if len(x) != len(y):
            raise InputError(f"x has {len(x)} rows and y {len(y)}; the same rows are compared")
        if self.rows and widths != self.widths:
            raise InputError(f"{widths} columns after {self.widths} in the batches before")
        self.widths = widths
        step = max(sum(widths), CHUNK // sum(widths))
        for start in range(0, len(x), step):
            self._merge(_joined(x[start : start + step], y[start : start + step]))

    def _merge(self, rows: Tensor) -> None:
        mean = rows.mean(0)
        rows -= mean
        scatter = rows.T @ rows
        if self._mean is None or self._scatter is None:
            self._mean, self._scatter = mean, scatter
        else:
            shift, total = mean - self._mean, self.rows + len(rows)
            scatter += shift.outer(shift) * (self.rows * len(rows) / total)
            self._scatter += scatter
            self._mean += shift * (len(rows) / total)
        self.rows += len(rows)

    def canonical(self, variance: float = 0.99) -> Canonical:
        """Return the result of `svcca` for all rows so far; InputError for fewer than two rows."""
        import torch

        if not 0 < variance <= 1:
            raise InputError(f"variance: {variance!r}; a fraction above 0 up to 1 is accepted")
        if self._scatter is None or self.rows < 2:
            raise InputError(f"{self.rows} rows; two or more are needed")
        if not torch.isfinite(self._scatter).all():
            raise InputError("activations are not finite")
        p, scatter = self.widths[0], self._scatter / self.rows
        left, right = _whitening(scatter[:p, :p], variance), _whitening(scatter[p:, p:], variance)
        kept = (left.shape[1], right.shape[1])
        values = torch.linalg.svdvals(left.T @ scatter[:p, p:] @ right) if min(kept) else scatter[0, :0]
        return Canonical(values.clamp(0, 1).cpu().numpy(), self.rows, kept)


def _matrix(values: Any, name: str) -> Any:
    """Return a matrix of real numbers, tensor or array, unchanged; InputError for anything else."""
    import torch

    matrix = values.detach() if isinstance(values, torch.Tensor) else np.asarray(values)
    real = not matrix.is_complex() if isinstance(matrix, torch.Tensor) else matrix.dtype.kind in "fiub"
    if matrix.ndim != 2 or 0 in matrix.shape or not real:
        raise InputError(
            f"{name}: {matrix.dtype} of shape {tuple(matrix.shape)}; real (n, channels) is accepted"
        )
    return matrix


def _joined(x: Any, y: Any) -> Tensor:
    """Return both sides as one float64 tensor (n, p1 + p2), a copy."""
    import torch

    parts = (rows if isinstance(rows, torch.Tensor) else torch.tensor(rows.astype(float)) for rows in (x, y))
    return torch.cat([part.double() for part in parts], dim=1)


def _whitening(covariance: Tensor, variance: float) -> Tensor:
    """Return principal directions divided by their standard deviations, (p, k)."""
    import torch

    values, vectors = torch.linalg.eigh(covariance)
    values, vectors = values.flip(0).clamp_min(0), vectors.flip(1)
    total = values.sum()
    if total <= 0:
        return vectors[:, :0]
    enough = int((values.cumsum(0) / total < variance).sum()) + 1
    kept = min(enough, int((values >= SMALLEST * values[0]).sum()))
    return vectors[:, :kept] / values[:kept].sqrt()


def noise_floor(n: int, p: int, q: int | None = None) -> float:
    """Return the mean canonical correlation of independent Gaussian x (n, p) and y (n, q), q = p by default.

    From the limit law of canonical correlations (Wachter 1980, The limiting empirical measure of multiple
    discriminant ratios), with n - 1 degrees of freedom after centring. It is up to 9 % too high below p = 16
    and within 1 % from there. It assumes independent rows; positions of one image are not, so activations of
    unrelated networks are more similar.
    """
    p, q = sorted((p, p if q is None else q))
    freedom = n - 1
    if p < 1 or q > freedom:
        raise InputError(f"n {n}, p {p}, q {q}: 1 or more columns and more rows than columns are accepted")
    certain = max(0, p + q - freedom)  # directions that both must share
    if p == certain:
        return 1.0
    if certain:
        return (certain + (p - certain) * noise_floor(n, freedom - q, freedom - p)) / p
    a, b = p / freedom, q / freedom
    inner, outer = np.sqrt(a * (1 - b)), np.sqrt(b * (1 - a))
    low, high = (inner - outer) ** 2, (inner + outer) ** 2
    angle = (np.arange(4096) + 0.5) * np.pi / 4096
    squared = (high + low) / 2 + (high - low) / 2 * np.cos(angle)
    weight = np.sin(angle) ** 2 / (squared * (1 - squared))
    return float((weight * np.sqrt(squared)).sum() / weight.sum())
