"""How often a nominal 95 % interval of a difference contains the true difference, in simulated worlds.

    python -m bench.coverage [--repetitions 4000] [--only WORD] [--seed 0]

Each world has four initializations (or two), of which two are compared; the other two share in the seed
variance of the group. Three intervals are computed of the same data: of seeds alone (Welch), of test items
alone, and the one of grid.results, which has both. Target: coverage from 92.5 to 98 % (survival, and seeds
that correlate between initializations: at least 92.5 %). Takes 10 minutes on one core.

Models. AUC: normal scores, of which a part belongs to the image and is equal in all runs; each run has its
own separation of the classes. Mean IoU: each image has an area and a difficulty; runs differ in the share of
the area that they hit. Survival: each split fits two linear models of log time on their own covariates and
tests them.
"""

import argparse
import sys
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from grid.results.intervals import Estimates, estimate
from grid.results.variance import Component, RepeatedSplits, Runs, fixed_test
from medpt import influence, metrics
from medpt.survival.concordance import concordance_index

Array = NDArray[np.float64]
LEAST, MOST = 0.925, 0.98
Difference = tuple[Estimates, Array, Array]  # the estimate, and the values of the two cells


@dataclass(frozen=True)
class World:
    """`spread` is the SD between seeds (AUC: of the separation, IoU: of the share of the area that is hit).

    `shared` of its variance is common to all initializations; `between` is the SD between pre-trainings. With
    `random` the second initialization has none, as random weights.
    """

    name: str
    images: int
    seeds: int = 3
    spread: float = 0.1
    cells: int = 4
    positives: float = 0.5
    per_patient: int = 1
    shared: float = 0.0
    pretrainings: int = 1
    between: float = 0.0
    random: bool = False
    most: float = MOST

    def offsets(self, rng: np.random.Generator) -> Array:
        """Draw what seeds and pre-trainings add to each run: (cells, pre-trainings, seeds)."""
        common = rng.normal(size=self.seeds) * np.sqrt(self.shared)
        own = rng.normal(size=(self.cells, self.pretrainings, self.seeds)) * np.sqrt(1 - self.shared)
        trained = self.between * rng.normal(size=(self.cells, self.pretrainings, 1))
        trained[1] *= not self.random
        return self.spread * (common + own) + trained

    def runs(self, values: Array, influences: Array) -> list[Runs]:
        """Make cells of values (cells, runs) and influence values (cells, runs, images), as fractions."""
        first = np.repeat(np.arange(self.pretrainings), self.seeds)
        seeds = np.tile(np.arange(self.seeds), self.pretrainings)
        found = [Runs(100 * y, seeds, first, 100 * f) for y, f in zip(values, influences, strict=True)]
        if self.random:
            one = 100 * values[1, : self.seeds], seeds[: self.seeds], first[: self.seeds]
            found[1] = Runs(*one, 100 * influences[1, : self.seeds])
        return found


SEPARATIONS = (1.3, 1.2, 1.25, 1.25)  # of the classes' scores: AUC 82.1 and 80.2
HITS = (0.72, 0.70, 0.71, 0.71)  # share of an area that is hit
PIXELS, AREA = 1000.0, 200.0


def auc(world: World, rng: np.random.Generator) -> Difference:
    positive = rng.permutation(world.images) < max(1, round(world.positives * world.images))
    patients = np.arange(world.images) // world.per_patient
    count = world.pretrainings * world.seeds
    separation = np.array(SEPARATIONS[: world.cells])[:, None, None] + world.offsets(rng)
    noise = rng.normal(size=(world.cells, count, world.images)) * np.sqrt(0.3)
    noise += rng.normal(size=(world.cells, 1, world.images)) * np.sqrt(0.2)
    shared = rng.normal(size=world.images) * np.sqrt(0.1)
    shared += rng.normal(size=world.images)[patients] * np.sqrt(0.4)  # equal in the images of a patient
    scores = noise + shared + positive * separation.reshape(world.cells, count, 1)
    values = np.array([[metrics.binary_auc(run, positive) for run in cell] for cell in scores])
    found = [[influence.binary_auc_influence(run, positive) for run in cell] for cell in scores]
    return _difference(world, values, np.array(found), patients)


