import time
from itertools import combinations, permutations

import numpy as np
import pytest

from medpt.models.permutations import maximin, spread

ALL = np.array(list(permutations(range(9))))


@pytest.mark.parametrize(("count", "mean", "least"), [(100, 8.0, 6), (1000, 8.0, 5)])
def test_maximin_gives_distinct_permutations_far_apart(count: int, mean: float, least: int) -> None:
    rows = maximin(count)
    assert rows.shape == (count, 9)
    assert len({tuple(row) for row in rows.tolist()}) == count
    np.testing.assert_array_equal(np.sort(rows, 1), np.tile(np.arange(9), (count, 1)))
    found = spread(rows)
    assert found[0] >= mean
    assert found[1] >= least


def test_maximin_of_1000_takes_less_than_twenty_seconds() -> None:
    maximin.cache_clear()
    start = time.process_time()
    maximin(1000)
    assert time.process_time() - start < 20


def test_maximin_maximises_the_smallest_distance_then_the_mean() -> None:
    rows = maximin(7, seed=3)
    for size in range(1, 7):
        distances = np.stack([(row != ALL).sum(1) for row in rows[:size]])
        own = (rows[:size] != rows[size]).sum(1)
        assert own.min() == distances.min(0).max()
        assert own.sum() == distances[:, distances.min(0) == own.min()].sum(0).max()


def test_maximin_is_seeded_and_longer_sets_begin_with_shorter_ones() -> None:
    np.testing.assert_array_equal(maximin(30, seed=1)[:12], maximin(12, seed=1))
    assert (maximin(12, seed=1) != maximin(12, seed=2)).any()
    with pytest.raises(ValueError, match="read-only"):
        maximin(12, seed=1)[0, 0] = 1


def test_spread_is_mean_and_smallest_distance_over_all_pairs() -> None:
    rows = maximin(12, seed=1)
    slow = [
        sum(a != b for a, b in zip(one, other, strict=True)) for one, other in combinations(rows.tolist(), 2)
    ]
    assert spread(rows) == (pytest.approx(np.mean(slow)), min(slow))
