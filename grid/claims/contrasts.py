"""The tests behind a part of a claim: contrasts of cells that were stated in advance, in both directions.

A part has groups: a network, a target, and the initializations on its upper and lower side. A contrast is the
mean over groups of an upper less a lower initialization. Where a side names several candidates, there is a
contrast for each of them, over the groups in which it is named and those that name one alone. P[u, l] is the
one-sided p of "u is above l"; docs/statistics.md gives the rules, which hold however the candidates are tied.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grid.claims import scores
from grid.claims.scores import Key, Scores, Term
from grid.claims.statements import Part
from grid.results.comparisons import MARGIN
from grid.results.intervals import Estimates
from grid.results.metrics import SMALLER_IS_BETTER

PERMUTATIONS = 1_999
ANY = ""  # the candidate of a side that names one initialization in every group


@dataclass(frozen=True)
class Candidates:
    """Candidates for the upper and for the lower side, of one network and target."""

    source: str
    upper: tuple[Key, ...]
    lower: tuple[Key, ...]


@dataclass(frozen=True)
class Tested:
    """The contrast to show, and p in the claimed and in the opposite direction; nan without an interval."""

    contrast: Estimates
    p: float
    opposite: float


def order(part: Part, groups: Sequence[Candidates], known: Scores) -> Tested:
    """Test that the best upper candidate is above every lower one, and that the best lower is above all."""
    fewer = part.measure in SMALLER_IS_BETTER
    if fewer:  # the lower side is claimed to be the best
        groups = [Candidates(group.source, group.lower, group.upper) for group in groups]
    uppers, lowers = (_names([getattr(group, side) for group in groups]) for side in ("upper", "lower"))
    sign = -1.0 if fewer else 1.0
    found = known.estimate([_terms(groups, u, lower, sign) for u in uppers for lower in lowers])
    above = found.below(0).reshape(len(uppers), len(lowers))
    p, opposite = best_of_several(above), best_of_several(1 - above.T)
    return Tested(found.row(_decisive(above)), p, opposite)


def best_of_several(above: NDArray[np.float64]) -> float:
    """Return p that one of R candidates is above all others, of above[r, j], the p that r is above j.

    To be above all of them takes the largest p, without a correction (an intersection-union test); that one
    of R is takes R times the smallest. It is nan where a contrast has no interval.
    """
    return float(np.minimum(1.0, len(above) * above.max(1).min()))


def _decisive(above: NDArray[np.float64]) -> int:
    """Return the place of the contrast whose p decides: the best candidate and its nearest rival."""
    if np.isnan(above).any():
        return 0
    best = int(above.max(1).argmin())
    return best * above.shape[1] + int(above[best].argmax())


def _names(sides: Sequence[tuple[Key, ...]]) -> list[str]:
    """Return the candidates of sides that name several."""
    return list(dict.fromkeys(key[1] for side in sides if len(side) > 1 for key in side)) or [ANY]


def _terms(groups: Sequence[Candidates], upper: str, lower: str, sign: float) -> list[Term]:
    pairs = [(_named(group.upper, upper), _named(group.lower, lower)) for group in groups]
    both = [(a, b) for a, b in pairs if a and b]
    share = sign / len(both)
    return [term for a, b in both for term in ((a, share), (b, -share))]


def _named(side: tuple[Key, ...], name: str) -> Key | None:
    return side[0] if len(side) == 1 else next((key for key in side if key[1] == name), None)


def close(part: Part, groups: Sequence[Candidates], known: Scores) -> Tested:
    """Test that both sides are within MARGIN points of each other in every group, and that one is not."""
    each = [_terms([group], ANY, ANY, 1.0) for group in groups]
    found = known.estimate([*each, _terms(groups, ANY, ANY, 1.0)])
    above, below = 1 - found.below(MARGIN)[:-1], found.below(-MARGIN)[:-1]
    outside = 2 * float(np.minimum(1 - above, 1 - below).min())
    within = float(np.maximum(above, below).max())
    return Tested(found.row(len(groups)), within, float(np.minimum(1.0, len(groups) * outside)))


RULES: dict[str, Callable[[Part, Sequence[Candidates], Scores], Tested]] = {"order": order, "close": close}


def permuted(distances: Mapping[tuple[str, str], float], targets: Sequence[str]) -> tuple[float, float]:
    """Return the share of permutations of modality labels in which targets are as near to their modality.

    The second value is the share in which they are as far. The statistic is the mean over targets of the
    distance to the nearest dataset of another modality, less that of the same one.
    """
    names = sorted({name for pair in distances for name in pair})
    matrix = np.array([[distances.get((a, b), np.inf) for b in names] for a in names])
    rows = [n for n, name in enumerate(names) if scores.published.TARGETS.get(name, name) in targets]
    labels = np.unique([scores.modality(name) for name in names], return_inverse=True)[1]
    rng = np.random.default_rng(0)
    drawn = [_nearness(matrix, rng.permutation(labels), rows) for _ in range(PERMUTATIONS)]
    observed = _nearness(matrix, labels, rows)
    near, far = (np.sum(sign * (np.array(drawn) - observed) >= 0) for sign in (1, -1))
    return float((1 + near) / (1 + PERMUTATIONS)), float((1 + far) / (1 + PERMUTATIONS))


def _nearness(matrix: NDArray[np.float64], labels: NDArray[np.int64], rows: Sequence[int]) -> float:
    same = labels[:, None] == labels
    others = same & ~np.eye(len(labels), dtype=bool)
    nearest = [np.where(which, matrix, np.inf).min(1)[rows] for which in (~same, others)]
    known = np.isfinite(nearest).all(0)
    return float((nearest[0] - nearest[1])[known].mean()) if known.any() else 0.0