def auc_truth(world: World) -> float:
    """Return the difference of the expected AUC in points; separations are normal."""
    between = np.array([world.between, world.between * (not world.random)])
    spread = np.sqrt(2 + world.spread**2 + between**2)
    first, second = stats.norm.cdf(np.array(SEPARATIONS[:2]) / spread)
    return float(100 * (first - second))


def iou(world: World, rng: np.random.Generator) -> Difference:
    count = world.pretrainings * world.seeds
    shape = (world.cells, count, world.images)
    hits = np.array(HITS[: world.cells])[:, None, None] + world.offsets(rng)
    difficulty = rng.normal(size=world.images) * 0.08 + rng.normal(size=shape) * 0.05
    share = np.clip(hits.reshape(world.cells, count, 1) + difficulty, 0, 1)
    area = rng.gamma(4.0, AREA / 4, world.images) * np.ones(shape)
    wrong = area * (1 - share) / 2
    confusions = np.stack(
        [np.stack([PIXELS - area, wrong], -1), np.stack([wrong, area * share], -1)], -2
    )  # (cells, runs, images, 2, 2)
    totals = confusions.sum(2)
    values = np.array([[metrics.class_iou(run).mean() for run in cell] for cell in totals])
    found = [[influence.mean_iou_influence(run) for run in cell] for cell in confusions]
    return _difference(world, values, np.array(found), np.arange(world.images))


def iou_truth(world: World) -> float:
    """Return the difference of the expected mean IoU on infinitely many images, over a million seeds."""
    rng = np.random.default_rng(0)
    scale = np.sqrt(world.spread**2 + world.between**2)
    offsets, difficulty = rng.normal(size=1_000_000) * scale, np.hypot(0.08, 0.05)
    found = []
    for hit in HITS[:2]:
        middle = hit + offsets
        low, high = -middle / difficulty, (1 - middle) / difficulty  # the mean of a clipped normal
        inside = stats.norm.cdf(high) - stats.norm.cdf(low)
        mean = middle * inside + difficulty * (stats.norm.pdf(low) - stats.norm.pdf(high))
        mean += stats.norm.sf(high)
        found.append(((mean + (PIXELS - AREA) / (PIXELS - AREA * mean)) / 2).mean())
    return float(100 * (found[0] - found[1]))


def _difference(world: World, values: Array, influences: Array, patients: NDArray[np.int64]) -> Difference:
    runs = world.runs(values, influences)
    weights = np.zeros(world.cells)
    weights[:2] = 1, -1
    found = estimate([(fixed_test(runs, patients, "images"), weights)])
    return found, runs[0].values, runs[1].values


