"""Verdicts, the set of the best, what would decide, and new targets: compared with scipy and simulation."""

import math

import numpy as np
import pytest
from scipy import optimize, stats
from statsmodels.stats.multitest import multipletests

from grid.results import verdicts
from grid.results.intervals import Estimates, estimate
from grid.results.variance import Component, Runs, fixed_test


def made(value: float, error: float, df: float = 10.0) -> Estimates:
    """One contrast with seeds alone."""
    zero = np.zeros(1)
    spread = Component(np.array([error**2]), np.array([df]))
    return Estimates(np.array([value]), Component(zero * math.nan, zero * math.nan), spread, zero)


@pytest.mark.parametrize(
    ("value", "error", "verdict"),
    [
        (3.0, 0.5, "better"),
        (-3.0, 0.5, "worse"),
        (0.2, 0.1, "equivalent"),
        (0.5, 0.1, "equivalent"),  # significant, but within the margin
        (0.2, 3.0, "undecided"),
        (1.0, 0.1, "better"),
        (5.0, math.nan, "undecided"),
    ],
)
def test_verdict_follows_the_margin_and_the_p(value: float, error: float, verdict: str) -> None:
    found = made(value, error)
    assert verdicts.verdicts(found, verdicts.holm(verdicts.two_sided(found)), margin=1.0) == [verdict]


def test_probabilities_are_those_of_the_t_distribution() -> None:
    found = made(0.7, 0.5, 6)
    t = stats.t(6, 0.7, 0.5)
    assert verdicts.probability_better(found)[0] == pytest.approx(t.sf(0))
    assert verdicts.probability_equivalent(found, 1.0)[0] == pytest.approx(t.cdf(1) - t.cdf(-1))
    assert verdicts.two_sided(found)[0] == pytest.approx(2 * stats.t.sf(1.4, 6))


def test_holm_excludes_what_was_not_tested() -> None:
    p = [0.01, math.nan, 0.04, 0.03]
    known = multipletests([0.01, 0.04, 0.03], method="holm")[1]
    assert verdicts.holm(p) == pytest.approx([known[0], math.nan, known[1], known[2]], nan_ok=True)
    assert np.isnan(verdicts.holm([math.nan])).all()
    assert len(verdicts.holm([])) == 0


def test_smallest_decidable_difference_is_found_in_four_of_five() -> None:
    rng = np.random.default_rng(0)
    size = float(verdicts.smallest_decidable(made(0, 1.0, 10))[0])
    t = (size + rng.normal(size=20_000)) / np.sqrt(rng.chisquare(10, 20_000) / 10)
    assert np.mean(np.abs(t) > stats.t.ppf(0.975, 10)) == pytest.approx(0.8, abs=0.02)


def test_needed_is_the_smallest_factor_that_decides() -> None:
    found = made(1.0, 1.0, 10)
    factor = float(verdicts.needed(found, "seeds")[0])
    for scale, decides in ((1.0, True), (0.9, False)):
        df, error = 10 * factor * scale, 1 / math.sqrt(factor * scale)
        assert (stats.t.ppf(0.975, df) + stats.t.ppf(0.8, df)) * error <= 1.0 if decides else True
        assert decides or (stats.t.ppf(0.975, df) + stats.t.ppf(0.8, df)) * error > 1.0
    assert verdicts.needed(made(9.0, 1.0), "seeds")[0] == 1
    assert np.isnan(verdicts.needed(made(0.0, 1.0), "seeds")[0])
    assert np.isnan(verdicts.needed(found, "items")[0])  # the items are no part of this variance


def test_needed_splits_leave_the_variance_of_their_overlap() -> None:
    """Five splits, test sets a fourth of the training sets: V = s² (1/K + 1/4), K - 1 degrees of freedom."""
    spread, ratio = 2.0, 0.25

    def made_of(value: float) -> Estimates:
        return made(value, spread * math.sqrt(1 / 5 + ratio), 4)

    def decidable(splits: float) -> float:
        t = stats.t.ppf(0.975, splits - 1) + stats.t.ppf(0.8, splits - 1)
        return float(t * spread * math.sqrt(1 / splits + ratio))

    splits = 5 * float(verdicts.needed(made_of(4.0), "seeds", overlap=ratio)[0])
    assert splits == pytest.approx(optimize.brentq(lambda k: decidable(k) - 4.0, 5, 1000), rel=1e-3)
    never = 0.99 * (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) * spread * math.sqrt(ratio)
    assert np.isnan(verdicts.needed(made_of(never), "seeds", overlap=ratio)[0])
    factor = float(verdicts.needed(made_of(never), "items", overlap=ratio)[0])
    assert decidable(5) / math.sqrt(factor) == pytest.approx(never, rel=1e-3)


