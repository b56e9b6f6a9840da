"""What a budget buys: larger images before fewer repeats, never more time than is planned."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grid.compare.schedule import Rule, Schedule, Work, choose, wanted_steps
from medpt.protocol import TrainingProtocol

WORK = Work(images=240, side=512, initializations=3, trained=1, workers=2)


def step(size: int) -> float:
    return 0.1 * (size / 64) ** 2


def test_every_decision_has_a_reason() -> None:
    assert all(field.metadata["reason"] for field in fields(Rule))


def test_larger_budget_buys_larger_images_and_all_repeats() -> None:
    found = [choose(WORK, budget, step) for budget in (600, 3600, 4 * 3600, 48 * 3600)]
    assert [one.size for one in found] == sorted(one.size for one in found)
    assert found[0].size < found[-1].size == 256
    assert found[-1].repeats == 5
    assert found[-1].steps == wanted_steps(240, Rule())


def test_images_are_not_enlarged() -> None:
    assert choose(Work(240, 100, 2, 0, 2), 48 * 3600, step).size == 128
    assert choose(Work(240, 64, 2, 0, 2), 48 * 3600, step).size == 64
    assert choose(Work(240, 40, 2, 0, 2), 48 * 3600, step).size == 64


def test_repeats_of_the_card_are_kept() -> None:
    assert choose(Work(240, 64, 2, 0, 2, repeats=10), 600, step).repeats == 10


def test_budget_that_is_too_short_gets_the_least_and_is_reported() -> None:
    found = choose(WORK, 60, step)
    assert (found.size, found.repeats, found.steps, found.fits) == (64, 3, Rule().fewest_steps, False)


@given(
    st.integers(20, 20_000),
    st.integers(2, 6),
    st.integers(0, 3),
    st.integers(1, 32),
    st.floats(60, 1e6),
    st.floats(0.001, 10),
)
def test_plan_that_fits_takes_no_longer_than_the_budget(
    images: int, initializations: int, trained: int, workers: int, budget: float, seconds: float
) -> None:
    work = Work(images, 512, initializations, min(trained, initializations - 1), workers)
    found = choose(work, budget, lambda size: seconds * (size / 64) ** 2)
    assert found.fits == (found.seconds <= budget)
    assert found.size in Rule().sizes
    assert found.repeats in Rule().repeats
    assert found.steps >= Rule().fewest_steps
    if found.steps > Rule().fewest_steps:
        assert found.seconds <= Rule().planned * budget + 1
    assert (found.pretrain_steps > 0) == (work.trained > 0)


def test_protocols_train_all_their_steps_and_evaluate_ten_times() -> None:
    found = Schedule(64, 5, 300, 1000, 0.0)
    assert found.finetune(Rule()) == TrainingProtocol(
        learning_rate=5e-4, min_steps=300, max_steps=300, evaluate_every=30
    )
    assert found.pretrain(Rule()).max_steps == 1000
    long = Schedule(256, 5, 3000, 0, 0.0).finetune(Rule())
    assert long.learning_rate == pytest.approx(TrainingProtocol().learning_rate)
