"""Statistics against scipy, statsmodels and slow, obvious ways to get them."""

import math
from itertools import product

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from grid.results import statistics
from grid.results.statistics import Summary

POINTS = st.integers(-9_999, 9_999).map(lambda n: n / 100)  # printed numbers, two decimals
SEEDS = st.lists(POINTS, min_size=2, max_size=5)


def spread(values: list[float]) -> bool:
    return float(np.std(values)) > 1e-9


@given(SEEDS, SEEDS)
def test_welch_from_summaries_is_scipys_of_the_values(first: list[float], second: list[float]) -> None:
    assume(spread(first) or spread(second))
    ours = statistics.welch(statistics.summary(first), statistics.summary(second))
    theirs = stats.ttest_ind(first, second, equal_var=False)
    assert ours.p == pytest.approx(theirs.pvalue, rel=1e-9, abs=1e-300)
    assert (ours.statistic, ours.df) == pytest.approx((theirs.statistic, theirs.df), rel=1e-9)


@given(SEEDS)
def test_paired_is_scipys_of_one_sample(differences: list[float]) -> None:
    assume(spread(differences))
    theirs = stats.ttest_1samp(differences, 0)
    assert statistics.paired(differences).p == pytest.approx(theirs.pvalue, rel=1e-9)


def by_enumeration(differences: list[float]) -> float:
    whole = [round(100 * d) for d in differences]
    sums = [sum(s * abs(d) for s, d in zip(signs, whole, strict=True)) for signs in signs_of(len(whole))]
    return sum(total >= sum(whole) for total in sums) / len(sums)


def signs_of(n: int) -> list[tuple[int, ...]]:
    return list(product((-1, 1), repeat=n))


@settings(deadline=None)
@given(st.lists(POINTS, max_size=9))
def test_sign_permutation_counts_every_assignment(differences: list[float]) -> None:
    assert statistics.sign_permutation(differences) == pytest.approx(by_enumeration(differences), abs=1e-12)


def test_sign_permutation_of_many_is_scipys_permutation_test() -> None:
    rng = np.random.default_rng(0)
    differences = rng.normal(0.3, 1.0, 60).round(2)
    theirs = stats.permutation_test(
        (differences,),
        np.mean,
        permutation_type="samples",
        alternative="greater",
        n_resamples=20_000,
        rng=rng,
    )
    assert statistics.sign_permutation(differences) == pytest.approx(theirs.pvalue, abs=0.005)


def test_the_smallest_p_is_all_of_one_sign() -> None:
    assert statistics.sign_permutation([1.0, 2.0, 3.0, 0.5]) == 1 / 16
    assert statistics.sign_permutation([-1.0, -2.0]) == 1.0
    assert statistics.sign_permutation([]) == 1.0
    assert statistics.sign_permutation([0.0, 0.0]) == 1.0


@settings(max_examples=10, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_statsmodels(p: list[float]) -> None:
    assert statistics.holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_holm_does_not_count_what_was_not_tested() -> None:
    adjusted = statistics.holm([0.01, math.nan, 0.04])
    assert adjusted[[0, 2]] == pytest.approx([0.02, 0.04])
    assert math.isnan(adjusted[1])


def test_hedges_g_is_the_meta_analysts() -> None:
    """statsmodels' correction is the approximation 1 - 3/(4 df - 1)."""
    from statsmodels.stats.meta_analysis import effectsize_smd

    theirs, _ = effectsize_smd(87.37, 1.54, 12, 81.47, 1.79, 12)
    assert statistics.hedges_g(Summary(87.37, 1.54, 12), Summary(81.47, 1.79, 12)).estimate == pytest.approx(
        theirs, rel=1e-3
    )


@settings(max_examples=40, deadline=None)
@given(SEEDS, SEEDS)
def test_the_interval_of_g_agrees_with_the_t_test(first: list[float], second: list[float]) -> None:
    assume(spread(first) and spread(second))
    p = stats.ttest_ind(first, second).pvalue
    assume(abs(p - 0.05) > 1e-4)
    g = statistics.hedges_g(statistics.summary(first), statistics.summary(second))
    assert g.low < g.high
    assert (g.low <= 0 <= g.high) == (p > 0.05)


def test_the_limits_of_g_are_scipys_noncentral_t_where_that_is_defined() -> None:
    a, b = Summary(85.0, 1.2, 12), Summary(83.8, 1.0, 10)
    found = statistics.hedges_g(a, b)
    scale = math.sqrt(1 / 12 + 1 / 10)
    t = stats.ttest_ind_from_stats(85.0, 1.2, 12, 83.8, 1.0, 10).statistic
    tails = [stats.nct.cdf(t, 20, limit / scale) for limit in (found.low, found.high)]
    assert tails == pytest.approx([0.975, 0.025], abs=1e-4)


def test_the_interval_of_g_covers_as_often_as_it_says() -> None:
    rng, true, hits = np.random.default_rng(3), 1.5, 0
    for _ in range(200):
        a, b = rng.normal(true, 1, 3), rng.normal(0, 1, 3)
        found = statistics.hedges_g(statistics.summary(a), statistics.summary(b))
        hits += found.low <= true <= found.high
    assert hits / 200 == pytest.approx(0.95, abs=0.04)


@given(SEEDS)
def test_mean_interval_is_students(values: list[float]) -> None:
    assume(spread(values))
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    found = statistics.mean_interval(values)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9)


