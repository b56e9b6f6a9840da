"""The simulation of the claims: its worlds, and that it runs to a table."""

import numpy as np

from bench.claims import EFFECT, candidates, claims, draw, judged, levels_of, main, members
from grid.results.comparisons import MARGIN


def test_simulation_has_all_claims_on_trials() -> None:
    assert {claim.id for claim in claims()} == {f"C{n}" for n in range(1, 22)} - {"C13", "C14", "C20"}


def test_worlds_raise_the_named_side() -> None:
    claim = next(claim for claim in claims() if claim.id == "C6")
    group = candidates(claim.parts[0])[0]
    drawn = draw(members(claim.parts), levels_of(claim, "effect"), np.random.default_rng(0))
    means = [drawn.cells[key].mean for key in (*group.upper, *group.lower)]
    assert means[0] > max(means[1:])
    assert levels_of(claim, "tie")[group.lower[0]] == EFFECT
    assert levels_of(claim, "null") == {}


def test_rarest_rival_ties_where_it_is_named_alone() -> None:
    claim = next(claim for claim in claims() if claim.id == "C6")
    raised = {key[1] for key, level in levels_of(claim, "rare").items() if level}
    assert raised == {"ADE20K-Seg", "ImageNet*"}


def test_side_of_two_parts_is_raised_above_both() -> None:
    claim = next(claim for claim in claims() if claim.id == "C15")
    found = {key[1]: level for key, level in levels_of(claim, "effect").items()}
    assert found["M6-CLS"] == 2 * found["M3-CLS"] == 2 * EFFECT


def test_close_sides_are_equal_or_one_margin_apart() -> None:
    claim = next(claim for claim in claims() if claim.id == "C16")
    assert not any(levels_of(claim, "effect").values())
    assert sorted(levels_of(claim, "tie").values())[0] == -MARGIN


def test_effect_of_three_deviations_is_found_in_either_direction() -> None:
    claim, rng = next(claim for claim in claims() if claim.id == "C6"), np.random.default_rng(0)
    assert judged(claim, "effect", rng)[0] < 0.001
    assert judged(claim, "reversed", rng)[1] < 0.001


def test_claims_print_a_row(capsys, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("sys.argv", ["claims", "--reports", "5", "--only", "C5"])
    assert main() in (0, 1)
    assert capsys.readouterr().out.splitlines()[-1].startswith("| C5 | ")
