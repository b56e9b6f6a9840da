"""Cells that vary with the pre-training alone: the layers and filters of sources.

A pre-training is the unit that is repeated. The layers of one network are not independent: their covariance
over the pre-trainings of a source, pooled over all sources, enters the variance of a contrast.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from grid.results.variance import ROUNDING, Component, Contribution, Floats


@dataclass(frozen=True)
class RepeatedPretrainings:
    """The cells of S sources and L layers; cell number s · L + l is layer l of source s.

    `values` has an array (P, L) for each source, in points; the P pre-trainings may differ in number. Sources
    are independent, and of equal covariance.
    """

    values: Sequence[Floats]

    def contrast(self, weights: Floats) -> Contribution:
        shares = weights.reshape(len(weights), len(self.values), -1)
        means = np.array([each.mean(0) for each in self.values])
        rest = [each - mean for each, mean in zip(self.values, means, strict=True)]
        df = float(sum(len(each) - 1 for each in rest))
        squares = sum(each.T @ each for each in rest)
        inverse = np.array([1 / len(each) for each in self.values])
        spread = np.einsum("msl,lk,msk,s->m", shares, squares / max(df, 1), shares, inverse)
        largest = (np.abs(shares) * np.abs(means)).max((1, 2))
        variance = np.where(np.sqrt(np.maximum(spread, 0)) > ROUNDING * largest, spread, 0)
        value = np.einsum("msl,sl->m", shares, means)
        return Contribution(value, Component(variance, np.full(len(weights), df)), 0 * value)


def complete_table(values: Mapping[str, Mapping[int, float]], layers: Sequence[str]) -> Floats:
    """Return the pre-trainings that have a finite value of each layer, (P, L)."""
    numbers = sorted({number for layer in values.values() for number in layer})
    table = np.array([[values.get(layer, {}).get(n, np.nan) for layer in layers] for n in numbers], float)
    found: Floats = table.reshape(len(numbers), len(layers))
    return found[np.isfinite(found).all(1)]