@given(SEEDS, SEEDS)
def test_mean_of_two_means_is_half_of_welchs_difference(first: list[float], second: list[float]) -> None:
    """The mean of a and -b is half of a - b, which has scipy's interval."""
    assume(spread(first) and spread(second))
    theirs = stats.ttest_ind(first, second, equal_var=False)
    low, high = theirs.confidence_interval(0.95)
    negative = [-value for value in second]
    found = statistics.mean_of_means([first, negative])
    assert (found.low, found.high) == pytest.approx((low / 2, high / 2), rel=1e-9)
    assert statistics.mean_of_means_test([first, negative]).p == pytest.approx(theirs.pvalue, rel=1e-9)


def test_single_values_have_no_interval() -> None:
    found = statistics.mean_of_means([[1.0, 2.0], [4.0]])
    assert found.estimate == 2.75
    assert math.isnan(found.low)
    assert math.isnan(statistics.welch(Summary(1, 1, 3), Summary(2, math.nan, 1)).p)


def test_slope_is_that_of_ordinary_least_squares() -> None:
    x, y = np.log2([5_000, 10_000, 20_000, 35_000, 50_000]), np.array([80.1, 80.9, 82.4, 82.2, 83.9])
    theirs = sm.OLS(y, sm.add_constant(x)).fit()
    found = statistics.slope(x, y)
    assert (found.estimate, found.low, found.high) == pytest.approx((theirs.params[1], *theirs.conf_int()[1]))
    assert math.isnan(statistics.slope([1, 1], [2, 3]).estimate)
    assert statistics.slope([1, 2], [2, 5]).estimate == pytest.approx(3)


def test_bootstrap_of_many_is_scipys_percentile() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(80, 2, 30)
    theirs = stats.bootstrap((values,), np.mean, method="percentile", rng=rng).confidence_interval
    found = statistics.bootstrap_interval(values)
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.1)


def test_three_seeds_have_twenty_seven_resamples() -> None:
    assert len(statistics.resamples(3)) == 27
    assert statistics.bootstrap_interval([1.0, 2.0, 3.0]).estimate == 2.0


def test_probability_of_best_counts_resamples_by_hand() -> None:
    """The second is ahead by 1 for two seeds of three and behind by 3 for the last: it wins where that is
    never drawn (8 of 27) and no more."""
    scores = [[1.0, 1.0, 4.0], [2.0, 2.0, 1.0]]
    assert statistics.probability_of_best(scores) == pytest.approx([19 / 27, 8 / 27])


def test_ties_are_shared_and_shares_sum_to_one() -> None:
    assert statistics.probability_of_best([[1, 2], [1, 2], [0, 0]]) == pytest.approx([0.5, 0.5, 0])
    many = np.random.default_rng(2).normal(size=(4, 9))
    assert statistics.probability_of_best(many).sum() == pytest.approx(1)
