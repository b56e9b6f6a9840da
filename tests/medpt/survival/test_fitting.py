import math

import numpy as np
import pytest
import torch
from bags import awkward, planted
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from medpt.errors import DivergedError
from medpt.survival import fitting
from medpt.survival.study import TRAIN


@given(st.integers(0, 60), st.integers(1, 9))
def test_batches_are_few_and_even(rows: int, size: int) -> None:
    parts = fitting.batches(np.arange(rows), size)
    assert len(parts) == math.ceil(rows / size)
    assert [row for part in parts for row in part] == list(range(rows))
    assert not parts or max(map(len, parts)) <= min(size, min(map(len, parts)) + 1)


def run(scores: list[float], patience: int, least: int = 1) -> tuple[float, float, int, bool]:
    """The weight left of a model whose weight is the epoch, the best value and its epoch, and its mode."""
    model, values = nn.Linear(1, 1, bias=False), iter(scores[min(least, len(scores)) - 1 :])
    modes = []

    def epoch(number: int) -> None:
        modes.append(model.training)
        nn.init.constant_(model.weight, number)

    standing = fitting.train(model, epoch, lambda: next(values), len(scores), patience, least)
    return model.weight.item(), standing.best, standing.best_step, all(modes) and not model.training


@pytest.mark.parametrize(
    ("scores", "patience", "best", "at"),
    [
        ([0.1, 0.7, 0.3, 0.6], 9, 0.7, 2),
        ([0.1, 0.7, 0.7, 0.6, 0.9], 2, 0.7, 2),
        ([0.1, 0.7, 0.7, 0.6, 0.9], 3, 0.9, 5),
        ([-3.0, -2.0, -4.0], 1, -2.0, 2),
    ],
)
def test_best_weights_stay(scores: list[float], patience: int, best: float, at: int) -> None:
    assert run(scores, patience) == (at, best, at, True)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=12), st.integers(1, 15))
def test_only_the_least_epoch_and_later_ones_are_judged(scores: list[float], least: int) -> None:
    """`run` holds no score for an epoch before."""
    first = min(least, len(scores))
    late = scores[first - 1 :]
    at = first + late.index(max(late))
    assert run(scores, 99, least) == (at, max(late), at, True)


def test_without_a_judgement_the_last_weights_stay() -> None:
    weight, best, at, modes = run([math.nan] * 4, 1)
    assert (weight, at, modes) == (4, 4, True)
    assert math.isnan(best)


def test_input_that_is_no_number_has_diverged() -> None:
    study = planted(1)
    with pytest.raises(DivergedError, match="1 of 2 predicted risks"):
        fitting.c_index(study, np.array([0, 1]), np.array([1, np.nan]))
    with pytest.raises(DivergedError, match="the Cox loss is nan"):
        fitting.require_finite_loss(torch.tensor(math.nan))
    with pytest.raises(DivergedError, match="3 of 120"):
        fitting.prediction(study, np.where(np.arange(120) < 3, np.inf, 0), {})


def test_gaps_get_the_median_of_the_training_patients() -> None:
    study = awkward(planted(1))
    seen = fitting.patients_with_patches(study)
    assert len(seen) == 117
    risk = np.random.default_rng(0).normal(size=117)
    found = fitting.prediction(study, risk, {"a": 1.0})
    np.testing.assert_array_equal(found.risk[seen], risk)
    middle = np.median(risk[study.split[seen] == TRAIN])
    np.testing.assert_array_equal(np.delete(found.risk, seen), middle)
    assert found.facts == {"a": 1, "without_patches": 3}


def test_only_patients_who_can_be_compared_have_a_c_index() -> None:
    study = planted(1)
    alive = np.flatnonzero(~study.event)
    assert math.isnan(fitting.c_index(study, alive, np.arange(len(alive))))
    assert math.isnan(fitting.c_index(study, alive[:0], np.empty(0)))
    assert fitting.c_index(study, np.arange(120), -study.time) > 0.99