def group(means: list[float], rng: np.random.Generator, runs: int = 3, n: int = 200) -> list[Runs]:
    """Cells whose test images and seeds vary; the metric is a mean over images."""
    items, seeds = rng.normal(0, 6, n), rng.normal(0, 1, (len(means), runs, 1))
    scores = np.array(means)[:, None, None] + items + seeds + rng.normal(0, 6, (len(means), runs, n))
    return [
        Runs(s.mean(1), np.arange(runs), np.zeros(runs, int), s - s.mean(1, keepdims=True)) for s in scores
    ]


def test_set_of_the_best_has_the_best_and_not_the_far_ones() -> None:
    rng = np.random.default_rng(0)
    kept = []
    for _ in range(200):
        runs = group([70, 70, 69.8, 60], rng)
        kept.append(verdicts.set_of_the_best(fixed_test(runs, np.arange(200), "set"), 4))
    assert np.mean([0 in cells for cells in kept]) >= 0.95
    assert np.mean([3 in cells for cells in kept]) < 0.05
    assert verdicts.set_of_the_best(fixed_test(group([1.0], rng), np.arange(200), "set"), 1) == [0]


def test_set_of_the_best_without_spread_keeps_all() -> None:
    runs = [Runs(np.array([value]), np.array([0]), np.array([0])) for value in (70.0, 60.0)]
    assert verdicts.set_of_the_best(fixed_test(runs, None, "set"), 2) == [0, 1]


def test_over_targets_is_the_random_effects_mean() -> None:
    values, variances = np.array([1.0, 2.0, 4.0, 7.0]), np.array([0.5, 0.3, 0.2, 1.0])

    def excess(tau2: float) -> float:  # Paule and Mandel 1982
        weights = 1 / (variances + tau2)
        return float((weights * (values - weights @ values / weights.sum()) ** 2).sum() - 3)

    tau2 = optimize.brentq(excess, 0, 100)
    weights = 1 / (variances + tau2)
    mean, error = weights @ values / weights.sum(), 1 / math.sqrt(weights.sum())
    found = verdicts.over_targets([*values, 9.0], [*variances, math.nan])
    assert (found.mean, found.tau, found.targets) == pytest.approx((mean, math.sqrt(tau2), 4), rel=1e-3)
    assert found.high - found.mean == pytest.approx(stats.t.ppf(0.975, 3) * error, rel=1e-3)
    assert found.new_high - found.mean == pytest.approx(
        stats.t.ppf(0.975, 2) * math.sqrt(tau2 + error**2), rel=1e-3
    )


def test_over_few_targets_there_is_no_prediction() -> None:
    two = verdicts.over_targets([1.0, 1.0], [0.5, 0.5])
    assert two.high > two.mean > two.low  # equal values do not make it certain
    assert math.isnan(two.new_low)
    one = verdicts.over_targets([1.0], [0.5])
    assert (one.mean, one.targets, math.isnan(one.low)) == (1.0, 1, True)
    assert math.isnan(verdicts.over_targets([], []).mean)


def test_prediction_interval_covers_new_targets() -> None:
    rng = np.random.default_rng(0)
    hits = []
    for _ in range(1_000):
        truth = rng.normal(2, 1.5, 7)
        found = verdicts.over_targets(list(truth[:6] + rng.normal(0, 0.5, 6)), [0.25] * 6)
        hits.append(found.new_low < truth[6] < found.new_high)
    assert np.mean(hits) == pytest.approx(0.95, abs=0.05)


def test_contrasts_of_simulated_cells_have_nominal_coverage() -> None:
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(400):
        found = estimate([(fixed_test(group([70, 68], rng), np.arange(200), "set"), [1, -1])])
        low, high = found.limits()
        covered.append(low[0] < 2 < high[0])
    assert 0.925 <= np.mean(covered) <= 0.985
