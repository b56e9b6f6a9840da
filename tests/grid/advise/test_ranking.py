"""The bootstrap interval of advice, against one that draws with the standard library."""

import math
import random
from statistics import fmean

import pytest

from grid.advise.ranking import LISTED, bootstrap_interval


def drawn(values: list[float], draws: int = 20_000) -> tuple[float, float]:
    """The percentile interval of means of samples with replacement."""
    dice = random.Random(0)
    means = sorted(fmean(dice.choices(values, k=len(values))) for _ in range(draws))
    return means[round(0.025 * draws)], means[round(0.975 * draws)]


@pytest.mark.parametrize("count", [LISTED, LISTED + 1, 12])
def test_interval_is_that_of_resampled_means(count: int) -> None:
    values = [math.sin(7 * n) + n / 5 for n in range(count)]
    found = bootstrap_interval(values)
    spread = max(values) - min(values)
    assert found.low == pytest.approx(drawn(values)[0], abs=0.04 * spread)
    assert found.high == pytest.approx(drawn(values)[1], abs=0.04 * spread)


@pytest.mark.parametrize("values", [[], [0.3]])
def test_less_than_two_values_have_no_limits(values: list[float]) -> None:
    found = bootstrap_interval(values)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_equal_values_have_limits_at_their_mean() -> None:
    found = bootstrap_interval([0.5, 0.5, 0.5])
    assert (found.low, found.high) == (0.5, 0.5)
