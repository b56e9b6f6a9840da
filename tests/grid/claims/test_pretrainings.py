"""Contrasts of layers over repeated pre-trainings, against one number of each pre-training."""

import numpy as np
import pytest
from scipy import stats

from grid.claims.pretrainings import RepeatedPretrainings, complete_table
from grid.results.intervals import estimate


def welch_like(upper: np.ndarray, lower: np.ndarray) -> tuple[float, float, float]:
    """Difference of the mean over layers, its standard error with the pooled variance, and df."""
    a, b = upper.mean(1), lower.mean(1)
    df = len(a) + len(b) - 2
    pooled = (((a - a.mean()) ** 2).sum() + ((b - b.mean()) ** 2).sum()) / df
    return a.mean() - b.mean(), float(np.sqrt(pooled * (1 / len(a) + 1 / len(b)))), df


def test_mean_over_layers_is_students_test_on_pre_trainings() -> None:
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(7, 1))  # what the layers of one network have in common
    table = 50 + 3 * shared + rng.normal(size=(7, 5))
    upper, lower = table[:4], table[4:]
    found = estimate([(RepeatedPretrainings([upper, lower]), np.repeat([0.2, -0.2], 5)[None])])
    value, error, df = welch_like(upper, lower)
    assert [found.value[0], found.error[0], found.df[0]] == pytest.approx([value, error, df])
    assert found.below(0)[0] == pytest.approx(stats.t.cdf(-value / error, df))


def test_coverage_of_a_difference_of_correlated_layers() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(2_000):
        tables = [rng.normal(size=(2, 1)) + 0.3 * rng.normal(size=(2, 9)) for _ in range(6)]
        weights = np.repeat([1, -1, 0, 0, 0, 0], 9)[None] / 9
        low, high = estimate([(RepeatedPretrainings(tables), weights)]).limits()
        inside += low[0] <= 0 <= high[0]
    assert 0.93 < inside / 2_000 < 0.97


def test_identical_pre_trainings_have_no_interval() -> None:
    found = estimate([(RepeatedPretrainings([np.full((3, 2), 0.1)]), [[0.5, 0.5]])])
    assert np.isnan(found.variance).all()


def test_incomplete_pre_trainings_are_left_out() -> None:
    values = {"a": {0: 1.0, 1: 2.0, 2: np.nan}, "b": {0: 3.0, 2: 4.0}}
    assert complete_table(values, ["a", "b"]).tolist() == [[1.0, 3.0]]
