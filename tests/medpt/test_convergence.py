"""Which steps are evaluated, and which is the first to reach a score."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from medpt.convergence import early_steps, first_step, steps_to_95

FALLING = [{"step": s, "val_loss": v} for s, v in ((40, 0.2), (10, 0.5), (20, 0.22), (30, 0.205))]


def test_early_steps_are_half_an_octave_apart_up_to_two_intervals() -> None:
    expected = [10, 14, 20, 28, 40, 57, 80, 113, 160, 226, 320, 453, 640, 905]
    assert sorted(early_steps(500, 30_000)) == expected
    assert sorted(early_steps(9, 30_000)) == [10, 14]
    assert early_steps(5, 30_000) == frozenset()


@given(st.integers(1, 2_000), st.integers(1, 2_000))
def test_all_evaluations_together_tell_steps_apart_by_less_than_a_factor_of_two(
    interval: int, most: int
) -> None:
    early = early_steps(interval, most)
    assert not any(step % interval == 0 or step >= most for step in early)
    steps = sorted({*early, *range(interval, most + 1, interval), most})
    assert all(b <= 1.55 * a or b - a <= 2 for a, b in pairwise(steps) if a >= 10)


@given(st.lists(st.tuples(st.integers(1, 99), st.floats(0, 1)), max_size=20), st.floats(0, 1))
def test_first_step_is_the_least_one_with_the_score(pairs: list[tuple[int, float]], wanted: float) -> None:
    rows = [{"step": step, "val_auc": value} for step, value in pairs]
    assert first_step(rows, "val_auc", wanted) == min((s for s, v in pairs if v >= wanted), default=None)


def test_steps_to_95_of_a_metric_that_falls() -> None:
    assert steps_to_95(FALLING, "val_loss", 0.2, higher_is_better=False) == 30
    assert first_step(FALLING, "val_loss", 0.1, higher_is_better=False) is None


def test_rows_without_the_metric_are_passed_over() -> None:
    assert steps_to_95([{"step": 5}, {"step": 9, "val_auc": 0.9}], "val_auc", 0.9) == 9
    assert first_step([], "val_auc", 0.5) is None
