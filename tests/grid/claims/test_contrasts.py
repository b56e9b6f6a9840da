"""The contrasts behind claims, against a brute-force reading of their rules."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from grid.claims import contrasts, parts, statements
from grid.claims.contrasts import Candidates, best_of_several, order
from grid.claims.scores import Key, Position, Score, Scores
from grid.claims.statements import Part
from grid.results.variance import Runs, fixed_test

SEEDS = np.arange(4)
PART = Part(())


def drawn(named: dict[str, list[str]], raised: dict[tuple[str, str], float], seed: int = 0) -> Scores:
    """Cells of one network by target, with four seeds each around their level."""
    rng = np.random.default_rng(seed)
    cells: dict[Key, Score] = {}
    positions: dict[Key, Position] = {}
    for target, names in named.items():
        values = rng.normal(size=(len(names), len(SEEDS)))
        values += np.array([[raised.get((name, target), 0.0)] for name in names])
        group = fixed_test([Runs(row, SEEDS, 0 * SEEDS) for row in values], None, None)
        for number, name in enumerate(names):
            key = ("net", name, target, 1.0)
            cells[key] = Score(float(values[number].mean()), float(values[number].std(ddof=1)), 4, 4)
            positions[key] = Position(group, number, len(names))
    return Scores(cells, positions)


def group(target: str, upper: list[str], lower: list[str]) -> Candidates:
    return Candidates("", *(tuple(("net", name, target, 1.0) for name in side) for side in (upper, lower)))


@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=4))
def test_best_of_several_is_the_smallest_of_the_largest_p_times_their_number(rows: list[list[float]]) -> None:
    expected = min(1.0, len(rows) * min(max(row) for row in rows))
    assert best_of_several(np.array(rows)) == expected


def test_named_best_takes_the_nearest_rival_over_the_places_that_name_it() -> None:
    known = drawn(
        {"x": ["A", "B", "C"], "y": ["A", "B", "D"]},
        {("A", "x"): 9.0, ("A", "y"): 9.0, ("D", "y"): 8.5},
        seed=1,
    )
    groups = [group("x", ["A"], ["B", "C"]), group("y", ["A"], ["B", "D"])]
    means = {key[1:3]: score.mean for key, score in known.cells.items()}
    found = order(PART, groups, known)
    assert found.contrast.value[0] == pytest.approx(means["A", "y"] - means["D", "y"])
    assert found.p == pytest.approx(one_sided(known, {("A", "y"): 1.0, ("D", "y"): -1.0}))


def one_sided(known: Scores, weights: dict[tuple[str, str], float]) -> float:
    """p of a weighted sum of cells of one target, by the formula for one group of equal cells."""
    stds = np.array([score.std for key, score in known.cells.items() if key[2] == "y"], float)
    value = sum(w * known.cells["net", name, target, 1.0].mean for (name, target), w in weights.items())
    own = {key[1:3]: 3 * (score.std or 0.0) ** 2 for key, score in known.cells.items()}
    df, pooled = 4 + 3.0, float((stds**2).mean())
    terms = np.array([(4 * pooled + own[key]) / df * w**2 / 4 for key, w in weights.items()])
    satterthwaite = min(terms.sum() ** 2 / (terms**2 / min(df, 9)).sum(), 9)
    return float(stats.t.sf(value / np.sqrt(terms.sum()), satterthwaite))


@pytest.mark.parametrize("tied", [("B", "x"), ("D", "y"), ("B", "y")])
def test_tie_with_a_rival_anywhere_it_is_named_is_no_support(tied: tuple[str, str]) -> None:
    named = {"x": ["A", "B", "C"], "y": ["A", "B", "D"]}
    groups = [group("x", ["A"], ["B", "C"]), group("y", ["A"], ["B", "D"])]
    raised = {("A", "x"): 3.0, ("A", "y"): 3.0} | {
        (tied[0], target): 3.0 for target, names in named.items() if tied[0] in names
    }
    p = np.array([order(PART, groups, drawn(named, raised, seed)).p for seed in range(200)])
    assert (p < 0.05).mean() <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


def test_one_of_several_is_found_for_its_number_times_the_smallest_p() -> None:
    known = drawn({"x": ["A", "B", "C"]}, {("B", "x"): 9.0})
    found = order(PART, [group("x", ["A", "B"], ["C"])], known)
    alone = [order(PART, [group("x", [name], ["C"])], known) for name in ("A", "B")]
    assert found.p == pytest.approx(min(1.0, 2 * min(one.p for one in alone)))
    assert found.opposite == pytest.approx(max(one.opposite for one in alone))


def test_fewer_steps_are_better() -> None:
    known = drawn({"x": ["A", "B"]}, {("B", "x"): -9.0})
    found = order(Part((), measure="dense_steps_to_95"), [group("x", ["A"], ["B"])], known)
    assert found.p < 0.001 < found.opposite
    assert found.contrast.value[0] > 0


def test_every_pair_of_candidates_meets_somewhere() -> None:
    for claim in statements.load():
        for part in claim.parts:
            groups = [one for block in part.cells for one in parts.candidates_of(block, {})]
            sides = [contrasts._names([getattr(one, side) for one in groups]) for side in ("upper", "lower")]
            for upper, lower in product(*sides):
                assert contrasts._terms(groups, upper, lower, 1.0), (claim.id, upper, lower)
