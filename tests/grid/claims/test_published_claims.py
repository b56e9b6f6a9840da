"""The claims on the numbers that the paper printed."""

import json
from dataclasses import asdict
from functools import cache
from typing import Any

import pytest

from grid.claims import scores, statements, verdicts
from grid.claims.parts import NO_NUMBERS
from grid.claims.verdicts import INCONCLUSIVE, SUPPORTED, UNDECIDABLE, Verdict


@cache
def paper() -> dict[str, Verdict]:
    return {verdict.id: verdict for verdict in verdicts.paper()}


@pytest.mark.parametrize(
    ("name", "held", "total", "verdict"),
    [
        ("C1", 6, 6, SUPPORTED),
        ("C2", 6, 6, INCONCLUSIVE),  # ahead of the best rival everywhere, but not by enough for 12 claims
        ("C3", 5, 6, INCONCLUSIVE),
        ("C4", 22, 24, INCONCLUSIVE),
        ("C5", 4, 4, INCONCLUSIVE),
        ("C6", 8, 8, SUPPORTED),
        ("C7", 6, 8, INCONCLUSIVE),
        ("C8", 48, 48, SUPPORTED),
        ("C18", 24, 24, SUPPORTED),
        ("C19", 12, 12, SUPPORTED),
    ],
)
def test_counts_of_the_papers_own_numbers(name: str, held: int, total: int, verdict: str) -> None:
    found = paper()[name]
    assert (found.held, found.total, found.verdict) == (held, total, verdict)
    assert not found.missing


def held_by(verdict: Verdict, part: int, *names: str) -> dict[Any, tuple[int, int]]:
    """How many comparisons of a part hold, of how many, by some of their fields."""
    counts: dict[Any, tuple[int, int]] = {}
    for comparison in verdict.parts[part].comparisons:
        key = tuple(getattr(comparison, name) for name in names)
        held, total = counts.get(key, (0, 0))
        counts[key] = held + (comparison.difference > 0), total + 1
    return counts


def test_training_without_labels_target_by_target() -> None:
    large, drive, small = (held_by(paper()["C9"], part, "target") for part in range(3))
    assert large == {
        ("CIFAR100",): (4, 4),
        ("ChestXRay",): (2, 4),
        ("CardiacMRI",): (6, 8),
        ("NIH-CT-82",): (6, 8),
    }
    assert drive == {("DRIVE",): (1, 4)}
    assert small == {("MESSIDOR",): (4, 4), ("HRF",): (4, 4), ("DRISHTI-GS",): (12, 12)}
    assert paper()["C9"].verdict == INCONCLUSIVE


def test_training_without_labels_beats_medical_sources_but_in_et_net() -> None:
    verdict = paper()["C10"]
    assert held_by(verdict, 0, "model") == {
        ("DeepLabV3+",): (0, 4),
        ("CE-Net",): (0, 4),
        ("HyNet",): (0, 4),
        ("ET-Net",): (4, 4),
    }
    assert verdict.verdict == INCONCLUSIVE


def test_most_similar_medical_source_is_best_in_two_of_eight() -> None:
    assert held_by(paper()["C7"], 0, "target") == {("CardiacMRI",): (2, 4), ("NIH-CT-82",): (4, 4)}


@pytest.mark.parametrize(
    ("name", "margins"),
    [
        ("C1", [0.37, 0.41, 5.90, 2.39, 0.48, 1.75]),
        ("C2", [1.80, 0.31, 4.04, 0.30, 0.91, 4.85]),
        ("C5", [0.15, 0.35, 0.64, 0.61]),
    ],
)
def test_margins_over_the_runner_up(name: str, margins: list[float]) -> None:
    found = [comparison.difference for comparison in paper()[name].parts[0].comparisons]
    assert found == pytest.approx(margins)


def test_least_gain_of_survival() -> None:
    assert min(c.difference for c in paper()["C18"].parts[0].comparisons) == pytest.approx(1.31)


def test_figures_without_numbers_are_not_decidable() -> None:
    drawn = {name for name, verdict in paper().items() if verdict.verdict == f"{UNDECIDABLE}: {NO_NUMBERS}"}
    assert drawn == {"C11", "C12", "C13", "C14", "C15", "C16", "C17", "C20", "C21"}


def test_verdicts_are_plain() -> None:
    plain = asdict(paper()["C3"])
    assert json.loads(json.dumps(plain))["parts"][0]["comparisons"][0]["upper"] == "Random"


def test_errata_are_eighteen_sentences() -> None:
    found = statements.errata()
    assert [erratum.id for erratum in found] == list(range(1, 19))
    assert all(e.what.strip() and e.where.strip() and e.consequence.endswith((".", "not.")) for e in found)


def test_every_printed_cell_is_read() -> None:
    assert len(scores.printed().cells) == 72 + 84 + 32 + 20
