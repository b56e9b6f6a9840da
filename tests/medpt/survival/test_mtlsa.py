from dataclasses import replace

import cvxpy
import numpy as np
import pytest
from cohorts import planted
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import isotonic_regression

from medpt.errors import InputError
from medpt.survival import mtlsa
from medpt.survival.concordance import concordance_index
from medpt.survival.mtlsa import Options, Problem, State, admm, lambda_max, null_state, objective, project

EXACT = Options(interval_days=1, iterations=20_000, tolerance=1e-9, inner_tolerance=1e-10)


def survival_problem(seed: int, n: int = 30, d: int = 5) -> Problem:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    time = np.ceil(rng.exponential(4, n) * np.exp(-0.7 * x[:, 0])).clip(1, 12)
    x = np.column_stack([np.ones(n), (x - x.mean(0)) / x.std(0)])
    return Problem(x, *mtlsa.targets(time, rng.random(n) < 0.6, EXACT))


def arbitrary_problem(seed: int, n: int = 20, d: int = 4, k: int = 7) -> Problem:
    """Targets that no survival has: the cone binds everywhere."""
    rng = np.random.default_rng(seed)
    w = (rng.random((n, k)) < 0.7).astype(float)
    w[0] = 1
    return Problem(np.column_stack([np.ones(n), rng.normal(size=(n, d))]), rng.normal(0.5, 1, size=(n, k)), w)


def by_cvxpy(problem: Problem, sparsity: float, ridge: float, cone: bool = True) -> float:
    b = cvxpy.Variable((problem.x.shape[1], problem.y.shape[1]))
    answers = problem.x @ b
    misfit = cvxpy.sum_squares(cvxpy.multiply(problem.w, problem.y - answers)) / 2
    penalty = ridge / 2 * cvxpy.sum_squares(b[1:]) + sparsity * cvxpy.sum(cvxpy.norm(b[1:], 2, axis=1))
    bounds = [answers >= 0, answers[:, 1:] <= answers[:, :-1]] if cone else []
    task = cvxpy.Problem(cvxpy.Minimize(misfit + penalty), bounds)
    task.solve(solver="CLARABEL", tol_gap_abs=1e-9, tol_gap_rel=1e-9, tol_feas=1e-9)
    return float(task.value)


def violation(problem: Problem, b: np.ndarray) -> float:
    answers = problem.x @ b
    return float(max(-answers.min(), np.diff(answers).max()))


def test_worked_example_of_targets() -> None:
    time, event = np.array([3.0, 6.0, 7.0]), np.array([True, False, True])
    y, w = mtlsa.targets(time, event, EXACT)
    assert y.astype(int).tolist() == [[1, 1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1, 0], [1] * 7]
    assert w.astype(int).tolist() == [[1] * 7, [1, 1, 1, 1, 1, 1, 0], [1] * 7]


