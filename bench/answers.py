"""How often the answer of a comparison names the right initialization, from simulated scores that are stored.

    python -m bench.answers [--repetitions 200] [--only WORD] [--seed 0]

Each world has random weights and three sources. In one half of the repetitions one source truly helps by
three standard deviations of a seed, in the other half nothing helps. Every run writes its items.npz as a
fine-tuning does, and grid.results.answer answers. Target, in 200 repetitions of each: the source that helps
is named as the best in at least 180, and where nothing helps at most 18 answers say "better". How often the
verdict is "better" as well depends on the test set: its images have a variance that seeds do not show. Takes
three minutes on a core.

The model is that of bench.coverage: normal scores, of which a part belongs to the image and is equal in all
runs, and a separation of the classes that each run draws. In a world of splits each split tests its own fifth
of the images.
"""

import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.coverage import parse_options
from grid.results.answer import Answer, answers
from medpt import metrics

SOURCES = ("random", "imagenet*", "EyePACS", "SS-Jigsaw")
PLANTED = "EyePACS"
SEPARATION = 1.2  # of the classes' scores: ROC-AUC 80
EFFECT = 3.0  # of the planted source, in standard deviations of a seed
MOST_FALSE, LEAST_NAMED = 0.09, 0.9


@dataclass(frozen=True)
class World:
    """`images` are tested in each run; `spread` is the SD between seeds, of the separation."""

    name: str
    images: int
    repeats: int
    spread: float = 0.12
    has_splits: bool = False


WORLDS = (
    World("240 test images, 5 seeds", 240, 5),
    World("240 test images, 5 seeds of larger SD", 240, 5, spread=0.2),
    World("1,000 test images, 5 seeds", 1_000, 5),
    World("60 test images, 5 seeds", 60, 5),
    World("5 splits of 600 images", 120, 5, has_splits=True),
    World("10 splits of 600 images", 120, 10, has_splits=True),
)


def simulated(world: World, effect: float, rng: np.random.Generator, folder: Path) -> pd.DataFrame:
    """Return a frame as grid.results.load gives it, of runs whose test items are in `folder`."""
    total = world.images * 5 if world.has_splits else world.images
    labels = (rng.permutation(total) < total // 2).astype(np.int64)
    shared = rng.normal(size=total) * np.sqrt(0.5)
    rows = []
    for repeat in range(world.repeats):
        order = rng.permutation(total) if world.has_splits else np.arange(total)
        tested = order[: world.images]
        for source in SOURCES:
            own = SEPARATION + effect * world.spread * (source == PLANTED) + world.spread * rng.normal()
            noise = rng.normal(size=world.images) * np.sqrt(0.5)
            score = shared[tested] + noise + own * labels[tested]
            rows.append(_row(world, source, repeat, score, labels[tested], folder))
    return pd.DataFrame(rows)


def _row(
    world: World,
    source: str,
    repeat: int,
    score: NDArray[np.float64],
    labels: NDArray[np.int64],
    folder: Path,
) -> dict[str, object]:
    path = folder / f"{SOURCES.index(source)}-{repeat}.npz"
    np.savez(path, scores=np.stack([-score, score], 1), labels=labels, patients=np.arange(len(labels)))
    factors: dict[str, object] = {
        "experiment": "one",
        "initialization": source,
        "source": source,
        "sample_size": None,
    }
    factors |= {"backbone": "resnet18", "architecture": "classifier", "target": "Clinic", "target_size": 1.0}
    repeats = {"seed": 0, "fold": repeat} if world.has_splits else {"seed": repeat}
    value = metrics.binary_auc(score, labels == 1)
    stored = {"headline": "macro_auc", "macro_auc": value, "status": "finished", "items": str(path)}
    return factors | repeats | stored | {"digest": path.name}


def answer_of(world: World, effect: float, rng: np.random.Generator) -> Answer:
    with tempfile.TemporaryDirectory() as folder:  # a new path each time: items are cached by path
        (found,) = answers(simulated(world, effect, rng, Path(folder)))
    return found


def verdict_of(answer: Answer) -> str:
    """Return what the answer says of a gain over random weights."""
    return answer.over_random.verdict if answer.over_random else "random is the best"


def measure(world: World, repetitions: int, seed: int) -> tuple[list[Answer], list[Answer]]:
    """Return the answers where one source helps, and where nothing does."""
    children = np.random.SeedSequence([seed, WORLDS.index(world)]).spawn(2 * repetitions)
    draws = [np.random.default_rng(child) for child in children]
    helped = [answer_of(world, EFFECT, rng) for rng in draws[:repetitions]]
    return helped, [answer_of(world, 0.0, rng) for rng in draws[repetitions:]]


def main() -> int:
    options = parse_options(__doc__, 200)
    print(
        "| world | named, % | “better” as well, % | nothing helps: “better”, % | decidable, points | target |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    short = 0
    for world in (world for world in WORLDS if options.only in world.name):
        helped, null = measure(world, options.repetitions, options.seed)
        named = [answer for answer in helped if answer.best == PLANTED]
        better = Counter(map(verdict_of, named))["better"]
        false = Counter(map(verdict_of, null))["better"]
        gains = [answer.over_random.decidable for answer in helped if answer.over_random]
        ok = len(named) >= LEAST_NAMED * len(helped) and false <= MOST_FALSE * len(null)
        short += not ok
        shares = " | ".join(f"{100 * part / options.repetitions:.1f}" for part in (len(named), better, false))
        print(f"| {world.name} | {shares} | {np.median(gains):.1f} | {'ok' if ok else 'short'} |", flush=True)
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
