import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lifelines.utils import concordance_index as lifelines_index
from sksurv.metrics import concordance_index_censored

from medpt.errors import InputError
from medpt.survival.concordance import comparable_pairs, concordance_index, strict_concordance_index

FIXTURE = (
    [1, 2, 2, 3, 3, 4, 5, 5],
    [1, 1, 0, 1, 1, 0, 1, 0],
    [0.9, 0.9, 0.4, 0.6, 0.1, 0.6, 0.2, 0.3],
)
Case = tuple[list[float], list[bool], list[float]]


def naive(time: list[float], event: list[bool], risk: list[float], strict: bool) -> float:
    score, pairs = 0.0, 0
    for i in range(len(time)):
        for j in range(len(time)):
            later = time[j] > time[i] or (not strict and time[j] == time[i] and not event[j] and i != j)
            if event[i] and later:
                pairs += 1
                score += 1.0 if risk[i] > risk[j] else 0.5 if risk[i] == risk[j] and not strict else 0.0
    return score / pairs if pairs else float("nan")


@st.composite
def cohorts(draw: st.DrawFn) -> Case:
    n = draw(st.integers(2, 12))
    times = draw(st.lists(st.sampled_from([1.0, 2.0, 2.5, 3.0, 7.0]), min_size=n, max_size=n))
    events = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    levels = st.sampled_from([-1.0, 0.0, 0.5, 0.5 + 1e-12, 3.0, 1e9])
    return times, events, draw(st.lists(levels, min_size=n, max_size=n))


def random_cohort(seed: int, n: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(1, 15, n).astype(float), rng.random(n) < rng.uniform(0.2, 1), rng.integers(0, 9, n)


def test_fixture_of_the_specification() -> None:
    assert concordance_index(*FIXTURE) == 0.75
    assert strict_concordance_index(*FIXTURE) == pytest.approx(0.72222, abs=1e-5)
    assert comparable_pairs(*FIXTURE[:2]) == 20


@given(cohorts())
def test_both_indices_are_counts_over_pairs(case: Case) -> None:
    for strict, index in ((False, concordance_index), (True, strict_concordance_index)):
        expected = naive(*case, strict)
        if np.isnan(expected):
            with pytest.raises(InputError, match="no comparable pair"):
                index(*case)
        else:
            assert index(*case) == pytest.approx(expected, abs=1e-12)


def test_lifelines_and_scikit_survival_agree_on_two_hundred_tied_and_censored_cohorts() -> None:
    for seed in range(200):
        time, event, risk = random_cohort(seed)
        ours = concordance_index(time, event, risk)
        assert ours == pytest.approx(lifelines_index(time, -risk, event), abs=1e-12)
        assert ours == pytest.approx(concordance_index_censored(event, time, risk)[0], abs=1e-12)
        assert comparable_pairs(time, event) == sum(concordance_index_censored(event, time, risk)[1:4])


def test_only_equal_risks_are_tied_unlike_scikit_survival() -> None:
    time, event, risk = [1.0, 2.0], [True, True], [1e-9, 0.0]
    assert concordance_index(time, event, risk) == 1.0
    assert concordance_index_censored(event, time, risk)[0] == 0.5


@given(cohorts())
def test_reversing_the_risk_mirrors_the_index_and_stretching_it_does_nothing(case: Case) -> None:
    time, event, risk = case
    try:
        index = concordance_index(time, event, risk)
    except InputError:
        return
    assert concordance_index(time, event, [-r for r in risk]) == pytest.approx(1 - index, abs=1e-12)
    assert concordance_index([3 * t + 1 for t in time], event, np.arctan(risk)) == index


def test_constant_risk_scores_a_half_and_nothing_when_strict() -> None:
    time, event, _ = random_cohort(1)
    assert concordance_index(time, event, np.ones(40)) == 0.5
    assert strict_concordance_index(time, event, np.ones(40)) == 0.0


def test_pairs_beyond_32_bits_are_counted() -> None:
    n = 100_000
    time = np.arange(n)
    assert comparable_pairs(time, np.ones(n)) == n * (n - 1) // 2
    assert concordance_index(time, np.ones(n), -time) == 1.0


def test_input_that_is_no_cohort_is_refused_with_every_problem() -> None:
    with pytest.raises(InputError, match="shapes"):
        concordance_index([1, 2], [1, 1], [[0.1], [0.2]])
    with pytest.raises(InputError) as error:
        concordance_index([1, np.nan], [1, 2], [np.nan, np.nan])
    assert [problem.split(":")[1] for problem in error.value.problems] == [" time", " risk", " event"]
    with pytest.raises(InputError, match="no comparable pair"):
        concordance_index([], [], [])


@pytest.mark.parametrize(
    ("time", "event"),
    [
        (np.array(["2020-01-01", "NaT"], "datetime64[D]"), [1, 0]),
        (np.array([1, 2], "timedelta64[D]"), [1, 0]),
        (["1", "2"], [1, 0]),
        ([1, 2], ["dead", "alive"]),
        ([1, 2], np.array(["yes", None], object)),
        ([1, 2 + 1j], [1, 0]),
    ],
)
def test_dates_and_words_are_refused(time: object, event: object) -> None:
    with pytest.raises(InputError, match="accepted: real numbers"):
        concordance_index(time, event, [1.0, 2.0])  # type: ignore[arg-type]
    assert concordance_index([1, 2], np.array([True, False], object), [2.0, 1.0]) == 1


def test_masked_times_are_refused() -> None:
    with pytest.raises(InputError, match="time: masked values"):
        concordance_index(np.ma.masked_array([1.0, 2], mask=[1, 0]), [1, 1], [2, 1])
