"""Self-supervised pre-trainings that did not learn are named in the report."""

import pytest

from grid.report import findings

SOLVED = {"chance": 0.01, "val_accuracy": 0.4, "flat_tiles": 0.1}
RESTORED = {"val_mse_swapped": 0.7, "val_mse_identity_swapped": 1.8}


def test_nothing_is_said_of_what_learned_or_has_labels() -> None:
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
def test_each_sign_of_no_learning_is_a_sentence(metrics: dict[str, float], words: str) -> None:
    (sentence,) = findings.doubts([("other", SOLVED), ("SS-Jigsaw on DRIVE", metrics)])
    assert sentence.startswith("SS-Jigsaw on DRIVE: ")
    assert words in sentence


def test_each_reason_is_told() -> None:
    assert len(findings.doubts([("a", {"chance": 0.01, "val_accuracy": 0.01, "flat_tiles": 1.0})])) == 2
