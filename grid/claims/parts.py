"""A part of a claim: the cells that it compares, what they say, and what they lack.

grid.claims.contrasts has the tests.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from grid.claims import scores
from grid.claims.contrasts import RULES, Candidates, permuted
from grid.claims.scores import Key, Score, Scores
from grid.claims.statements import Block, Part
from grid.results import verdicts
from grid.results.comparisons import MARGIN
from grid.results.intervals import Estimates
from grid.results.metrics import SMALLER_IS_BETTER

OF_PRETRAININGS = ("svcca", "gabor")  # measures that vary with the pre-training alone
LARGEST = 3.0  # seed standard deviations that a part must be able to find

MISSING, NO_NUMBERS = "cells are missing", "the paper printed no numbers"
ONE_PRETRAINING = "of a source one pre-training is analysed (`pretrain_seed` of an analysis takes several)"
IDENTICAL = "repeated pre-trainings do not differ"
NOT_REPEATED = "no seed is repeated"


@dataclass(frozen=True)
class Comparison:
    """`upper` should be above `lower`, or near it; of several candidates, the best are shown."""

    source: str
    model: str
    target: str
    share: float
    upper: str
    lower: str
    scores: tuple[Score, Score]

    @property
    def difference(self) -> float:
        return self.scores[0].mean - self.scores[1].mean

    @property
    def noise(self) -> float | None:
        """The larger of the two standard deviations; None where neither cell has one."""
        return max((score.std for score in self.scores if score.std is not None), default=None)


@dataclass(frozen=True)
class PartVerdict:
    """What a part's cells say; `held` of `total` comparisons have the claimed sign.

    `difference` with [low, high] is the contrast; `p` and `opposite` are one-sided, None where untested.
    `undecidable` says why nothing could be found, `missing` names cells without a value, `incomplete` those
    with fewer seeds than planned.
    """

    statement: str
    measure: str
    held: int
    comparisons: tuple[Comparison, ...]
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    opposite: float | None = None
    undecidable: str = ""
    missing: tuple[str, ...] = ()
    incomplete: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        return len(self.comparisons)


def judge_part(part: Part, known: Scores, printed_only: bool) -> PartVerdict:
    """Return what a part's cells say; `printed_only` leaves out cells that the paper only drew."""
    blocks = [block for block in part.cells if block.is_printed or not printed_only]
    groups = [group for block in blocks for group in candidates_of(block, known.cells)]
    missing = {
        _named(key, part.measure)
        for group in groups
        for key in _needed(group, part.nearer_to)
        if key not in known.cells
    }
    compared = scores.nearness(known, part.nearer_to) if part.nearer_to else known
    complete = [p for p in groups if all(k in known.cells for k in _needed(p, part.nearer_to))]
    best = min if part.measure in SMALLER_IS_BETTER else max
    comparisons = tuple(_compare(group, compared.cells, best) for group in complete)
    found = PartVerdict(
        part.statement,
        part.measure,
        held=sum(_holds(part, comparison) for comparison in comparisons),
        comparisons=comparisons,
        missing=tuple(sorted(missing)),
        incomplete=tuple(dict.fromkeys(text for one in comparisons for text in _incomplete(one))),
    )
    if missing or not complete:
        return replace(found, undecidable=MISSING if blocks else NO_NUMBERS)
    return _tested(part, complete, compared, found)


