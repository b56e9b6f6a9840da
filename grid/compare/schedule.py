"""How long, how large and how often: what a comparison trains within a budget, by the rule below.

The rule looks at the number of images and at the time that a training step takes on this machine. It takes
the largest size at which every initialization is fine-tuned for enough steps on all repeats, and fewer
repeats or steps only where no size fits.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import ceil

from medpt.protocol import TrainingProtocol, decision

StepSeconds = Callable[[int], float]  # of a training step of the target's network, by the side of its images


@dataclass(frozen=True)
class Rule:
    """The decisions behind a comparison, each with its reason."""

    backbone: str = decision("resnet18", "its published weights are the field's common baseline")
    sizes: tuple[int, ...] = decision(
        (256, 192, 128, 96, 64), "sides in pixels; the largest that fits and is no larger than the images"
    )
    repeats: tuple[int, ...] = decision(
        (5, 4, 3), "splits or seeds of each initialization: five as in own-data.md, at least three"
    )
    epochs: int = decision(30, "passes of a fine-tuning over the training images")
    most_steps: int = decision(3_000, "of a fine-tuning: where the protocol may stop at the earliest")
    enough_steps: int = decision(300, "of a fine-tuning of few images, which 30 passes would not train")
    fewest_steps: int = decision(60, "below, a network has hardly learned")
    learning_rate: float = decision(
        5e-4, "five times the protocol's, which has 3,000 steps or more to reach a result"
    )
    evaluations: int = decision(10, "of a training; the best one is tested")
    pretraining: float = decision(0.35, "share of the budget for pre-trainings, where there are any")
    most_pretrain_steps: int = decision(20_000, "longer pre-trainings of such sources gain little")
    planned: float = decision(0.75, "of the budget: estimates are rough, and what runs at its end is lost")
    start_seconds: float = decision(40.0, "of a run: Ray, preparing the images, the report")
    unit_seconds: float = decision(8.0, "of a fine-tuning, beside its steps: loading, evaluating, testing")


@dataclass(frozen=True)
class Work:
    """What is to be compared: `trained` counts the initializations that are pre-trained here."""

    images: int  # in the training set
    side: int  # of the images, in pixels
    initializations: int
    trained: int
    workers: int  # trials at once
    repeats: int | None = None  # given by the data's own card


@dataclass(frozen=True)
class Schedule:
    """What is trained. `seconds` is the expected wall clock; `fits` says whether the budget allows for it."""

    size: int
    repeats: int
    steps: int
    pretrain_steps: int
    seconds: float
    fits: bool = True

    def finetune(self, rule: Rule) -> TrainingProtocol:
        return _protocol(self.steps, rule)

    def pretrain(self, rule: Rule) -> TrainingProtocol:
        return _protocol(self.pretrain_steps, rule)


def _protocol(steps: int, rule: Rule) -> TrainingProtocol:
    """Always the same number of steps, so that the plan's time is known."""
    every = max(1, steps // rule.evaluations)
    rate = rule.learning_rate if steps < rule.most_steps else TrainingProtocol().learning_rate
    return TrainingProtocol(learning_rate=rate, min_steps=steps, max_steps=steps, evaluate_every=every)


def choose(work: Work, budget: float, step: StepSeconds, rule: Rule | None = None) -> Schedule:
    """Return what to train within `budget` seconds; `fits` is False where even the least takes longer."""
    rule = rule or Rule()
    for wanted in _candidates(work, rule):
        steps = min(wanted.steps, _affordable(wanted, work, budget, step, rule))
        if steps >= wanted.steps or (_is_smallest(wanted, work, rule) and steps >= rule.fewest_steps):
            return _timed(replace(wanted, steps=steps), work, budget, step, rule)
    least = Schedule(_sizes(work, rule)[-1], _repeats(work, rule)[-1], rule.fewest_steps, 0, 0.0)
    return _timed(least, work, budget, step, rule)


def wanted_steps(images: int, rule: Rule) -> int:
    """Return the steps of a fine-tuning that has time enough."""
    steps = ceil(rule.epochs * images / TrainingProtocol().batch_size)
    return min(max(steps, rule.enough_steps), rule.most_steps)


def _candidates(work: Work, rule: Rule) -> Iterator[Schedule]:
    steps = wanted_steps(work.images, rule)
    for repeats in _repeats(work, rule):
        for size in _sizes(work, rule):
            yield Schedule(size, repeats, steps, 0, 0.0)


def _repeats(work: Work, rule: Rule) -> tuple[int, ...]:
    return (work.repeats,) if work.repeats else rule.repeats


def _sizes(work: Work, rule: Rule) -> tuple[int, ...]:
    smallest = rule.sizes[-1]
    return tuple(size for size in rule.sizes if size - 32 < work.side) or (smallest,)


def _is_smallest(one: Schedule, work: Work, rule: Rule) -> bool:
    """Whether nothing smaller is left, so that fewer steps are the only way."""
    return one.size == _sizes(work, rule)[-1] and one.repeats == _repeats(work, rule)[-1]


def _affordable(one: Schedule, work: Work, budget: float, step: StepSeconds, rule: Rule) -> int:
    """Return the steps of each fine-tuning for which the budget has time."""
    time = _capacity(one, work, budget, step, rule) * (1 - rule.pretraining * (work.trained > 0))
    each = time / (work.initializations * one.repeats) - rule.unit_seconds
    return int(each / step(one.size))


def _capacity(one: Schedule, work: Work, budget: float, step: StepSeconds, rule: Rule) -> float:
    """Return the seconds of one worker times workers that are left for training."""
    total = work.workers * (rule.planned * budget - rule.start_seconds)
    return total - _probing(one.size, work, step, rule)


def _probing(size: int, work: Work, step: StepSeconds, rule: Rule) -> float:
    """Return the seconds of probes: a third of a step a batch, for 20 random networks and the others.

    Random networks see the training images twice, for the statistics of their batch norm.
    """
    batches = work.images * 1.3 / TrainingProtocol().batch_size
    networks = 2 * 20 + work.initializations
    return networks * batches * step(size) / 3 + (work.initializations + 1) * rule.unit_seconds


def _timed(one: Schedule, work: Work, budget: float, step: StepSeconds, rule: Rule) -> Schedule:
    """Add the steps of pre-trainings and the expected time."""
    each = step(one.size)
    pretrain_steps = 0
    if work.trained:
        share = rule.pretraining * _capacity(one, work, budget, step, rule) / work.trained
        least = rule.fewest_steps
        pretrain_steps = min(max(int((share - rule.unit_seconds) / each), least), rule.most_pretrain_steps)
    spent = work.trained * (pretrain_steps * each + rule.unit_seconds)
    spent += work.initializations * one.repeats * (one.steps * each + rule.unit_seconds)
    seconds = rule.start_seconds + (spent + _probing(one.size, work, step, rule)) / work.workers
    return replace(one, pretrain_steps=pretrain_steps, seconds=seconds, fits=seconds <= budget)
