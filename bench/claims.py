"""How often a claim is found where nothing is true, where the named one ties, and where it is true.

    python -m bench.claims [--reports 1000] [--seed 0] [--only C6]

All cells that the claims C1 to C21 name have three seeds with a standard deviation of one; survival has three
splits of the patients, whose results correlate by 0.2. A world is drawn for each claim on its own:

    null      no initialization matters; a p below 0.05 for or against the claim is false
    tie       the named side and one rival are three standard deviations above the rest: p for the claim
    effect    the named side is three standard deviations above all others: p for the claim
    reversed  the other side is above: p against the claim

"After Holm" takes the largest factor that Holm can ask for over all claims. The last line is of whole reports
in which no initialization matters: how many have any verdict after Holm. C13 and C14 are undecidable with one
pre-training; C20 is a permutation test, exact by construction. Takes 20 minutes on one core.
"""

import argparse
import sys
from collections.abc import Iterable

import numpy as np

from grid.claims.parts import OF_PRETRAININGS, Candidates, candidates_of, judge_part
from grid.claims.scores import Key, Position, Score, Scores
from grid.claims.statements import Claim, Part, load
from grid.claims.verdicts import SUPPORTED, directions, judge_scores
from grid.results.variance import Group, RepeatedSplits, Runs, fixed_test

SEEDS, EFFECT, LEVEL = 3, 3.0, 0.05
CORRELATION, RATIO = 0.2, 0.25  # of the results of two splits; test to training patients
SURVIVAL = ("TCGA-LGG", "TCGA-GBM")
MOST_FALSE, MOST_REPORTS, LEAST_BEFORE, LEAST_AFTER = 0.071, 0.067, 0.9, 0.8

Levels = dict[Key, float]


def claims() -> list[Claim]:
    """The claims of this simulation."""
    skipped = (*OF_PRETRAININGS, "cmd")
    return [claim for claim in load() if all(part.measure not in skipped for part in claim.parts)]


def candidates(part: Part) -> list[Candidates]:
    return [group for block in part.cells for group in candidates_of(block, {})]


def draw(keys: Iterable[Key], levels: Levels, rng: np.random.Generator) -> Scores:
    """Draw all seeds of the cells and put them into their comparison groups."""
    groups: dict[tuple[str, str, float], list[Key]] = {}
    for key in dict.fromkeys(keys):
        groups.setdefault((key[0], key[2], key[3]), []).append(key)
    cells: dict[Key, Score] = {}
    positions: dict[Key, Position] = {}
    for (_, target, _), members in groups.items():
        noise = rng.normal(size=(len(members), SEEDS))
        if target in SURVIVAL:
            shared = rng.normal(size=(len(members), 1))
            noise = np.sqrt(1 - CORRELATION) * noise + np.sqrt(CORRELATION) * shared
        values = noise + np.array([levels.get(key, 0.0) for key in members])[:, None]
        group = _group(values, target)
        for number, (key, row) in enumerate(zip(members, values, strict=True)):
            cells[key] = Score(float(row.mean()), float(row.std(ddof=1)), SEEDS, SEEDS)
            positions[key] = Position(group, number, len(members))
    return Scores(cells, positions)


def _group(values: np.ndarray, target: str) -> Group:
    seeds = np.arange(SEEDS)
    if target in SURVIVAL:
        return RepeatedSplits([dict(zip(seeds.tolist(), row.tolist(), strict=True)) for row in values], RATIO)
    return fixed_test([Runs(row, seeds, 0 * seeds) for row in values], None, None)


def levels_of(claim: Claim, world: str) -> Levels:
    """The means of a world in which one claim is true, ties or is reversed."""
    found: Levels = {}
    for part in claim.parts:
        sign = -1.0 if part.measure == "steps_to_95" else 1.0
        for group in candidates(part):
            upper, lower = (group.upper, group.lower) if sign > 0 else (group.lower, group.upper)
            raised = {"effect": upper[:1], "reversed": lower[:1], "tie": (*upper[:1], *lower[:1])}
            for key in raised.get(world, ()):
                found[key] = sign * EFFECT
    return found


def judged(claim: Claim, world: str, rng: np.random.Generator) -> tuple[float, float]:
    """Return p for and against one claim in one report."""
    keys = [key for part in claim.parts for group in candidates(part) for key in (*group.upper, *group.lower)]
    drawn = draw(keys, levels_of(claim, world), rng)
    found = directions([judge_part(part, drawn, False) for part in claim.parts])
    assert found is not None
    return found


def shares(claim: Claim, reports: int, seed: int, count: int) -> list[float]:
    """Return the columns of the table for one claim."""

    worlds = ("null", "tie", "effect", "reversed")
    p = {}
    for number, world in enumerate(worlds):
        rng = np.random.default_rng([seed, int(claim.id[1:]), number])
        p[world] = np.array([judged(claim, world, rng) for _ in range(reports)])
    effect = p["effect"][:, 0]
    found = [*(p["null"] < LEVEL).mean(0), (p["tie"][:, 0] < LEVEL).mean(), (effect < LEVEL).mean()]
    return [*found, (2 * count * effect < LEVEL).mean(), (p["reversed"][:, 1] < LEVEL).mean()]


def false_reports(chosen: list[Claim], reports: int, seed: int) -> float:
    """Return the share of null reports with any verdict after Holm."""
    keys = [
        (key, part.measure)
        for claim in chosen
        for part in claim.parts
        for group in candidates(part)
        for key in (*group.upper, *group.lower)
    ]
    rng, found = np.random.default_rng([seed, 99]), 0
    for _ in range(reports):
        known = {
            measure: draw([key for key, of in keys if of == measure], {}, rng)
            for measure in ("score", "steps_to_95")
        }
        kinds = [verdict.kind for verdict in judge_scores(known)]
        found += any(kind in (SUPPORTED, "not supported") for kind in kinds)
    return found / reports


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reports", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="one claim, such as C6")
    options = parser.parse_args()
    chosen = claims()
    print("| share of reports, % | null, for | null, against | tie, for | effect | after Holm | reversed |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    short = 0
    for claim in (claim for claim in chosen if options.only in ("", claim.id)):
        found = shares(claim, options.reports, options.seed, len(chosen))
        short += max(found[:3]) > MOST_FALSE if not _is_close(claim) else found[1] > MOST_FALSE
        print(f"| {claim.id} | {' | '.join(f'{100 * share:.1f}' for share in found)} |", flush=True)
    if not options.only:
        false = false_reports(chosen, options.reports, options.seed)
        short += false > MOST_REPORTS
        print(f"\nnull reports with any verdict after Holm: {100 * false:.1f} %")
    return 1 if short else 0


def _is_close(claim: Claim) -> bool:
    """In the null world, "close" is true."""
    return any(part.rule == "close" for part in claim.parts)


if __name__ == "__main__":
    sys.exit(main())
