"""The simulation of answers in small: a planted source is named, and nothing is found where nothing helps."""

from collections import Counter

from bench import answers

WORLD = next(world for world in answers.WORLDS if world.images == 1_000 and world.repeats == 5)


def test_planted_source_is_named_and_nothing_is_found_where_nothing_helps() -> None:
    helped, null = answers.measure(WORLD, 12, seed=0)
    assert sum(answer.best == answers.PLANTED for answer in helped) == 12
    assert sum(answers.verdict_of(answer) == "better" for answer in helped) >= 9
    assert Counter(map(answers.verdict_of, null))["better"] <= 2
    assert helped[0].images == WORLD.images


def test_splits_are_tested_on_their_own_fifth() -> None:
    world = next(world for world in answers.WORLDS if world.has_splits)
    ((one,), _) = answers.measure(world, 1, seed=0)
    assert (one.repeats, one.images, one.finished) == ("split", world.images, 4 * world.repeats)
