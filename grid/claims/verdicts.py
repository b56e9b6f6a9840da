"""The paper's claims C1 to C21, judged: on our trials and analyses, and on the numbers that it printed.

The claims are data (reports/claims.yaml): a claim is one or more parts, a part is comparisons of cells. A
part is supported where its sign holds in at least two thirds of the comparisons and the mean difference
passes a one-sided sign-permutation test at 0.05; not supported where both hold of the opposite sign; else
inconclusive. A claim is supported where all of its parts are, not supported where one is not, and not
decidable before every cell that it names has a value. Differences are taken seed by seed where both cells
have seeds: p speaks of repeated fine-tuning from the pre-trainings that there are, not of other ones.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from statistics import mean
from typing import TYPE_CHECKING, Any

from grid.claims import scores
from grid.claims.scores import Key, Score, Scores
from grid.claims.statements import Block, Claim, Part, load
from grid.results import statistics

if TYPE_CHECKING:
    import pandas as pd

SUPPORTED, NOT_SUPPORTED, INCONCLUSIVE = "supported", "not supported", "inconclusive"
NOT_YET = "not decidable yet"  # cells are missing
NO_NUMBERS = "not decidable"  # the paper printed none
PRECEDENCE = (NO_NUMBERS, NOT_YET, NOT_SUPPORTED, INCONCLUSIVE, SUPPORTED)  # of parts, for the claim
LEVEL = 0.05
SMALLER_IS_BETTER = ("steps_to_95",)


@dataclass(frozen=True)
class Comparison:
    """`upper` should be above `lower`, or near it.

    `difference` is the mean of `differences`: one a common seed, or that of the means where there are none.
    `noise` is the larger of the two standard deviations, None where neither cell has one.
    """

    source: str
    model: str
    target: str
    share: float
    upper: str
    lower: str
    scores: tuple[Score, Score]
    differences: tuple[float, ...]

    @property
    def difference(self) -> float:
        return mean(self.differences)

    @property
    def noise(self) -> float | None:
        return max((score.std for score in self.scores if score.std is not None), default=None)

    @property
    def is_clear(self) -> bool:
        """Whether the difference, of either sign, exceeds the noise."""
        return self.noise is not None and abs(self.difference) > self.noise


@dataclass(frozen=True)
class PartVerdict:
    """`held` of `total` comparisons have the claimed sign; `p` is one-sided, `least_p` the least it could be.

    `clear` counts comparisons that hold by more than one standard deviation. `missing` names cells without a
    value, `short` those with fewer seeds than planned.
    """

    statement: str
    measure: str
    verdict: str
    held: int
    total: int
    clear: int
    difference: float | None
    p: float | None
    least_p: float | None
    comparisons: tuple[Comparison, ...]
    missing: tuple[str, ...]
    short: tuple[str, ...]


@dataclass(frozen=True)
class Verdict:
    id: str
    section: str
    statement: str
    verdict: str
    parts: tuple[PartVerdict, ...]
    note: str = ""

    @property
    def held(self) -> int:
        return sum(part.held for part in self.parts)

    @property
    def total(self) -> int:
        return sum(part.total for part in self.parts)

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for part in self.parts for name in part.missing))


def paper() -> list[Verdict]:
    """The claims on the paper's own numbers; what it drew without printing numbers is not decidable."""
    known = {"score": scores.printed()}
    return [_verdict(claim, known, printed_only=True) for claim in load()]


def judge(
    trials: "pd.DataFrame | None", analyses: "Mapping[str, pd.DataFrame] | None" = None
) -> list[Verdict]:
    """The claims on our results.

    `trials` is what grid.results.load gives, of one or several spaces together, with a column `steps_to_95`
    (steps to 95 % of the best validation score) for C21. `analyses` are frames by the names and with the
    columns of grid.scores.ANALYSES, sources named as in `trials`: svcca for C13, gabor for C14, cmd for C20.
    """
    known = {name: scores.from_analysis(name, frame) for name, frame in (analyses or {}).items()}
    if trials is not None:
        known |= {measure: scores.from_trials(trials, measure) for measure in ("score", "steps_to_95")}
    return [_verdict(claim, known, printed_only=False) for claim in load()]


def _verdict(claim: Claim, known: dict[str, Scores], *, printed_only: bool) -> Verdict:
    parts = tuple(_part(part, known.get(part.measure, {}), printed_only) for part in claim.parts)
    found = {part.verdict for part in parts}
    verdict = next(name for name in PRECEDENCE if name in found)
    return Verdict(claim.id, claim.section, claim.statement, verdict, parts, claim.note)


def _part(part: Part, cells: Scores, printed_only: bool) -> PartVerdict:
    compared = scores.distances(cells, part.nearer_to) if part.nearer_to else cells
    blocks = [block for block in part.cells if block.is_printed or not printed_only]
    best = min if part.measure in SMALLER_IS_BETTER else max
    found: list[Comparison] = []
    missing: dict[str, None] = {}
    for block in blocks:
        for side in _sides(block, cells):
            lacking = [key for key in _needed(side, part.nearer_to) if key not in cells]
            missing |= dict.fromkeys(_named(key, part.measure) for key in lacking)
            if not lacking:
                found.append(_compare(block.source, side, compared, best))
    return _judged(part, found, tuple(missing), printed=bool(blocks))


