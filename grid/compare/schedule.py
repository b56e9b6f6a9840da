"""How long, how large and how often: what a comparison trains within a budget, by the rule below.

The rule looks at the number of images, at the time that a training step takes here, and at the load of this
machine. It takes the largest size at which every initialization is fine-tuned for enough steps on all
repeats, and fewer repeats or steps only where no size fits.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil

from grid.compare.step_time import Speed
from grid.plan.controls import MOST_NETWORKS
from medpt.protocol import TrainingProtocol, decision


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
        5e-4,
        "five times the protocol's, which has 3,000 steps or more to reach a result; in a trial of 100 steps "
        "neither 1e-4 nor 1e-3 could be told from it",
    )
    evaluations: int = decision(10, "of a training; the best one is tested")
    pretraining: float = decision(
        0.35, "share of the time for pre-trainings, where there are any; none takes longer on the clock"
    )
    self_supervised: float = decision(
        2.3, "steps of a classifier that a step of SS-Jigsaw takes, measured at 64 pixels"
    )
    pretrain_evaluations: int = decision(4, "of a pre-training; each of SS-Jigsaw solves 256 puzzles or more")
    evaluating: int = decision(50, "steps of a classifier that these evaluations take together")
    most_pretrain_steps: int = decision(20_000, "longer pre-trainings of such sources gain little")
    random_networks: tuple[int, ...] = decision(
        (20, 10, 5), "of the control; fewer where they would take more than their share, and a wider interval"
    )
    control: float = decision(0.1, "share of the time for the control of random networks")
    planned: float = decision(0.75, "of the budget: estimates are rough, and what runs at its end is lost")
    start_seconds: float = decision(40.0, "of a run: Ray, preparing the images, the report")
    unit_seconds: float = decision(8.0, "of a fine-tuning, beside its steps: loading, evaluating, testing")


@dataclass(frozen=True)
class Work:
    """What is to be compared: `trained` counts the initializations that are pre-trained here.

    Of these, `self_supervised` are pre-trained on the training images themselves: anew for each split, if
    `has_splits` says that a repeat is one.
    """

    images: int  # in the training set
    side: int  # of the images, in pixels
    initializations: int
    trained: int
    workers: int  # trials at once
    repeats: int | None = None  # given by the data's own card
    random_networks: int = MOST_NETWORKS  # of the control, at most
    self_supervised: int = 0
    has_splits: bool = False


@dataclass(frozen=True)
class Schedule:
    """What is trained. `seconds` is the expected wall clock; `fits` says whether the budget allows for it."""

    size: int
    repeats: int
    steps: int
    pretrain_steps: int
    seconds: float
    random_networks: int
    fits: bool = True

    def finetune(self, rule: Rule) -> TrainingProtocol:
        return _protocol(self.steps, rule.evaluations, rule)

    def pretrain(self, rule: Rule) -> TrainingProtocol:
        return _protocol(self.pretrain_steps, rule.pretrain_evaluations, rule)


def _protocol(steps: int, evaluations: int, rule: Rule) -> TrainingProtocol:
    """Always the same number of steps, so that the plan's time is known."""
    every = max(1, steps // evaluations)
    rate = rule.learning_rate if steps < rule.most_steps else TrainingProtocol().learning_rate
    return TrainingProtocol(learning_rate=rate, min_steps=steps, max_steps=steps, evaluate_every=every)


def choose(work: Work, budget: float, speed: Speed, rule: Rule | None = None) -> Schedule:
    """Return what to train within `budget` seconds; `fits` is False where even the least takes longer."""
    chooser = Chooser(work, budget / speed.load, speed, rule or Rule())
    found = chooser.choose()
    seconds = speed.load * found.seconds
    return replace(found, seconds=seconds, fits=seconds <= budget)


def wanted_steps(images: int, rule: Rule) -> int:
    """Return the steps of a fine-tuning that has time enough."""
    steps = ceil(rule.epochs * images / TrainingProtocol().batch_size)
    return min(max(steps, rule.enough_steps), rule.most_steps)


@dataclass(frozen=True)
class Chooser:
    """The arithmetic of a budget. Times are seconds on the clock of an idle machine."""

    work: Work
    budget: float
    speed: Speed
    rule: Rule

    def choose(self) -> Schedule:
        for wanted in self._candidates():
            steps = min(wanted.steps, self._affordable(wanted))
            if steps >= wanted.steps or (self._is_smallest(wanted) and steps >= self.rule.fewest_steps):
                return self._timed(replace(wanted, steps=steps))
        least = (self._sizes()[-1], self._repeats()[-1], self.rule.fewest_steps)
        return self._timed(Schedule(*least, 0, 0.0, self._random_networks(least[0])))

    def _candidates(self) -> Iterator[Schedule]:
        steps = wanted_steps(self.work.images, self.rule)
        for repeats in self._repeats():
            for size in self._sizes():
                yield Schedule(size, repeats, steps, 0, 0.0, self._random_networks(size))

    def _repeats(self) -> tuple[int, ...]:
        return (self.work.repeats,) if self.work.repeats else self.rule.repeats

    def _sizes(self) -> tuple[int, ...]:
        smallest = self.rule.sizes[-1]
        return tuple(size for size in self.rule.sizes if size - 32 < self.work.side) or (smallest,)

    def _is_smallest(self, one: Schedule) -> bool:
        """Whether nothing smaller is left, so that fewer steps are the only way."""
        return one.size == self._sizes()[-1] and one.repeats == self._repeats()[-1]

    def _random_networks(self, size: int) -> int:
        """Return the most random networks that keep to their share of the time, or the fewest."""
        share = self.rule.control * self._total()
        counts = [n for n in self.rule.random_networks if n <= self.work.random_networks]
        return next((n for n in counts if n * self._probe(size, 2) <= share), counts[-1])

    def _affordable(self, one: Schedule) -> int:
        """Return the steps of each fine-tuning for which the budget has time, beside the pre-trainings."""
        capacity, clock = self._capacity(one), self._total() / self.work.workers
        least = self._pretraining_seconds(one, self.rule.fewest_steps)
        share = self.rule.pretraining * (self.work.trained > 0)
        together = capacity - max(share * capacity, self._pretrainings(one) * least)
        alone = clock - max(share * clock, least * (self.work.trained > 0))
        each = min(together / (self.work.initializations * one.repeats), alone)
        return int((each - self.rule.unit_seconds) / self.speed.step(one.size))

    def _total(self) -> float:
        """Return the seconds of one worker times workers."""
        return self.work.workers * (self.rule.planned * self.budget - self.rule.start_seconds)

    def _capacity(self, one: Schedule) -> float:
        """Return the seconds of one worker times workers that are left for training."""
        return self._total() - self._probing(one)

    def _probing(self, one: Schedule) -> float:
        """Return the seconds of the probes of all initializations, and of the control."""
        probes = self.work.initializations * (self._probe(one.size, 1) + self.rule.unit_seconds)
        return probes + one.random_networks * self._probe(one.size, 2) + self.rule.unit_seconds

    def _probe(self, size: int, passes: int) -> float:
        """Return the seconds of a network that sees the training images so often, and the test set.

        A forward pass is a third of a step. Random networks see the training images twice, for the
        statistics of their batch norm.
        """
        return self.work.images * (passes + 0.25) / TrainingProtocol().batch_size * self.speed.step(size) / 3

    def _timed(self, one: Schedule) -> Schedule:
        """Add the steps of pre-trainings and the expected time."""
        each, rule, work = self.speed.step(one.size), self.rule, self.work
        steps = self._pretrain_steps(one) if work.trained else 0
        finetune = one.steps * each + rule.unit_seconds
        pretrain = self._pretraining_seconds(one, steps)
        spent = self._pretrainings(one) * pretrain + work.initializations * one.repeats * finetune
        together = (spent + self._probing(one)) / work.workers
        longest = (pretrain if work.trained else 0) + finetune
        seconds = rule.start_seconds + max(together, longest)
        return replace(one, pretrain_steps=steps, seconds=seconds)

    def _pretrain_steps(self, one: Schedule) -> int:
        """Return the steps of each pre-training: their share of the time, which none exceeds on the clock."""
        rule, work = self.rule, self.work
        together = rule.pretraining * self._capacity(one) / self._pretrainings(one)
        alone = rule.pretraining * self._total() / work.workers
        time = (min(together, alone) - rule.unit_seconds) / self.speed.step(one.size)
        steps = int((time - rule.evaluating) / self._slowest())
        return min(max(steps, rule.fewest_steps), rule.most_pretrain_steps)

    def _pretraining_seconds(self, one: Schedule, steps: int) -> float:
        """Return the seconds of one worker that a pre-training of so many steps takes."""
        counted = steps * self._slowest() + self.rule.evaluating
        return counted * self.speed.step(one.size) + self.rule.unit_seconds

    def _pretrainings(self, one: Schedule) -> int:
        work = self.work
        return work.trained + work.self_supervised * work.has_splits * (one.repeats - 1)

    def _slowest(self) -> float:
        """Return the steps of a classifier that a step of the slowest pre-training takes."""
        return self.rule.self_supervised if self.work.self_supervised else 1.0
