"""Singular vector canonical correlation analysis of two sets of activations on the same rows.

Raghu et al. 2017. Promises: one pass in float64, memory of (p1 + p2)² whatever the number of rows, on the
device of the rows; equal to plain SVDs of the centred data to 1e-8 where these are well conditioned and to
1e-4 where they are not. A covariance squares the condition number: directions whose variance is under 1e-10
of the largest are dropped. Importing this module does not import torch.
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
    """Canonical correlations (k,) in [0, 1], descending, of activations x (n, p1) and y (n, p2).

    Numpy arrays or tensors, also on a GPU. Each side is centred and reduced to the least number of principal
    directions that hold `variance` of its variance (of σ², not of σ), k1 and k2; k = min(k1, k2), and none
    where a side is constant. Their mean is the SVCCA similarity: 1 for equal subspaces, `noise_floor` for
    independent ones. Take n of 40 times p or more. Raises InputError for other shapes and for what is no
    number.
    """
    covariances = Covariances()
    covariances.add(x, y)
    return covariances.canonical(variance).correlations


@dataclass(frozen=True)
class Canonical:
    """Correlations (min(kept),) descending, and how they were found."""

    correlations: NDArray[np.float64]
    rows: int
    kept: tuple[int, int]  # directions of either side

    @property
    def mean(self) -> float:
        """The SVCCA similarity; nan where a side was constant."""
        return float(self.correlations.mean()) if len(self.correlations) else float("nan")

    @property
    def floor(self) -> float:
        """The mean that independent rows would give."""
        return noise_floor(self.rows, *self.kept) if min(self.kept) else float("nan")


class Covariances:
    """Mean and scatter of paired rows (x, y), merged batch by batch (Chan, Golub & LeVeque 1979)."""

    def __init__(self) -> None:
        self.rows = 0
        self.widths = (0, 0)
        self._mean: Tensor | None = None
        self._scatter: Tensor | None = None

    def add(self, x: Any, y: Any) -> None:
        """Rows (n, p1) and (n, p2) of any type on one device; the widths are those of the first call."""
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
        """As `svcca`, of all rows so far. Raises InputError for fewer than two rows."""
        import torch

        if not 0 < variance <= 1:
            raise InputError(f"variance: {variance!r}; a fraction above 0 up to 1 is accepted")
        if self._scatter is None or self.rows < 2:
            raise InputError(f"{self.rows} rows; two or more are needed")
        if not torch.isfinite(self._scatter).all():
            raise InputError("activations hold what is no finite number")
        p, scatter = self.widths[0], self._scatter / self.rows
        left, right = _whitening(scatter[:p, :p], variance), _whitening(scatter[p:, p:], variance)
        kept = (left.shape[1], right.shape[1])
        values = torch.linalg.svdvals(left.T @ scatter[:p, p:] @ right) if min(kept) else scatter[0, :0]
        return Canonical(values.clamp(0, 1).cpu().numpy(), self.rows, kept)


def _matrix(values: Any, name: str) -> Any:
    """A tensor or a numpy array, as it came."""
    import torch

    matrix = values.detach() if isinstance(values, torch.Tensor) else np.asarray(values)
    real = not matrix.is_complex() if isinstance(matrix, torch.Tensor) else matrix.dtype.kind in "fiub"
    if matrix.ndim != 2 or 0 in matrix.shape or not real:
        raise InputError(
            f"{name}: {matrix.dtype} of shape {tuple(matrix.shape)}; real (n, channels) is accepted"
        )
    return matrix


def _joined(x: Any, y: Any) -> Tensor:
    """float64 (n, p1 + p2), a copy."""
    import torch

    parts = (rows if isinstance(rows, torch.Tensor) else torch.tensor(rows.astype(float)) for rows in (x, y))
    return torch.cat([part.double() for part in parts], dim=1)


def _whitening(covariance: Tensor, variance: float) -> Tensor:
    """(p, k): principal directions over their standard deviations."""
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
    """Mean canonical correlation of independent Gaussian x (n, p) and y (n, q), q = p unless given.

    From the limit law of canonical correlations (Wachter 1980, The limiting empirical measure of multiple
    discriminant ratios), n - 1 degrees of freedom being left after centring; up to 9 % high below p = 16,
    within 1 % from there. It takes rows for independent: positions of one image are not, so activations of
    unrelated networks stand higher.
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