@dataclass(frozen=True)
class _Sides:
    upper: tuple[Key, ...]  # the best of them counts
    lower: tuple[Key, ...]


def _sides(block: Block, cells: Scores) -> Iterator[_Sides]:
    uppers = _alternatives(block.upper, block.best_upper)
    lowers = _alternatives(block.lower, block.best_lower)
    for model in block.models:
        places = product(_targets(block, model, cells), block.shares, block.sizes, uppers, lowers)
        for target, share, size, *sides in places:
            upper, lower = (
                tuple((model, name.format(size=size), target, share) for name in side) for side in sides
            )
            yield _Sides(upper, lower)


def _needed(side: _Sides, anchor: str) -> tuple[Key, ...]:
    model, _, target, share = side.upper[0]
    reference: tuple[Key, ...] = ((model, anchor, target, share),) if anchor else ()
    return (*side.upper, *side.lower, *reference)


def _targets(block: Block, model: str, cells: Scores) -> tuple[str, ...]:
    """Of `all`, those that there are."""
    if block.targets != "all":
        return block.targets
    return tuple(dict.fromkeys(key[2] for key in cells if key[0] == model)) or ("any",)


def _alternatives(each: tuple[str, ...], best: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [(name,) for name in each] or [best]


def _compare(source: str, side: _Sides, cells: Scores, best: Any) -> Comparison:
    upper, lower = (best(keys, key=lambda key: cells[key].mean) for keys in (side.upper, side.lower))
    pair = cells[upper], cells[lower]
    common = [seed for seed in pair[0].values if seed in pair[1].values]
    differences = [pair[0].values[seed] - pair[1].values[seed] for seed in common]
    differences = differences or [pair[0].mean - pair[1].mean]
    model, name, target, share = upper
    return Comparison(source, model, target, share, name, lower[1], pair, tuple(differences))


def _judged(part: Part, found: list[Comparison], missing: tuple[str, ...], *, printed: bool) -> PartVerdict:
    if found:
        held, verdict, p = RULES[part.rule](found)
    else:
        held, verdict, p = [], INCONCLUSIVE, None
    if missing or not found:
        verdict = NOT_YET if printed else NO_NUMBERS
    pooled = [d for comparison in found for d in comparison.differences]
    return PartVerdict(
        statement=part.statement,
        measure=part.measure,
        verdict=verdict,
        held=len(held),
        total=len(found),
        clear=sum(comparison.is_clear for comparison in held),
        difference=mean(pooled) if pooled else None,
        p=p,
        least_p=0.5 ** len(pooled) if pooled else None,
        comparisons=tuple(found),
        missing=missing,
        short=tuple(dict.fromkeys(text for comparison in found for text in _short(comparison))),
    )


Outcome = tuple[list[Comparison], str, float]


def order(found: list[Comparison]) -> Outcome:
    """Is the upper side above the lower one?"""
    held = [c for c in found if c.difference > 0]
    turned = [c for c in found if c.difference < 0]
    pooled = [d for c in found for d in c.differences]
    p, opposite = (statistics.sign_permutation([sign * d for d in pooled]) for sign in (1, -1))
    return held, _ruled(len(held), len(turned), len(found), p, opposite), p


def close(found: list[Comparison]) -> Outcome:
    """Are the sides within one standard deviation, the larger of the two? Two one-sided tests against it.

    Single seeds have no standard deviation: inconclusive.
    """
    if any(c.noise is None for c in found):
        return [], INCONCLUSIVE, 1.0
    held = [c for c in found if abs(c.difference) <= _margin(c)]
    above = [d - _margin(c) for c in found for d in c.differences]
    below = [-d - _margin(c) for c in found for d in c.differences]
    p = max(statistics.sign_permutation([-x for x in side]) for side in (above, below))
    opposite = min(1.0, 2 * min(map(statistics.sign_permutation, (above, below))))
    return held, _ruled(len(held), len(found) - len(held), len(found), p, opposite), p


RULES = {"order": order, "close": close}


def _margin(comparison: Comparison) -> float:
    return comparison.noise or 0.0


def _ruled(held: int, turned: int, total: int, p: float, opposite: float) -> str:
    if 3 * held >= 2 * total and p < LEVEL:
        return SUPPORTED
    return NOT_SUPPORTED if 3 * turned >= 2 * total and opposite < LEVEL else INCONCLUSIVE


def _short(comparison: Comparison) -> Iterator[str]:
    names = (comparison.upper, comparison.lower)
    for name, score in zip(names, comparison.scores, strict=True):
        if score.n < score.planned:
            key = (comparison.model, name, comparison.target, comparison.share)
            yield f"{_named(key)}: {score.n} of {score.planned} seeds"


def _named(key: Key, measure: str = "score") -> str:
    model, initialization, target, share = key
    of = "" if measure == "score" else f"{measure} of "
    return f"{of}{model} · {initialization} → {target}" + (f" {share:.0%}" if share < 1 else "")