def _tested(part: Part, groups: Sequence[Candidates], known: Scores, found: PartVerdict) -> PartVerdict:
    repeat = "pre-training" if part.measure in OF_PRETRAININGS else "seed"
    if part.measure in OF_PRETRAININGS and _fewest(groups, known) < 2:
        return replace(found, undecidable=ONE_PRETRAINING)
    if part.measure == "cmd":
        p, opposite = permuted(known.distances, [group.upper[0][2] for group in groups])
        return replace(found, p=p, opposite=opposite)
    tested = RULES[part.rule](part, groups, known)
    low, high = (float(limit[0]) for limit in tested.contrast.limits())
    found = replace(found, difference=float(tested.contrast.value[0]), low=low, high=high)
    if not np.isfinite([tested.p, tested.opposite]).all():
        return replace(found, undecidable=IDENTICAL if part.measure in OF_PRETRAININGS else NOT_REPEATED)
    reason = _too_few(tested.contrast, found, repeat)
    return replace(found, p=tested.p, opposite=tested.opposite, undecidable=reason)


def _fewest(groups: Sequence[Candidates], known: Scores) -> int:
    return min(known.cells[key].n for group in groups for key in (*group.upper, *group.lower))


def _too_few(contrast: Estimates, found: PartVerdict, repeat: str) -> str:
    """Say how many repeats it takes to find LARGEST standard deviations; empty where these do."""
    stds = [score.std for one in found.comparisons for score in one.scores if score.std is not None]
    if not stds:
        return NOT_REPEATED
    size = LARGEST * float(np.sqrt(np.mean(np.square(stds))))
    if verdicts.smallest_decidable(contrast)[0] <= size:
        return ""
    seeds = max(score.n for one in found.comparisons for score in one.scores)
    factor = float(verdicts.needed(contrast, "seeds", size)[0])
    many = f"no number of {repeat}s" if np.isnan(factor) else f"{int(np.ceil(factor * seeds))} {repeat}s"
    return f"{many} would find three standard deviations of a {repeat}"


def _holds(part: Part, comparison: Comparison) -> bool:
    return abs(comparison.difference) <= MARGIN if part.rule == "close" else comparison.difference > 0


def candidates_of(block: Block, cells: Mapping[Key, Score]) -> Iterator[Candidates]:
    """Yield the groups of a block; `cells` say which targets there are, where it is of all."""
    uppers = _alternatives(block.upper, block.best_upper)
    lowers = _alternatives(block.lower, block.best_lower)
    for model in block.models:
        combinations = product(_targets(block, model, cells), block.shares, block.sizes, uppers, lowers)
        for target, share, size, *sides in combinations:
            upper, lower = (
                tuple((model, name.format(size=size), target, share) for name in side) for side in sides
            )
            yield Candidates(block.source, upper, lower)


def _alternatives(each: tuple[str, ...], best: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [(name,) for name in each] or [best]


def _targets(block: Block, model: str, cells: Mapping[Key, Score]) -> tuple[str, ...]:
    """Of `all`, those that there are."""
    if block.targets != "all":
        return block.targets
    return tuple(dict.fromkeys(key[2] for key in cells if key[0] == model)) or ("any",)


def _needed(group: Candidates, anchor: str) -> tuple[Key, ...]:
    model, _, target, share = group.upper[0]
    reference: tuple[Key, ...] = ((model, anchor, target, share),) if anchor else ()
    return (*group.upper, *group.lower, *reference)


def _compare(group: Candidates, cells: Mapping[Key, Score], best: Callable[..., Key]) -> Comparison:
    upper, lower = (best(keys, key=lambda key: cells[key].mean) for keys in (group.upper, group.lower))
    model, name, target, share = upper
    return Comparison(group.source, model, target, share, name, lower[1], (cells[upper], cells[lower]))


def _incomplete(comparison: Comparison) -> Iterator[str]:
    names = (comparison.upper, comparison.lower)
    for name, score in zip(names, comparison.scores, strict=True):
        if score.n < score.planned:
            key = (comparison.model, name, comparison.target, comparison.share)
            yield f"{_named(key)}: {score.n} of {score.planned} seeds"


def _named(key: Key, measure: str = "score") -> str:
    model, initialization, target, share = key
    of = "" if measure == "score" else f"{measure} of "
    return f"{of}{model} · {initialization} → {target}" + (f" {share:.0%}" if share < 1 else "")
