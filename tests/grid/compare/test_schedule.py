"""What a budget buys: larger images before fewer repeats, never more time than is planned."""

from dataclasses import fields, replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from grid.compare.schedule import Rule, Schedule, Work, choose, wanted_steps
from grid.compare.step_time import Speed
from medpt.protocol import TrainingProtocol

WORK = Work(images=240, side=512, initializations=3, trained=1, workers=2)


def speed(seconds: float = 0.1, load: float = 1.0) -> Speed:
    """A machine whose step takes so long at 64 pixels."""
    return Speed(lambda size: seconds * (size / 64) ** 2, load)


SPEED = speed()


def test_every_decision_has_a_reason() -> None:
    assert all(field.metadata["reason"] for field in fields(Rule))


def test_larger_budget_buys_larger_images_and_all_repeats() -> None:
    found = [choose(WORK, budget, SPEED) for budget in (600, 3600, 4 * 3600, 48 * 3600)]
    assert [one.size for one in found] == sorted(one.size for one in found)
    assert found[0].size < found[-1].size == 256
    assert found[-1].repeats == 5
    assert found[-1].steps == wanted_steps(240, Rule())


def test_images_are_not_enlarged() -> None:
    assert choose(Work(240, 100, 2, 0, 2), 48 * 3600, SPEED).size == 128
    assert choose(Work(240, 64, 2, 0, 2), 48 * 3600, SPEED).size == 64
    assert choose(Work(240, 40, 2, 0, 2), 48 * 3600, SPEED).size == 64


def test_repeats_of_the_card_are_kept() -> None:
    assert choose(Work(240, 64, 2, 0, 2, repeats=10), 600, SPEED).repeats == 10


def test_budget_that_is_too_short_gets_the_least_and_is_reported() -> None:
    found = choose(WORK, 60, SPEED)
    assert (found.size, found.repeats, found.steps, found.fits) == (64, 3, Rule().fewest_steps, False)
    assert found.random_networks == min(Rule().random_networks)


def test_load_of_the_machine_is_as_a_smaller_budget() -> None:
    busy, idle = choose(WORK, 3000, speed(load=3)), choose(WORK, 1000, SPEED)
    assert (busy.size, busy.repeats, busy.steps) == (idle.size, idle.repeats, idle.steps)
    assert busy.seconds == pytest.approx(3 * idle.seconds)


def test_control_keeps_to_its_share_of_the_time() -> None:
    counts = [choose(WORK, budget, SPEED).random_networks for budget in (120, 400, 48 * 3600)]
    assert counts == sorted(counts)
    assert counts[0] == 5
    assert counts[-1] == 20
    assert choose(replace(WORK, random_networks=5), 48 * 3600, SPEED).random_networks == 5


def test_self_supervised_pretraining_gets_fewer_of_its_longer_steps() -> None:
    plain, puzzles = (choose(replace(WORK, self_supervised=s), 600, SPEED) for s in (0, 1))
    assert puzzles.size == plain.size
    assert puzzles.pretrain_steps == pytest.approx(plain.pretrain_steps / Rule().self_supervised, rel=0.02)
    assert puzzles.seconds == pytest.approx(plain.seconds, rel=0.01)


def test_self_supervised_pretraining_is_repeated_on_each_split() -> None:
    """Together they take the time that a single one has where repeats are seeds."""
    work = replace(WORK, workers=1, side=64, self_supervised=1)
    seeds, splits = (choose(replace(work, has_splits=h), 4000, SPEED) for h in (False, True))
    assert (splits.size, splits.repeats) == (seeds.size, seeds.repeats)
    overhead = Rule().unit_seconds / SPEED.step(64) + Rule().evaluating
    each = [one.pretrain_steps * Rule().self_supervised + overhead for one in (seeds, splits)]
    assert each[0] == pytest.approx(splits.repeats * each[1], rel=0.02)


def test_no_pretraining_takes_more_of_the_clock_than_its_share() -> None:
    """With many workers one pre-training cannot be divided among them."""
    found = choose(replace(WORK, workers=16), 600, SPEED)
    longest = found.pretrain_steps * SPEED.step(found.size)
    assert longest <= Rule().pretraining * 600


@given(
    st.integers(20, 20_000),
    st.integers(2, 6),
    st.integers(0, 3),
    st.integers(1, 32),
    st.floats(60, 1e6),
    st.floats(0.001, 10),
)
@example(20, 3, 1, 21, 132.43, 0.49868)  # the shortest pre-training takes more than its share of the clock
@example(20, 6, 2, 32, 74.0, 0.003)
def test_plan_that_fits_takes_no_longer_than_the_budget(
    images: int, initializations: int, trained: int, workers: int, budget: float, seconds: float
) -> None:
    work = Work(images, 512, initializations, min(trained, initializations - 1), workers)
    found = choose(work, budget, speed(seconds))
    assert found.fits == (found.seconds <= budget)
    assert found.size in Rule().sizes
    assert found.repeats in Rule().repeats
    assert found.steps >= Rule().fewest_steps
    if found.steps > Rule().fewest_steps:
        assert found.seconds <= Rule().planned * budget + 1
    assert (found.pretrain_steps > 0) == (work.trained > 0)


def test_protocols_train_all_their_steps_and_evaluate_ten_times() -> None:
    found = Schedule(64, 5, 300, 1000, 0.0, 20)
    assert found.finetune(Rule()) == TrainingProtocol(
        learning_rate=5e-4, min_steps=300, max_steps=300, evaluate_every=30
    )
    assert found.pretrain(Rule()).max_steps == 1000
    assert found.pretrain(Rule()).evaluate_every == 250
    long = Schedule(256, 5, 3000, 0, 0.0, 20).finetune(Rule())
    assert long.learning_rate == pytest.approx(TrainingProtocol().learning_rate)