def survival(world: World, rng: np.random.Generator) -> Difference:
    """`images` counts patients; each seed draws a fifth of them for the test."""
    covariates = rng.normal(size=(world.images, 8))
    logtime = covariates @ np.r_[np.full(4, 0.35), np.full(4, 0.25)] + rng.normal(size=world.images)
    censored = rng.normal(0.8, 1, world.images)
    event, time = logtime < censored, np.exp(np.minimum(logtime, censored))
    values: list[dict[Hashable, float]] = [{}, {}]
    for seed in range(world.seeds):
        order = rng.permutation(world.images)
        test, train = np.split(order, [world.images // 5])
        for cell, columns in enumerate((slice(0, 4), slice(4, 8))):
            x = covariates[:, columns]
            fitted = np.linalg.lstsq(x[train], np.log(time[train]), rcond=None)[0]
            values[cell][seed] = 100 * concordance_index(time[test], event[test], -x[test] @ fitted)
    found = estimate([(RepeatedSplits(values, 0.25), [1, -1])])
    first, second = (np.array(list(cell.values())) for cell in values)
    return found, first, second


SIMULATIONS: dict[str, Callable[[World, np.random.Generator], Difference]] = {
    "AUC": auc,
    "IoU": iou,
    "C-index": survival,
}
TRUTHS = {"AUC": auc_truth, "IoU": iou_truth}
WORLDS = (
    World("AUC, 240 images, 3 seeds, small seed SD", 240, spread=0.05),
    World("AUC, 240 images, 3 seeds, large seed SD", 240, spread=0.4),
    World("AUC, 240 images, 2 seeds", 240, 2),
    World("AUC, 240 images, 5 seeds", 240, 5),
    World("AUC, 500 images, 4 % positive", 500, positives=0.04),
    World("AUC, 2,000 images, 3 seeds", 2000),
    World("AUC, 60 images, 3 seeds", 60),
    World("AUC, 240 images of 80 patients", 240, per_patient=3),
    World("AUC, 240 images, 2 initializations, 2 seeds", 240, 2, cells=2),
    World("AUC, 240 images, 2 pre-trainings of 2 seeds", 240, 2, pretrainings=2, between=0.15),
    World("AUC, 240 images, 3 pre-trainings of 1 seed", 240, 1, pretrainings=3, between=0.15),
    World("AUC, 240 images, seeds correlate (0.6)", 240, spread=0.3, shared=0.6, most=1.0),
    World("IoU, 20 images, 3 seeds", 20, spread=0.02),
    World("IoU, 20 images, 2 seeds, large seed SD", 20, 2, spread=0.06),
    World("IoU, 100 images, 5 seeds", 100, 5, spread=0.01),
    World("IoU, 600 images, 3 seeds", 600, spread=0.01),
    World("C-index, 200 patients, 3 splits", 200, 3, most=1.0),
    World("C-index, 200 patients, 10 splits", 200, 10, most=1.0),
    World("AUC, 240 images, 3 pre-trainings and random", 240, 2, pretrainings=3, between=0.15, random=True),
)


@dataclass(frozen=True)
class Coverage:
    """Shares of repetitions whose interval contains the truth; nan where there is no such interval."""

    seeds: float
    items: float
    both: float
    width: float  # mean half-width of the interval of both, in points


def measure(world: World, repetitions: int, seed: int) -> Coverage:
    kind = world.name.split(",")[0]
    children = np.random.SeedSequence([seed, WORLDS.index(world)]).spawn(repetitions)
    rows = [SIMULATIONS[kind](world, np.random.default_rng(child)) for child in children]
    found = _joined([row for row, _, _ in rows])
    first, second = (np.array([row[cell] for row in rows]) for cell in (1, 2))
    truth = TRUTHS[kind](world) if kind in TRUTHS else float(found.value.mean())
    zero = np.zeros(repetitions)
    items = replace(found, repeats=Component(zero, zero), twice=zero)
    low, high = found.limits()
    return Coverage(
        seeds=_covered(_welch(first, second), truth),
        items=_covered(items, truth),
        both=_covered(found, truth),
        width=float(np.nanmean(high - low) / 2),
    )


def _joined(found: list[Estimates]) -> Estimates:
    def join(parts: list[Component]) -> Component:
        return Component(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    return Estimates(
        value=np.concatenate([row.value for row in found]),
        items=join([row.items for row in found]),
        repeats=join([row.repeats for row in found]),
        twice=np.concatenate([row.twice for row in found]),
    )


def _covered(found: Estimates, truth: float) -> float:
    low, high = found.limits()
    known = np.isfinite(low)
    return float(((low <= truth) & (truth <= high)).mean()) if known.any() else float("nan")


def _welch(first: Array, second: Array) -> Estimates:
    """Estimate differences of the means of rows (repetitions, runs) from the spread of the runs alone."""
    runs = np.array([[first.shape[1]], [second.shape[1]]])
    with np.errstate(invalid="ignore", divide="ignore"):
        terms = np.array([side.var(axis=1, ddof=1) for side in (first, second)]) / runs
        df = terms.sum(0) ** 2 / (terms**2 / (runs - 1)).sum(0)
    none = np.full(len(first), np.nan)
    value = first.mean(1) - second.mean(1)
    return Estimates(value, Component(none, none), Component(terms.sum(0), df), np.zeros(len(first)))


def parse_options(description: str | None, repetitions: int) -> argparse.Namespace:
    """Return the options of a simulation of several worlds."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repetitions", type=int, default=repetitions)
    parser.add_argument("--only", default="", help="worlds whose name contains this")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> int:
    options = parse_options(__doc__, 4_000)
    print("| coverage of a nominal 95 % interval, % | seeds alone | items alone | both | ± points | target |")
    print("| --- | --- | --- | --- | --- | --- |")
    short = 0
    for world in (world for world in WORLDS if options.only in world.name):
        found = measure(world, options.repetitions, options.seed)
        ok = LEAST <= found.both <= world.most
        short += not ok
        shares = [f"{100 * x:.1f}" if x == x else "–" for x in (found.seeds, found.items, found.both)]
        cells = (world.name, *shares, f"{found.width:.1f}", "ok" if ok else "short")
        print(f"| {' | '.join(cells)} |", flush=True)
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
