"""Regrets, the greedy list and its record, against brute force and plain loops."""

from itertools import combinations
from math import isnan, sqrt
from statistics import fmean, stdev

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from grid.advise.record import (
    ScoreTable,
    chosen_regrets,
    greedy,
    greedy_regrets,
    mean_interval,
    regrets,
    track_record,
)

CELLS = st.one_of(st.none(), st.integers(0, 9))


@st.composite
def tables(draw: st.DrawFn, holes: bool = True) -> ScoreTable:
    sources, columns = draw(st.integers(2, 4)), draw(st.integers(2, 5))
    cells = CELLS if holes else st.integers(0, 9)
    rows = draw(
        st.lists(st.lists(cells, min_size=columns, max_size=columns), min_size=sources, max_size=sources)
    )
    names = draw(st.lists(st.sampled_from("abc"), min_size=columns, max_size=columns))
    scores = np.array([[np.nan if v is None else v for v in row] for row in rows], float)
    return ScoreTable("drawn", tuple(f"s{n}" for n in range(sources)), tuple(names), scores)


def naive_regret(table: ScoreTable, tried: list[int]) -> float:
    """The mean over targets of the mean over their columns; unknown columns are left out."""
    by_target: dict[str, list[float]] = {}
    for column, target in enumerate(table.targets):
        known = [v for v in table.scores[:, column] if not isnan(v)]
        mine = [table.scores[row, column] for row in tried if not isnan(table.scores[row, column])]
        if mine:
            by_target.setdefault(target, []).append(max(known) - max(mine))
    return fmean(map(fmean, by_target.values())) if by_target else float("inf")


@given(tables())
def test_greedy_takes_the_best_next_source(table: ScoreTable) -> None:
    rows = list(range(len(table.sources)))
    order = greedy(table, rows, len(rows))
    assert sorted(order) == rows
    for count, chosen in enumerate(order):
        left = [naive_regret(table, [*order[:count], row]) for row in rows if row not in order[:count]]
        assert naive_regret(table, [*order[:count], chosen]) == pytest.approx(min(left))


@given(tables(holes=False), st.integers(1, 4))
def test_greedy_is_bounded_by_the_best_subset(table: ScoreTable, count: int) -> None:
    """Brute force: equal for one try, never better than the best subset, and never worse with more tries."""
    rows = list(range(len(table.sources)))
    order = greedy(table, rows, count)
    found = naive_regret(table, order)
    best = min(naive_regret(table, list(tried)) for tried in combinations(rows, len(order)))
    assert found >= best - 1e-9
    if count == 1:
        assert found == pytest.approx(best)
    assert found <= naive_regret(table, order[:1]) + 1e-9


@given(tables())
def test_list_of_a_target_does_not_see_its_own_scores(table: ScoreTable) -> None:
    found = greedy_regrets(table, range(len(table.sources)), 2)
    for number, name in enumerate(table.names):
        own = [column for column, target in enumerate(table.targets) if target == name]
        known = [row for row in range(len(table.sources)) if np.isfinite(table.scores[row, own]).any()]
        others = [column for column in range(len(table.targets)) if column not in own]
        rest = ScoreTable("", table.sources, tuple(table.targets[c] for c in others), table.scores[:, others])
        order = greedy(rest, known, 2)
        for tries in (1, 2):
            mine = ScoreTable("", table.sources, (name,) * len(own), table.scores[:, own])
            expected = naive_regret(mine, order[:tries])
            assert found[number, tries - 1] == (
                pytest.approx(expected) if order else pytest.approx(np.nan, nan_ok=True)
            )


SCORES = np.array([[90.0, 80.0, 70.0, 60.0], [85.0, 85.0, 72.0, 64.0], [70.0, 70.0, 74.0, np.nan]])
TABLE = ScoreTable(
    "by hand",
    ("ImageNet", "EyePACS", "random"),
    ("A", "B", "C", "D"),
    SCORES,
    {"probe": np.array([[3.0, 3, 1, 1], [2, 2, 2, np.nan], [1, 1, 3, 3]])},
)


def test_regrets_by_hand() -> None:
    np.testing.assert_allclose(regrets(SCORES, [0]), [0, 5, 4, 4])
    np.testing.assert_allclose(regrets(SCORES, [1]), [5, 0, 2, 0])
    np.testing.assert_allclose(regrets(SCORES, [2]), [20, 15, 0, np.nan])
    assert greedy(TABLE, [0, 1, 2], 3) == [1, 0, 2]
    assert greedy(TABLE, [0, 2], 3) == [0, 2]
    np.testing.assert_allclose(chosen_regrets(TABLE, "probe"), [0, 5, 0, np.nan])  # of D one is known


def test_track_record_lists_every_way_to_choose() -> None:
    found = {way.name: way for way in track_record(TABLE)}
    assert found["always EyePACS"].regret.mean == pytest.approx(7 / 4)
    assert found["the highest probe"].regret.mean == pytest.approx(5 / 3)
    assert found["the highest probe"].targets == 3
    assert found["1 try, chosen greedily on other targets"].regret.mean == pytest.approx(7 / 4)
    assert found["3 tries, chosen greedily on other targets"].regret.mean == 0
    assert found["a source at random"].regret.mean == pytest.approx(fmean([25 / 3, 20 / 3, 2, 2]))
    assert [name for name in found if name.startswith("always")] == [
        "always EyePACS",
        "always ImageNet",
        "always random",
    ]


def test_sources_with_few_targets_are_excluded() -> None:
    scores = np.array([[1.0, 2.0, 3.0], [np.nan, np.nan, 9.0], [2.0, np.nan, 2.0]])
    table = ScoreTable("", ("a", "b", "c"), ("A", "B", "C"), scores).of_targets(["A", "B", "C"])
    assert table.sources == ("a", "c")
    assert table.of_targets(["B"]).sources == ("a",)
    assert table.of_targets([]).sources == ()


@given(
    st.lists(st.floats(0, 50), min_size=2, max_size=8).filter(lambda values: max(values) > min(values) + 1e-6)
)
def test_interval_is_that_of_student(values: list[float]) -> None:
    found = mean_interval(np.array([*values, np.nan]))
    reach = stats.t(len(values) - 1).ppf(0.975) * stdev(values) / sqrt(len(values))
    assert found.mean == pytest.approx(fmean(values))
    assert found.high == pytest.approx(fmean(values) + reach)
    assert found.low == pytest.approx(max(0.0, fmean(values) - reach), abs=1e-9)


def test_one_target_and_equal_regrets_have_no_limits() -> None:
    assert isnan(mean_interval(np.array([2.0])).low)
    assert isnan(mean_interval(np.array([0.0, 0.0, 0.0])).high)
    assert isnan(mean_interval(np.array([])).mean)
