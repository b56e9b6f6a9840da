"""The paper's claims C1 to C21, judged: on our trials and analyses, and on the numbers that it printed.

The claims are data (reports/claims.yaml). Each part of a claim is one contrast of cells (grid.claims.parts),
with the variance that docs/statistics.md describes. A claim of several parts is supported by the largest of
their p values, and refuted by the smallest times their number. Both directions of all claims are corrected
together (Holm over twice the smaller p). A claim that is not found either way is inconclusive, or undecidable
with the reason: cells are missing, nothing was repeated, or the runs could not find three standard deviations
of a seed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING

from grid.claims import scores
from grid.claims.parts import PartVerdict, judge_part
from grid.claims.scores import Scores
from grid.claims.statements import Claim, load
from grid.results.verdicts import LEVEL, holm

if TYPE_CHECKING:
    import pandas as pd

SUPPORTED, NOT_SUPPORTED, INCONCLUSIVE = "supported", "not supported", "inconclusive"
UNDECIDABLE = "undecidable"


@dataclass(frozen=True)
class Verdict:
    """`p` is one-sided for the claim, `opposite` against it; `p_adjusted` is of both, over all claims."""

    id: str
    section: str
    statement: str
    verdict: str
    parts: tuple[PartVerdict, ...]
    note: str = ""
    p: float | None = None
    opposite: float | None = None
    p_adjusted: float | None = None

    @property
    def kind(self) -> str:
        """The verdict without its reason."""
        return self.verdict.split(":")[0]

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
    """Judge the claims on the paper's own numbers; what it drew without printing numbers is undecidable."""
    return judge_scores({"score": scores.printed()}, printed_only=True)


def judge(
    trials: "pd.DataFrame | None", analyses: "Mapping[str, pd.DataFrame] | None" = None
) -> list[Verdict]:
    """Judge the claims on our results.

    `trials` is what grid.results.load gives, of one or several spaces together, with a column
    `dense_steps_to_95` (steps to 95 % of the best validation score) for C21, which results of version 0.3.1
    lack; without its column `items`, seeds alone are used.
    `analyses` are frames by the names and with the columns of grid.claims.scores.ANALYSES, with sources named
    as in `trials`: svcca for C13, gabor for C14, cmd for C20.
    """
    known = {name: scores.from_analysis(name, frame) for name, frame in (analyses or {}).items()}
    if trials is not None:
        known |= {measure: scores.from_trials(trials, measure) for measure in ("score", "dense_steps_to_95")}
    return judge_scores(known)


def judge_scores(known: Mapping[str, Scores], *, printed_only: bool = False) -> list[Verdict]:
    """Judge all claims on scores by measure."""
    claims = load()
    parts = [
        tuple(judge_part(part, known.get(part.measure, Scores()), printed_only) for part in claim.parts)
        for claim in claims
    ]
    both = [directions(found) for found in parts]
    adjusted = holm([min(1.0, 2 * min(pair)) if pair else nan for pair in both])
    rows = zip(claims, parts, both, adjusted.tolist(), strict=True)
    return [_verdict(*row) for row in rows]


def directions(parts: Sequence[PartVerdict]) -> tuple[float, float] | None:
    """Return p of the claim and of its opposite; None where a part could not be tested."""
    tested = [(part.p, part.opposite) for part in parts if part.p is not None and part.opposite is not None]
    if len(tested) < len(parts):
        return None
    support, opposite = zip(*tested, strict=True)
    return max(support), min(1.0, len(parts) * min(opposite))


def _verdict(
    claim: Claim, parts: tuple[PartVerdict, ...], both: tuple[float, float] | None, adjusted: float
) -> Verdict:
    head = (claim.id, claim.section, claim.statement)
    reasons = "; ".join(dict.fromkeys(part.undecidable for part in parts if part.undecidable))
    unfound = f"{UNDECIDABLE}: {reasons}" if reasons else INCONCLUSIVE
    if both is None:
        return Verdict(*head, unfound, parts, claim.note)
    support, opposite = both
    found = SUPPORTED if support < opposite else NOT_SUPPORTED
    verdict = found if adjusted < LEVEL else unfound
    return Verdict(*head, verdict, parts, claim.note, support, opposite, adjusted)
