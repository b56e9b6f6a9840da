"""How often the order of two risks is the order of two deaths: the concordance index in its two readings.

Numpy only, O(n log n), counts exact at any n. Risk is such that higher means shorter survival: other
libraries may want the opposite sign (lifelines takes `-risk`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medpt.errors import InputError

Integers = NDArray[np.int64]
EVENTS = " (1 for a death, 0 for a censoring; not words)"


def concordance_index(time: ArrayLike, event: ArrayLike, risk: ArrayLike) -> float:
    """Harrell's C in [0, 1]: 1 the risks order the deaths, 0.5 chance or a constant risk, 0 the reverse.

    time (n,), event (n,) true or 1 where death was observed, risk (n,). A death is compared with all who
    lived longer and with those censored at its time, not with other deaths at its time; equal risks count
    ½. lifelines' value for `-risk`, and scikit-survival's but for risks nearer than its tolerance of 1e-8:
    here only equal is equal, so that C keeps its value under every increasing map of the risk.
    Raises InputError for values that are no numbers, lengths that differ and where no pair is comparable.
    Harrell et al. 1996 (Stat. Med. 15:361).
    """
    pairs = _harrell(*checked(time, event, risk)).refuse_none()
    return (2 * pairs.concordant + pairs.tied) / (2 * pairs.comparable)


def strict_concordance_index(time: ArrayLike, event: ArrayLike, risk: ArrayLike) -> float:
    """Wen et al. 2021, equation 4: as `concordance_index`, but nothing for equal risks.

    A death is compared with all who lived strictly longer, so never with a censoring at its time. A
    constant risk scores 0, and so many equal risks push C below ½ without any error of sign.
    """
    pairs = _pairs(*checked(time, event, risk), at_same_time=False).refuse_none()
    return pairs.concordant / pairs.comparable


def comparable_pairs(time: ArrayLike, event: ArrayLike) -> int:
    """The pairs that `concordance_index` is a mean over."""
    return _harrell(*checked(time, event, np.zeros(np.shape(time)))).comparable


@dataclass(frozen=True)
class _Pairs:
    concordant: int
    tied: int
    comparable: int

    def refuse_none(self) -> "_Pairs":
        if not self.comparable:
            raise InputError("concordance: no comparable pair: no death before another patient's end")
        return self


def checked(
    time: ArrayLike, event: ArrayLike, risk: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
    """As arrays of one length; raises InputError with a line for each of the three that is none."""
    given = {"time": np.asarray(time), "event": np.asarray(event), "risk": np.asarray(risk)}
    columns = {name: np.array(c.tolist()) if c.dtype == object else c for name, c in given.items()}
    lengths = {name: column.shape for name, column in columns.items()}
    if len(set(lengths.values())) > 1 or columns["time"].ndim != 1:
        raise InputError(f"concordance: shapes {lengths}; accepted: one number a patient each")
    strange = [
        f"concordance: {name}: values of {column.dtype}; accepted: real numbers" + EVENTS * (name == "event")
        for name, column in columns.items()
        if column.dtype.kind not in "buif"
    ]
    if strange:
        raise InputError(strange)
    numbers = {name: column.astype(np.float64) for name, column in columns.items()}
    problems = [
        f"concordance: {name}: {np.isnan(column).sum()} of {len(column)} values are not a number"
        for name, column in numbers.items()
        if np.isnan(column).any()
    ]
    if not np.isin(numbers["event"], (0, 1)).all() and not np.isnan(numbers["event"]).any():
        problems.append("concordance: event: accepted: true or 1 for a death, false or 0 for a censoring")
    if problems:
        raise InputError(problems)
    return numbers["time"], numbers["event"] == 1, numbers["risk"]


def _harrell(time: NDArray[np.float64], event: NDArray[np.bool_], risk: NDArray[np.float64]) -> _Pairs:
    return _pairs(time, event, risk, at_same_time=True)


def _pairs(
    time: NDArray[np.float64], event: NDArray[np.bool_], risk: NDArray[np.float64], at_same_time: bool
) -> _Pairs:
    """Pairs of a death and a later end; a censoring ends later than a death `at_same_time`, or with it."""
    end = 2 * _dense(time) + (at_same_time & ~event)
    rank = _dense(risk)
    later = len(end) - np.searchsorted(np.sort(end), end[event], side="right")
    comparable, concordant = int(later.sum()), _falling(end, event, rank)
    discordant = _falling(end, event, len(rank) - rank)
    return _Pairs(concordant, comparable - concordant - discordant, comparable)


def _dense(values: NDArray[np.float64]) -> Integers:
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def _falling(end: Integers, event: NDArray[np.bool_], rank: Integers) -> int:
    """The pairs of a death i and a j with end[i] < end[j] and rank[i] > rank[j]."""
    order = np.lexsort((rank, end))
    return _inversions(rank[order], event[order])


def _inversions(rank: Integers, counted: NDArray[np.bool_]) -> int:
    """The places i < j with rank[i] > rank[j] and i counted, one bit of the ranks after the other.

    Ranks equal above a bit lie together, in their first order; a 1 in that bit has an inversion with each
    0 behind it in its group, and by as many places it moves to sort the group by that bit.
    """
    pairs = 0
    for bit in reversed(range(int(rank.max(initial=0)).bit_length())):
        group, one = rank >> (bit + 1), (rank >> bit) & 1 == 1
        zeros = np.append(0, np.cumsum(~one))
        last = np.append(np.flatnonzero(np.diff(group)), len(group) - 1)
        ends = np.repeat(last + 1, np.diff(last, prepend=-1))
        moves = zeros[ends] - zeros[:-1]
        pairs += int(moves[one & counted].sum())
        taken = np.zeros(len(rank), dtype=bool)
        taken[(np.arange(len(rank)) + moves)[one]] = True
        order = np.empty(len(rank), dtype=np.int64)
        order[taken], order[~taken] = np.flatnonzero(one), np.flatnonzero(~one)
        rank, counted = rank[order], counted[order]
    return pairs
