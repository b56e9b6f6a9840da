"""How often a claim is found where nothing is true, where the named one ties, and where it is true.

    python -m bench.claims [--reports 1000] [--seed 0] [--only C6]

All cells that the claims C1 to C21 name have three seeds with a standard deviation of one; survival has three
splits of the patients, whose results correlate by 0.2. C13 and C14 are of pre-trainings: three of each source
with a standard deviation of one, in which the layers of a network correlate by 0.5; ImageNet*, one published
network, is at zero, in "effect" and "reversed" where the raised side is. Worlds are drawn for each claim on
its own:

    null      no initialization matters; a p below 0.05 for or against the claim is false
    tie       the named side and its first rival are three standard deviations above the rest: p for the claim
    rare      the same with the rival that is named for the fewest networks and targets
    effect    the named side is three standard deviations above all others: p for the claim
    reversed  the other side is above: p against the claim

"Holm" takes the largest factor that Holm can ask for over all claims. A claim that two sides are within one
point (C16, the last part of C11) has seeds with a standard deviation of a third of a point: in "tie" one
difference is exactly one point, in "effect" all are zero, in "reversed" all are two points.

The last line is of whole reports in which no initialization matters: how many have a false verdict after
Holm. C20 is a permutation test, exact by construction.
Took 35 minutes on a busy machine of two cores; a share near 0.05 of 1,000 reports has a standard error of 0.7
points.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache

import numpy as np

from grid.claims.contrasts import SMALLER_IS_BETTER, Candidates
from grid.claims.parts import candidates_of, judge_part
from grid.claims.scores import Key, Position, Score, Scores, from_pretrainings
from grid.claims.statements import Claim, Part, load
from grid.claims.verdicts import NOT_SUPPORTED, SUPPORTED, directions, judge_scores
from grid.results.comparisons import MARGIN
from grid.results.variance import Group, RepeatedSplits, Runs, fixed_test

SEEDS, EFFECT, LEVEL = 3, 3.0, 0.05
CORRELATION, RATIO = 0.2, 0.25  # of the results of two splits; test to training patients
SURVIVAL = ("TCGA-LGG", "TCGA-GBM")
LAYERS = ("conv1", *(f"block{number}" for number in range(1, 9)))  # of ResNet-18
OF_LAYERS = 0.5  # correlation of two layers over pre-trainings
MOST_FALSE, MOST_REPORTS, LEAST_BEFORE, LEAST_AFTER = 0.071, 0.067, 0.9, 0.8
FEWEST_CELLS = 4  # of claims that must be found

Levels = dict[Key, float]
Members = Mapping[tuple[str, str, float], list[Key]]  # the cells of each comparison group
ANALYSED = {  # the cells whose targets a claim takes all, and those of the anchor of C14
    key: Score(0.0, None, SEEDS, SEEDS)
    for key in (("conv1", "ImageNet*", "filters", 1.0), *(("SVCCA", "", name, 1.0) for name in LAYERS))
}
MODELS = ("conv1", "SVCCA")  # of analyses


def claims() -> list[Claim]:
    """The claims of this simulation."""
    return [claim for claim in load() if all(part.measure != "cmd" for part in claim.parts)]


@cache
def candidates(part: Part) -> list[Candidates]:
    """Return the groups of a part, with the side that is claimed to be better as the upper one."""
    found = [group for block in part.cells for group in candidates_of(block, ANALYSED)]
    if part.measure in SMALLER_IS_BETTER:
        return [Candidates(group.source, group.lower, group.upper) for group in found]
    return found


@cache
def members(parts: tuple[Part, ...]) -> Members:
    """Return the comparison groups of parts, with the cells that any claim names, as reports have them."""
    own, every = (_groups(which) for which in (parts, [part for claim in claims() for part in claim.parts]))
    return {place: every[place] for place in own}


def _groups(parts: Iterable[Part]) -> dict[tuple[str, str, float], list[Key]]:
    keys = (key for part in parts for group in candidates(part) for key in (*group.upper, *group.lower))
    found: dict[tuple[str, str, float], list[Key]] = {}
    for key in dict.fromkeys(keys):
        found.setdefault((key[0], key[2], key[3]), []).append(key)
    return found


def draw(groups: Members, levels: Levels, rng: np.random.Generator, spread: float = 1.0) -> Scores:
    """Draw all seeds of the cells in their comparison groups, or all pre-trainings of analyses."""
    if any(model in MODELS for model, _, _ in groups):
        return _draw_pretrainings([key for keys in groups.values() for key in keys], levels, rng)
    cells: dict[Key, Score] = {}
    positions: dict[Key, Position] = {}
    for (_, target, _), keys in groups.items():
        noise = rng.normal(size=(len(keys), SEEDS))
        if target in SURVIVAL:
            shared = rng.normal(size=(len(keys), 1))
            noise = np.sqrt(1 - CORRELATION) * noise + np.sqrt(CORRELATION) * shared
        values = spread * noise + np.array([levels.get(key, 0.0) for key in keys])[:, None]
        means, stds = values.mean(1).tolist(), values.std(1, ddof=1).tolist()
        group = _group(values, target)
        for number, key in enumerate(keys):
            cells[key] = Score(means[number], stds[number], SEEDS, SEEDS)
            positions[key] = Position(group, number, len(keys))
    return Scores(cells, positions)


def _draw_pretrainings(keys: Iterable[Key], levels: Levels, rng: np.random.Generator) -> Scores:
    """Draw the cells of one analysis, with what the layers of a pre-training have in common."""
    shared: dict[str, np.ndarray] = {}
    found: dict[Key, dict[int, float]] = {}
    for key in keys:
        common = shared.setdefault(key[1], rng.normal(size=SEEDS))
        noise = np.sqrt(OF_LAYERS) * common + np.sqrt(1 - OF_LAYERS) * rng.normal(size=SEEDS)
        found[key] = dict(enumerate((noise + levels.get(key, 0.0)).tolist()))
    models = {key[0] for key in found}
    found |= {key: {0: levels.get(key, 0.0)} for key in ANALYSED if key[1] and key[0] in models}
    return from_pretrainings(found)


def _group(values: np.ndarray, target: str) -> Group:
    seeds = np.arange(SEEDS)
    if target in SURVIVAL:
        return RepeatedSplits([dict(zip(seeds.tolist(), row.tolist(), strict=True)) for row in values], RATIO)
    return fixed_test([Runs(row, seeds, 0 * seeds) for row in values], None, None)


def levels_of(claim: Claim, world: str) -> Levels:
    """The means of a world in which one claim is true, ties or is reversed; fewer steps have lower ones."""
    found: Levels = {}
    for part in (*claim.parts[::-1], *claim.parts):  # a side can be the upper one of another part
        if part.rule == "close":
            found |= _levels_of_close(part, world, found)
            continue
        for first, second in _raised(part, world):
            found[first] = EFFECT + found.get(second, 0.0) if world in ("effect", "reversed") else EFFECT
        if part.nearer_to and world in ("effect", "reversed"):
            found |= {key: EFFECT for key in ANALYSED if key[1] == part.nearer_to}
    steps = any(part.measure in SMALLER_IS_BETTER for part in claim.parts)
    return {key: -level for key, level in found.items()} if steps else found


def _raised(part: Part, world: str) -> Iterator[tuple[Key, Key]]:
    """Yield the cells that are above the rest, each with one that it must be above."""
    groups = candidates(part)
    rarest = _rarest(groups)
    for group in groups:
        first, rival = group.upper[0], group.lower[0]
        if world in ("effect", "tie", "rare"):
            yield first, rival
        if world in ("reversed", "tie") or (world == "rare" and len(group.lower) == 1):
            yield rival, first
        if world == "rare" and len(group.lower) > 1:
            yield from ((key, first) for key in group.lower if key[1] == rarest)


def _rarest(groups: Iterable[Candidates]) -> str:
    names = [key[1] for group in groups if len(group.lower) > 1 for key in group.lower]
    return min(names, key=names.count, default="")


def _levels_of_close(part: Part, world: str, before: Levels) -> Levels:
    """Put the lower side where the upper one is, or away from it."""
    groups = candidates(part)
    away = 2 * MARGIN if world == "reversed" else 0.0
    found = {group.lower[0]: before.get(group.upper[0], 0.0) - away for group in groups}
    if world in ("tie", "rare"):
        found[groups[0].upper[0]] = before.get(groups[0].upper[0], 0.0)
        found[groups[0].lower[0]] = found[groups[0].upper[0]] - MARGIN
    return found


def judged(claim: Claim, world: str, rng: np.random.Generator) -> tuple[float, float]:
    """Return p for and against one claim in one report."""
    drawn = draw(members(claim.parts), levels_of(claim, world), rng, MARGIN / 3 if has_close(claim) else 1.0)
    found = directions([judge_part(part, drawn, False) for part in claim.parts])
    if found is None:
        raise RuntimeError(f"{claim.id}: a part could not be tested; all cells have three seeds here")
    return found


def has_close(claim: Claim) -> bool:
    return any(part.rule == "close" for part in claim.parts)


def is_true_under_null(claim: Claim) -> bool:
    return all(part.rule == "close" for part in claim.parts)


def shares(claim: Claim, reports: int, seed: int, count: int) -> dict[str, float]:
    """Return the columns of the table for one claim; nan where a verdict would be true."""
    p = {}
    for number, world in enumerate(("null", "tie", "rare", "effect", "reversed")):
        rng = np.random.default_rng([seed, int(claim.id[1:]), number])
        p[world] = np.array([judged(claim, world, rng) for _ in range(reports)])
    effect, reverse = p["effect"][:, 0], p["reversed"][:, 1]
    return {
        "null, for": np.nan if is_true_under_null(claim) else (p["null"][:, 0] < LEVEL).mean(),
        "null, against": (p["null"][:, 1] < LEVEL).mean(),
        "tie, for": (p["tie"][:, 0] < LEVEL).mean(),
        "rare, for": (p["rare"][:, 0] < LEVEL).mean(),
        "effect": (effect < LEVEL).mean(),
        "effect, Holm": (2 * count * effect < LEVEL).mean(),
        "reversed": (reverse < LEVEL).mean(),
        "reversed, Holm": (2 * count * reverse < LEVEL).mean(),
    }


def falls_short(found: Mapping[str, float], cells: int) -> bool:
    """Say whether a claim of so many cells has too many false verdicts or too little power."""
    false = any(found[name] > MOST_FALSE for name in ("null, for", "null, against", "tie, for", "rare, for"))
    weak = found["effect"] < LEAST_BEFORE or found["effect, Holm"] < LEAST_AFTER
    return false or (weak and cells >= FEWEST_CELLS)


def false_reports(chosen: list[Claim], reports: int, seed: int) -> float:
    """Return the share of null reports with a false verdict after Holm."""
    by_measure: dict[str, tuple[Part, ...]] = {}
    for part in (part for claim in chosen for part in claim.parts):
        by_measure[part.measure] = (*by_measure.get(part.measure, ()), part)
    true = {claim.id for claim in chosen if is_true_under_null(claim)}
    rng, found = np.random.default_rng([seed, 99]), 0
    for _ in range(reports):
        known = {measure: draw(members(parts), {}, rng) for measure, parts in by_measure.items()}
        found += any(
            verdict.kind == NOT_SUPPORTED or (verdict.kind == SUPPORTED and verdict.id not in true)
            for verdict in judge_scores(known)
        )
    return found / reports


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reports", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="one claim, such as C6")
    options = parser.parse_args()
    chosen, short = claims(), 0
    for place, claim in enumerate(claim for claim in chosen if options.only in ("", claim.id)):
        found = shares(claim, options.reports, options.seed, len(chosen))
        cells = sum(len(keys) for keys in _groups(claim.parts).values())
        if not place:
            print(f"| share of reports, % | cells | {' | '.join(found)} | target |")
            print("| --- " * (len(found) + 3) + "|")
        bad = falls_short(found, cells)
        short += bad
        texts = ["–" if np.isnan(share) else f"{100 * share:.1f}" for share in found.values()]
        print(f"| {claim.id} | {cells} | {' | '.join(texts)} | {'short' if bad else 'ok'} |", flush=True)
    if not options.only:
        false = false_reports(chosen, options.reports, options.seed)
        short += false > MOST_REPORTS
        print(f"\nnull reports with a false verdict after Holm: {100 * false:.1f} %")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
