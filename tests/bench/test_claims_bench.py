"""The simulation of the claims: its worlds, and that it runs to a table."""

import numpy as np
import pytest

from bench.claims import (
    EFFECT,
    LAYERS,
    OF_LAYERS,
    SEEDS,
    candidates,
    claims,
    draw,
    judged,
    levels_of,
    main,
    members,
)
from grid.results.comparisons import MARGIN


def test_simulation_has_all_claims_but_the_permutation_test() -> None:
    assert {claim.id for claim in claims()} == {f"C{n}" for n in range(1, 22)} - {"C20"}


@pytest.mark.parametrize("name", ["C13", "C14"])
def test_effect_on_pre_trainings_is_found_in_either_direction(name: str) -> None:
    claim, rng = next(claim for claim in claims() if claim.id == name), np.random.default_rng(1)
    p = {world: np.mean([judged(claim, world, rng) for _ in range(8)], 0) for world in ("effect", "reversed")}
    assert p["effect"][0] < 0.02 < 0.9 < p["effect"][1]
    assert p["reversed"][1] < 0.02 < 0.9 < p["reversed"][0]


def test_layers_of_a_pre_training_correlate_and_the_anchor_is_one_network() -> None:
    by_id = {claim.id: claim for claim in claims()}
    rng, pairs = np.random.default_rng(0), []
    for _ in range(200):
        drawn = draw(members(by_id["C13"].parts), {}, rng).repeated
        pairs.append([drawn["SVCCA", "M6-CLS", layer, 1.0][0] for layer in LAYERS[:2]])
    assert np.corrcoef(np.transpose(pairs))[0, 1] == pytest.approx(OF_LAYERS, abs=0.15)
    found = draw(members(by_id["C14"].parts), levels_of(by_id["C14"], "effect"), rng)
    anchor = found.cells["conv1", "ImageNet*", "filters", 1.0]
    assert (anchor.mean, anchor.n) == (EFFECT, 1)
    assert found.cells["conv1", "M6-SEG", "filters", 1.0].n == SEEDS


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
