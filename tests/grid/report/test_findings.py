"""Sentences of a report: coverage in singular and plural, pre-trainings that did not learn."""

from collections import Counter

import pytest

from grid.report import findings

SOLVED = {"chance": 0.01, "val_accuracy": 0.4, "flat_tiles": 0.1}
RESTORED = {"val_mse_swapped": 0.7, "val_mse_identity_swapped": 1.8}


@pytest.mark.parametrize(
    ("states", "rows", "analyses", "text"),
    [
        ({"finished": 1}, 1, (0, 0), "The trial is finished."),
        ({"finished": 14}, 14, (1, 1), "All 14 trials are finished. The analysis is finished."),
        (
            {"finished": 0, "missing": 1},
            1,
            (0, 1),
            "0 of 1 trial finished; 1 not run. 0 of 1 analysis finished.",
        ),
        (
            {"finished": 2},
            3,
            (0, 0),
            "All 2 trials are finished. Experiments share trials: their tables list 3 in all.",
        ),
    ],
)
def test_coverage_counts_in_singular_and_plural(
    states: dict[str, int], rows: int, analyses: tuple[int, int], text: str
) -> None:
    assert findings.coverage(Counter(states), rows, analyses) == text


def test_doubts_are_none_for_what_learned_or_has_labels() -> None:
    assert findings.doubts([("a", SOLVED), ("b", RESTORED), ("c", {"val_miou": 0.0, "steps": 8})]) == []
    assert findings.doubts([("a", SOLVED | {"flat_tiles": 2 / 9})]) == []


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        (SOLVED | {"flat_tiles": 0.23}, "23% of the puzzles' tiles have no contrast; above 22% they cannot"),
        (SOLVED | {"val_accuracy": 0.02}, "solves 2.0% of held-out puzzles, where guessing solves 1.0%"),
        (SOLVED | {"val_accuracy": 0.0}, "solves 0.0% of held-out puzzles"),
        (RESTORED | {"val_mse_swapped": 1.8}, "with an error of 1.800, leaving them has 1.800"),
    ],
)
def test_doubts_name_each_sign_of_no_learning(metrics: dict[str, float], words: str) -> None:
    (sentence,) = findings.doubts([("other", SOLVED), ("SS-Jigsaw on DRIVE", metrics)])
    assert sentence.startswith("SS-Jigsaw on DRIVE: ")
    assert words in sentence


def test_doubts_list_every_reason() -> None:
    assert len(findings.doubts([("a", {"chance": 0.01, "val_accuracy": 0.01, "flat_tiles": 1.0})])) == 2