def test_intervals_are_months_and_late_ends_are_merged() -> None:
    time, event = np.array([1.0, 30.44, 31.0, 400.0]), np.array([True, True, False, True])
    y, w = mtlsa.targets(time, event, Options(max_intervals=3))
    assert y.sum(1).tolist() == [1, 1, 2, 3]
    assert w.tolist() == [[1, 1, 1], [1, 1, 1], [1, 1, 0], [1, 1, 1]]


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 9))
def test_projection_is_isotonic_regression_of_each_row(seed: int, n: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    values, weights = rng.normal(size=(n, k)), rng.uniform(0.1, 11, size=(n, k))
    rows = zip(values, weights, strict=True)
    expected = [isotonic_regression(v, sample_weight=w, increasing=False).clip(0) for v, w in rows]
    assert project(values, weights) == pytest.approx(np.array(expected), abs=1e-10)


def test_projection_is_that_of_a_quadratic_program() -> None:
    rng = np.random.default_rng(1)
    values, weights = rng.normal(size=(3, 8)), rng.uniform(1, 11, size=(3, 8))
    m = cvxpy.Variable((3, 8))
    misfit = cvxpy.sum(cvxpy.multiply(weights, cvxpy.square(m - values)))
    cvxpy.Problem(cvxpy.Minimize(misfit), [m >= 0, m[:, 1:] <= m[:, :-1]]).solve(solver="CLARABEL")
    assert project(values, weights) == pytest.approx(m.value, abs=1e-5)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("share", [0.5, 0.05])
@pytest.mark.parametrize("make", [survival_problem, arbitrary_problem])
def test_solver_reaches_the_optimum_of_a_convex_solver(make: object, seed: int, share: float) -> None:
    assert callable(make)
    problem, options = make(seed), replace(EXACT, ridge=0.3 * (seed % 2))
    sparsity = share * lambda_max(problem)
    b = admm(problem, sparsity, null_state(problem, options), options).b
    best = by_cvxpy(problem, sparsity, options.ridge)
    assert objective(problem, b, sparsity, options.ridge) == pytest.approx(best, abs=1e-6)
    assert violation(problem, b) < 1e-6


def test_more_iterations_come_nearer_to_the_optimum() -> None:
    problem = arbitrary_problem(2)
    best = by_cvxpy(problem, 0.5, 0.0)
    start = State(np.zeros((5, 7)), np.zeros((20, 7)))
    ends = [admm(problem, 0.5, start, replace(EXACT, iterations=count)).b for count in (1, 20, 400)]
    gaps = [abs(objective(problem, b, 0.5, 0.0) - best) + violation(problem, b) for b in ends]
    assert gaps[0] > 10 * gaps[1] > 100 * gaps[2]
    assert objective(problem, ends[2], 0.5, 0.0) < objective(problem, start.b, 0.5, 0.0)


def test_authors_settings_are_near_the_optimum_of_a_survival_problem() -> None:
    problem = survival_problem(0)
    sparsity = 0.05 * lambda_max(problem)
    b = admm(problem, sparsity, null_state(problem, Options()), Options()).b
    assert objective(problem, b, sparsity, 0.0) == pytest.approx(by_cvxpy(problem, sparsity, 0.0), rel=1e-3)


def test_authors_projection_is_not_the_minimum() -> None:
    problem, options = arbitrary_problem(2), replace(EXACT, rho=1.0, authors_projection=True, iterations=500)
    exact = project(np.array([[0.0, 1.0]]), np.array([[1.0, 3.0]]))
    assert exact == pytest.approx(np.array([[0.75, 0.75]]))
    ends = [admm(problem, 0.5, null_state(problem, o), o) for o in (options, replace(EXACT, rho=1.0))]
    assert np.abs(ends[0].u - ends[1].u).max() > 1e-3


def test_without_penalty_and_with_all_known_it_is_least_squares_where_that_is_feasible() -> None:
    rng = np.random.default_rng(0)
    x = np.column_stack([np.ones(60), rng.uniform(-1, 1, size=(60, 3))])
    b = np.vstack([np.linspace(0.9, 0.3, 6), rng.uniform(-0.01, 0.01, size=(3, 6))])
    y = x @ b + rng.normal(0, 1e-4, size=(60, 6))
    problem = Problem(x, y, np.ones_like(y))
    expected = np.linalg.lstsq(x, y, rcond=None)[0]
    assert violation(problem, expected) < 0
    assert admm(problem, 0.0, null_state(problem, EXACT), EXACT).b == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("seed", range(5))
def test_at_lambda_max_no_feature_is_used_and_below_it_one_is(seed: int) -> None:
    problem = survival_problem(seed)
    largest = lambda_max(problem)
    start = State(np.random.default_rng(seed).normal(size=(6, problem.y.shape[1])), 0 * problem.y)
    assert np.abs(admm(problem, 1.0001 * largest, start, EXACT).b[1:]).max() == 0
    assert np.abs(admm(problem, 0.95 * largest, start, EXACT).b[1:]).max() > 1e-4


def test_unconstrained_variant_is_the_minimum_without_the_cone() -> None:
    problem = arbitrary_problem(1)
    b = mtlsa.unconstrained(problem, 0.5, null_state(problem, EXACT), EXACT).b
    assert objective(problem, b, 0.5, 0.0) == pytest.approx(by_cvxpy(problem, 0.5, 0.0, cone=False), abs=1e-6)


def fitted_index(seed: int, options: Options, shuffled: bool = False) -> float:
    x, time, event = planted(seed, shuffled=shuffled)
    prediction = mtlsa.predict_from(x[:80], time[:80], event[:80], x, seed, options)
    return concordance_index(time[80:], event[80:], prediction.risk[80:])


FAST = Options(path=8, iterations=30, interval_days=61)


@pytest.mark.parametrize("options", [FAST, replace(FAST, interval_days=5, max_intervals=250)])
def test_planted_risk_is_found(options: Options) -> None:
    assert min(fitted_index(seed, options) for seed in range(2)) >= 0.7


def test_shuffled_times_leave_nothing_to_find() -> None:
    assert np.mean([fitted_index(seed, FAST, shuffled=True) for seed in range(8)]) == pytest.approx(
        0.5, abs=0.1
    )


@settings(max_examples=3, deadline=None)
@given(st.integers(0, 100))
def test_patient_s_risk_does_not_depend_on_who_else_is_asked_about(seed: int) -> None:
    x, time, event = planted(seed, 60)
    alone = mtlsa.predict_from(x[:50], time[:50], event[:50], x[55:56], seed, FAST).risk
    among = mtlsa.predict_from(x[:50], time[:50], event[:50], x, seed, FAST).risk
    assert among[55] == pytest.approx(alone[0], abs=1e-9)


def test_facts_tell_of_the_choice() -> None:
    x, time, event = planted(1)
    facts = mtlsa.predict_from(x, time, event, x, 0, FAST).facts
    assert 0.01 <= facts["lambda_share"] < 1
    assert 1 <= facts["features"] <= 6
    assert facts["cv_c_index"] > 0.7
    assert facts["intervals"] == min(np.ceil(time.max() / 61), 120)


def test_what_cannot_be_fitted_is_refused() -> None:
    x, time, event = planted(1)
    with pytest.raises(InputError, match="720 values"):
        mtlsa.predict_from(np.full_like(x, np.nan), time, event, x, 0, FAST)
    with pytest.raises(InputError, match="0 deaths of 120"):
        mtlsa.predict_from(x, time, np.zeros_like(event), x, 0, FAST)
