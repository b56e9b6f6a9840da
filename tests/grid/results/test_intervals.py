"""Estimates of contrasts: compared with the formulas written out run by run, and with a bootstrap."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from grid.results.intervals import Estimates, estimate
from grid.results.variance import RepeatedSplits, Runs, fixed_test


def cell(values: Sequence[float], influence: np.ndarray | None = None, pretrainings: int = 1) -> Runs:
    """The runs of a cell, with equal numbers of seeds in each pre-training."""
    count = len(values) // pretrainings
    seeds, first = np.tile(np.arange(count), pretrainings), np.repeat(np.arange(pretrainings), count)
    return Runs(np.array(values, float), seeds, first, influence)


@st.composite
def cells(draw: st.DrawFn) -> tuple[list[Runs], np.ndarray]:
    """Cells of one group with one to three pre-trainings and seeds, and the patients of their test items."""
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    n = draw(st.integers(4, 12))
    patients = np.unique(rng.integers(0, n, n), return_inverse=True)[1]
    found = []
    for _ in range(draw(st.integers(2, 4))):
        pretrainings, seeds = draw(st.integers(1, 3)), draw(st.integers(1, 3))
        influence = rng.normal(size=(pretrainings * seeds, n)) + rng.normal(size=n)
        influence -= influence.mean(1, keepdims=True)
        found.append(cell(rng.normal(70, 3, pretrainings * seeds), influence, pretrainings))
    return found, patients


def written_out(runs: list[Runs], patients: np.ndarray, signs: list[int]) -> tuple[float, float, float]:
    """D, V and nu of a contrast by the numbered steps of the estimator, one run after the other."""
    n, clusters = len(patients), len(set(patients.tolist()))
    weights = []
    for a, sign in zip(runs, signs, strict=True):
        firsts = a.pretrainings.tolist()
        weights.append([sign / len(set(firsts)) / firsts.count(p) for p in firsts])
    difference = sum(
        w * y for a, ws in zip(runs, weights, strict=True) for w, y in zip(ws, a.values, strict=True)
    )
    sums = [0.0] * clusters
    for a, ws in zip(runs, weights, strict=True):
        assert a.influence is not None
        for w, row in zip(ws, a.influence, strict=True):
            for i, f in enumerate(row):
                sums[patients[i]] += w * f
    items = clusters / (clusters - 1) * sum(f**2 for f in sums) / n**2
    kurtosis = clusters * sum(f**4 for f in sums) / sum(f**2 for f in sums) ** 2
    items_df = max(1, min(clusters - 1, 2 * clusters / (kurtosis - 1)))

    within, dfs = [], []
    for a in runs:
        blocks = [a.values[a.pretrainings == p] for p in set(a.pretrainings.tolist())]
        within.append(sum(float(((b - b.mean()) ** 2).sum()) for b in blocks))
        dfs.append(sum(len(b) - 1 for b in blocks))
    pooled = sum(within) / sum(dfs) if sum(dfs) else 0.0
    seeds = [(4 * pooled + s) / (4 + n_a) for s, n_a in zip(within, dfs, strict=True)]
    squares, between_df = 0.0, 0
    for a in runs:
        means = [a.values[a.pretrainings == p].mean() for p in sorted(set(a.pretrainings.tolist()))]
        if len(means) > 1:
            squares += len(a.values) / len(means) * float(((means - np.mean(means)) ** 2).sum())
            between_df += len(means) - 1
    spread = shared = inverse = 0.0
    for a, ws, s, n_a in zip(runs, weights, seeds, dfs, strict=True):
        factor = sum(w**2 for w in ws)
        if len(set(a.pretrainings.tolist())) > 1 and squares / between_df > s:
            shared += squares / between_df * factor
        elif s:
            spread += s * factor
            inverse += (s * factor) ** 2 / min(4 + n_a, sum(dfs))
    inverse += shared**2 / between_df if shared else 0.0
    most = sum(dfs) + (
        between_df
        if any(
            len(set(a.pretrainings.tolist())) > 1 and squares / between_df > s
            for a, s in zip(runs, seeds, strict=True)
        )
        else 0
    )
    spread += shared
    spread_df = min(spread**2 / inverse, most) if spread else 1.0

    twice = 0.0
    for a, ws in zip(runs, weights, strict=True):
        assert a.influence is not None
        if len(a.values) > 1:
            rest = a.influence - a.influence.mean(0)
            by_patient = [[row[patients == g].sum() for g in range(clusters)] for row in rest]
            per_run = sum(e**2 for row in by_patient for e in row) / (len(a.values) - 1) / n**2
            twice += clusters / (clusters - 1) * per_run * sum(w**2 for w in ws)
    total = max(items + spread - twice, items, spread)
    return difference, total, total**2 / (items**2 / items_df + spread**2 / spread_df)


@settings(max_examples=60)
@given(cells())
def test_estimate_equals_the_steps_written_out(case: tuple[list[Runs], np.ndarray]) -> None:
    runs, patients = case
    if len(set(patients.tolist())) < 3:
        return
    signs = [1, -1, *[0] * (len(runs) - 2)]
    found = estimate([(fixed_test(runs, patients, "set"), signs)])
    difference, variance, df = written_out(runs, patients, signs)
    assert found.value[0] == pytest.approx(difference)
    assert found.variance[0] == pytest.approx(variance)
    assert found.df[0] == pytest.approx(df)
    low, high = (float(limit[0]) for limit in found.limits())
    assert (low, high) == pytest.approx(stats.t.interval(0.95, df, difference, math.sqrt(variance)))
    assert found.below(0)[0] == pytest.approx(stats.t.sf(difference / math.sqrt(variance), df))


@settings(max_examples=30)
@given(cells())
def test_contrasts_are_antisymmetric_and_equal_one_by_one(case: tuple[list[Runs], np.ndarray]) -> None:
    runs, patients = case
    group = fixed_test(runs, patients, "set")
    rows = np.zeros((2, len(runs)))
    rows[0, :2], rows[1, :2] = (1, -1), (-1, 1)
    both = estimate([(group, rows)])
    assert both.value[0] == pytest.approx(-both.value[1])
    for part in ("variance", "df"):
        assert getattr(both, part)[0] == pytest.approx(getattr(both, part)[1], nan_ok=True)
        one = getattr(estimate([(group, rows[1])]), part)[0]
        assert one == pytest.approx(getattr(both, part)[1], nan_ok=True)


def only(found: Estimates) -> tuple[float, float]:
    return float(found.variance[0]), float(found.df[0])


def test_seeds_alone_are_students_t_of_one_cell_and_pooled_in_a_group() -> None:
    values = [70.0, 72.0, 77.0]
    alone = estimate([(fixed_test([cell(values)], None, "set"), [1])])
    assert only(alone) == pytest.approx((np.var(values, ddof=1) / 3, 2))
    assert np.isnan(alone.items.variance[0])
    group = fixed_test([cell(values), cell([60.0, 60.5, 61.0])], None, "set")
    variance, df = only(estimate([(group, [1, -1])]))
    pooled = (np.var(values, ddof=1) + 0.25) / 2
    assert variance == pytest.approx(2 * pooled / 3)
    assert df == 4  # of both cells together, not of what each of them borrows


def test_one_seed_uses_items_alone() -> None:
    influence = np.random.default_rng(0).normal(size=(2, 40))
    influence -= influence.mean(1, keepdims=True)
    group = fixed_test([cell([70], influence[:1]), cell([60], influence[1:])], np.arange(40), "set")
    found = estimate([(group, [1, -1])])
    paired = influence[0] - influence[1]
    assert only(found)[0] == pytest.approx(paired.var(ddof=1) / 40)
    assert found.repeats.variance[0] == 0


@pytest.mark.parametrize("values", [[70.0], [70.0, 70.0, 70.0], [0.1 + 0.2, 0.3, 0.3]])
def test_without_spread_there_is_no_interval(values: list[float]) -> None:
    group = fixed_test([cell(values), cell([x + 8 for x in values])], None, "set")
    found = estimate([(group, [1, -1])])
    assert np.isnan([found.variance[0], *found.limits()[0], found.below(0)[0]]).all()


def test_identical_seeds_leave_the_items() -> None:
    influence = np.random.default_rng(0).normal(size=20)
    rows = np.tile(influence - influence.mean(), (3, 1))
    group = fixed_test([cell([70, 70, 70], rows), cell([60, 60, 60], -rows)], np.arange(20), "set")
    found = estimate([(group, [1, -1])])
    assert found.repeats.variance[0] == 0
    assert found.variance[0] == pytest.approx(4 * rows[0].var(ddof=1) / 20)


def test_fewer_than_three_patients_give_no_item_variance() -> None:
    rows = np.array([[1.0, -1, 2, -2]])
    group = fixed_test([cell([70], rows), cell([60], -rows)], np.array([0, 0, 1, 1]), "set")
    assert np.isnan(estimate([(group, [1, -1])]).variance[0])


def test_seeds_that_draw_images_are_paired_if_none_is_missing() -> None:
    draws = np.array([-6.0, 0.0, 6.0])
    runs = [cell(70 + draws + [0.1, -0.2, 0.1]), cell(60 + draws + [-0.1, 0.3, -0.2])]
    paired = estimate([(fixed_test(runs, None, "set", seeds_draw=True), [[1, -1], [1, 0]])])
    plain = estimate([(fixed_test(runs, None, "set"), [[1, -1], [1, 0]])])
    assert paired.variance[0] == pytest.approx(np.var(runs[0].values - runs[1].values, ddof=1) / 3)
    assert paired.variance[0] < plain.variance[0] / 100
    assert paired.variance[1] == plain.variance[1]  # of a cell itself, draws are variance
    runs[1] = cell(runs[1].values[:2])
    unpaired = estimate([(fixed_test(runs, None, "set", seeds_draw=True), [1, -1])])
    assert unpaired.variance[0] == estimate([(fixed_test(runs, None, "set"), [1, -1])]).variance[0]


def test_repeated_splits_have_the_corrected_resampled_variance() -> None:
    first, second = {0: 60.0, 1: 66.0, 2: 62.0, 3: 50.0}, {0: 55.0, 1: 60.0, 2: 60.0}
    found = estimate([(RepeatedSplits([first, second], 0.25), [1, -1])])
    differences = [5.0, 6.0, 2.0]  # of the splits that both have
    assert found.value[0] == pytest.approx(np.mean(differences))
    assert only(found) == pytest.approx((np.var(differences, ddof=1) * (1 / 3 + 0.25), 2))
    same = {split: value - 8 for split, value in first.items()}
    assert np.isnan(estimate([(RepeatedSplits([first, same], 0.25), [1, -1])]).variance[0])


def test_groups_add_and_equal_test_sets_share_their_items() -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(2, 60))
    rows -= rows.mean(1, keepdims=True)
    runs = [cell([70], rows[:1]), cell([65], rows[1:])]
    one, again = (fixed_test(runs, np.arange(60), name) for name in ("set", "set"))
    other = fixed_test(runs, np.arange(60), "other set")
    alone = estimate([(one, [0.5, -0.5])]).variance[0]
    assert estimate([(one, [0.5, -0.5]), (other, [0.5, -0.5])]).variance[0] == pytest.approx(2 * alone)
    assert estimate([(one, [0.5, -0.5]), (again, [0.5, -0.5])]).variance[0] == pytest.approx(4 * alone)


def test_group_of_unknown_variance_leaves_the_sum_without_an_interval() -> None:
    """Its share of the variance would be taken as 0, and the interval be that of the other group alone."""
    known = fixed_test([cell([70, 71, 72]), cell([80, 81, 82])], None, None)
    unknown = fixed_test([cell([70]), cell([20])], None, None)
    found = estimate([(known, [[0.5, -0.5], [0.5, -0.5]]), (unknown, [[0.5, -0.5], [0, 0]])])
    assert found.value.tolist() == [20.0, -5.0]
    assert np.isnan(found.variance).tolist() == [True, False]
    assert np.isnan(found.limits()[0]).tolist() == [True, False]


def test_group_without_spread_but_with_items_is_known() -> None:
    rows = np.random.default_rng(0).normal(size=(2, 9))
    repeated = fixed_test([cell([70, 71]), cell([80, 82])], None, None)
    perfect = fixed_test([cell([100], np.zeros((1, 9))), cell([100], np.zeros((1, 9)))], np.arange(9), "set")
    single = fixed_test([cell([70], rows[:1]), cell([60], rows[1:])], np.arange(9), "other set")
    for group in (perfect, single):
        assert np.isfinite(estimate([(repeated, [[1, -1]]), (group, [[1, -1]])]).variance).all()


def test_runs_without_items_leave_the_seeds_of_that_contrast_alone() -> None:
    rows = np.random.default_rng(0).normal(size=(2, 30))
    rows -= rows.mean(1, keepdims=True)
    runs = [cell([70, 71], rows), cell([60, 62], rows), cell([61, 62])]
    found = estimate([(fixed_test(runs, np.arange(30), "set"), [[1, -1, 0], [1, 0, -1]])])
    assert np.isnan(found.items.variance).tolist() == [False, True]
    assert (found.variance > 0).all()


def test_interval_covers_what_a_two_way_bootstrap_of_many_seeds_covers() -> None:
    """Images and 200 seeds, each resampled with replacement 2,000 times."""
    rng = np.random.default_rng(3)
    scores = [
        rng.normal(m, 8, 80) + rng.normal(0, 2, 200)[:, None] + rng.normal(0, 3, (200, 80)) for m in (70, 68)
    ]
    runs = [cell(s.mean(1), s - s.mean(1, keepdims=True)) for s in scores]
    found = estimate([(fixed_test(runs, np.arange(80), "set"), [1, -1])])
    means = []
    for _ in range(2_000):
        items = np.bincount(rng.integers(0, 80, 80), minlength=80) / 80
        seeds = [np.bincount(rng.integers(0, 200, 200), minlength=200) / 200 for _ in scores]
        means.append(seeds[0] @ scores[0] @ items - seeds[1] @ scores[1] @ items)
    assert float(found.error[0]) == pytest.approx(np.std(means), rel=0.06)
