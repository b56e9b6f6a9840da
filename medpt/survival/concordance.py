"""The concordance index, as by Harrell and as in Wen et al. 2021: does the risk order the survival times?

Needs numpy only and O(n log n) time; counts are exact for any n. Higher risk means shorter survival; some
libraries expect the opposite sign (lifelines takes `-risk`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medpt.errors import InputError

Integers = NDArray[np.int64]
EVENTS = " (1 for a death, 0 for a censoring; not words)"


def concordance_index(time: ArrayLike, event: ArrayLike, risk: ArrayLike) -> float:
    """Return Harrell's C in [0, 1]: 1 for risks that order the deaths, 0.5 for chance, 0 for the reverse.

    `time` (n,); `event` (n,), true or 1 for an observed death, false or 0 for a censored time; `risk` (n,),
    higher = shorter survival. A death is compared with all patients of longer follow-up and with those
    censored at its time, but not with other deaths at its time. Equal risks count ½.

    Equals lifelines' value for `-risk`. scikit-survival takes risks within 1e-8 for equal; here only equal
    risks are, so that C does not change under any increasing map of the risk.

    Raises InputError for values that are not numbers, for different lengths, and if no pair is comparable.

    Harrell et al. 1996 (Stat. Med. 15:361).
    """
    pairs = _harrell(*_parse(time, event, risk)).require_comparable()
    return (2 * pairs.concordant + pairs.tied) / (2 * pairs.comparable)


def strict_concordance_index(time: ArrayLike, event: ArrayLike, risk: ArrayLike) -> float:
    """Return C of Wen et al. 2021, equation 4, in [0, 1]: equal risks count 0.

    A death is compared only with patients of strictly longer follow-up. A constant risk has C = 0, so many
    equal risks bring C below ½ although no order is wrong. Takes and raises the same as `concordance_index`.
    """
    pairs = _pairs(*_parse(time, event, risk), at_same_time=False).require_comparable()
    return pairs.concordant / pairs.comparable


def comparable_pairs(time: ArrayLike, event: ArrayLike) -> int:
    """Return the number of pairs that `concordance_index` averages over."""
    return _harrell(*_parse(time, event, np.zeros(np.shape(time)))).comparable


@dataclass(frozen=True)
class _Pairs:
    concordant: int
    tied: int
    comparable: int

    def require_comparable(self) -> "_Pairs":
        if not self.comparable:
            raise InputError("concordance: no comparable pair: no death before the end of another follow-up")
        return self


def _parse(
    time: ArrayLike, event: ArrayLike, risk: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
    """Return arrays of one length; raise InputError with a line for each that is not a column of numbers."""
    given = {"time": np.asarray(time), "event": np.asarray(event), "risk": np.asarray(risk)}
    columns = {name: np.array(c.tolist()) if c.dtype == object else c for name, c in given.items()}
    lengths = {name: column.shape for name, column in columns.items()}
    if len(set(lengths.values())) > 1 or columns["time"].ndim != 1:
        raise InputError(f"concordance: shapes {lengths}; each needs one number per patient")
    strange = [
        f"concordance: {name}: values of {column.dtype}; accepted: real numbers" + EVENTS * (name == "event")
        for name, column in columns.items()
        if column.dtype.kind not in "buif"
    ]
    masked = [name for name, c in (("time", time), ("event", event), ("risk", risk)) if np.ma.is_masked(c)]
    strange += [f"concordance: {name}: masked values; accepted: a number for each patient" for name in masked]
    if strange:
        raise InputError(strange)
    numbers = {name: column.astype(np.float64) for name, column in columns.items()}
    problems = [
        f"concordance: {name}: {np.isnan(column).sum()} of {len(column)} values are not a number"
        for name, column in numbers.items()
        if np.isnan(column).any()
    ]
    if not np.isin(numbers["event"], (0, 1)).all() and not np.isnan(numbers["event"]).any():
        problems.append("concordance: event: use true or 1 for a death, false or 0 for a censored time")
    if problems:
        raise InputError(problems)
    return numbers["time"], numbers["event"] == 1, numbers["risk"]


def _harrell(time: NDArray[np.float64], event: NDArray[np.bool_], risk: NDArray[np.float64]) -> _Pairs:
    return _pairs(time, event, risk, at_same_time=True)


def _pairs(
    time: NDArray[np.float64], event: NDArray[np.bool_], risk: NDArray[np.float64], at_same_time: bool
) -> _Pairs:
    """Count pairs of a death and a later end; `at_same_time`, a censored time ends after a death."""
    end = 2 * _dense(time) + (at_same_time & ~event)
    rank = _dense(risk)
    later = len(end) - np.searchsorted(np.sort(end), end[event], side="right")
    comparable, concordant = int(later.sum()), _falling(end, event, rank)
    discordant = _falling(end, event, len(rank) - rank)
    return _Pairs(concordant, comparable - concordant - discordant, comparable)


def _dense(values: NDArray[np.float64]) -> Integers:
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def _falling(end: Integers, event: NDArray[np.bool_], rank: Integers) -> int:
    """Count pairs of a death i and a patient j with end[i] < end[j] and rank[i] > rank[j]."""
    order = np.lexsort((rank, end))
    return _inversions(rank[order], event[order])


def _inversions(rank: Integers, counted: NDArray[np.bool_]) -> int:
    """Count pairs i < j with rank[i] > rank[j] and counted[i], by a radix sort from the highest bit.

    Ranks that are equal above a bit form a group, in their original order. A 1 in that bit has an inversion
    with each later 0 of its group, and moves by that many positions when the group is sorted by the bit.
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
