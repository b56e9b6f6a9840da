"""Advice: an ordered list of initializations to try, and when to stop.

Initializations that the scores know come first, in the order in which a greedy choice on the known targets
tries them; the others follow by their frozen probe. The record of the list (record.py) says how much regret
is left after each try.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import inf, isnan, nan
from typing import Any

from grid.advise.evidence import Evidence
from grid.advise.record import FEWEST_TARGETS, ScoreTable, greedy, greedy_regrets, mean_interval, regrets
from grid.advise.score_tables import plain_name
from grid.compare.sources import Source
from grid.results.comparisons import Interval

UNKNOWN = Interval(nan, nan, nan)


@dataclass(frozen=True)
class Entry:
    """One initialization to try.

    `after` is the mean regret on the known targets after this try and those before it, `alone` that of always
    taking this initialization, in points. `probe` is the score of its frozen encoder on the user's images, in
    per cent. What is unknown is nan.
    """

    initialization: str
    reason: str
    after: Interval = UNKNOWN
    alone: Interval = UNKNOWN
    probe: Interval = UNKNOWN
    logme: float = nan

    def row(self, place: int) -> dict[str, Any]:
        """Return the row of a CSV file, flat, with None where a value is unknown."""
        flat: dict[str, Any] = {"try": place, "initialization": self.initialization, "reason": self.reason}
        for name in ("after", "alone", "probe"):
            flat |= {f"{name}_{key}": value for key, value in asdict(getattr(self, name)).items()}
        flat["logme"] = self.logme
        return {k: None if isinstance(v, float) and isnan(v) else v for k, v in flat.items()}


@dataclass(frozen=True)
class Advice:
    """The list. `enough` is the number of tries after which the rest cannot be told from the best, or None.

    `origin` says where the scores are from, `targets` on how many targets; 0 without a record.
    """

    entries: tuple[Entry, ...]
    enough: int | None
    origin: str
    targets: int
    notes: tuple[str, ...] = ()


def advise(table: ScoreTable, sources: Sequence[Source], evidence: Evidence, target: str) -> Advice:
    """Order the sources. The scores of a target of the same name as the user's are not used."""
    table = table.of_targets([name for name in table.names if name != target])
    has_record = len(table.names) >= FEWEST_TARGETS
    known = {plain_name(name): row for row, name in enumerate(table.sources)} if has_record else {}
    rows = {known[plain_name(s.name)]: s for s in sources if plain_name(s.name) in known}
    order = greedy(table, list(rows), len(rows))
    after = [mean_interval(column) for column in greedy_regrets(table, list(rows), len(rows)).T]
    probes = {probe.initialization: probe for probe in evidence.probes}
    entries = [
        _entry(rows[row], probes, after[n], mean_interval(table.by_target(regrets(table.scores, [row]))))
        for n, row in enumerate(order)
    ]
    others = [source for source in sources if source not in rows.values()]
    others.sort(key=lambda s: -probes[s.name].score.mean if s.name in probes else inf)
    entries += [_entry(source, probes) for source in others]
    enough = next((n for n, left in enumerate(after, start=1) if _most(left) <= evidence.decidable), None)
    absent = [name for row, name in enumerate(table.sources) if has_record and row not in rows]
    return Advice(tuple(entries), enough, table.origin, len(table.names) * has_record, _notes(table, absent))


def _most(left: Interval) -> float:
    """Return the upper limit of a regret; where it was equal on all targets, that."""
    return left.mean if isnan(left.high) else left.high


def _entry(
    source: Source, probes: dict[str, Any], after: Interval = UNKNOWN, alone: Interval = UNKNOWN
) -> Entry:
    probe = probes.get(source.name)
    score, logme = (probe.score, probe.logme) if probe else (UNKNOWN, nan)
    return Entry(source.name, source.reason, after, alone, score, logme)


def _notes(table: ScoreTable, absent: Sequence[str]) -> tuple[str, ...]:
    if len(table.names) < FEWEST_TARGETS:
        count = len(table.names)
        return (f"{table.origin}: {count} targets, {FEWEST_TARGETS} are needed for a record",)
    if not absent:
        return ()
    return (
        f"{', '.join(absent)}: in {table.origin}, but not here; `medpt-data list` says where to get data",
    )


def paragraph(advice: Advice, evidence: Evidence) -> str:
    """Return the advice in a few sentences: what to try, what is left after it, and when to stop."""
    first = advice.entries[0]
    parts = []
    if advice.targets and not isnan(first.after.mean):
        best = min(
            (entry for entry in advice.entries if not isnan(entry.alone.mean)), key=lambda e: e.alone.mean
        )
        parts.append(
            f"Try {first.initialization} first: on the {advice.targets} targets of {advice.origin} such a "
            f"first try was {_points(first.after)} below the best. Always taking {best.initialization} was "
            f"{_points(best.alone)} below."
        )
    else:
        parts.append(f"No scores tell what to try first; by its frozen probe it is {first.initialization}.")
    if len(evidence.best) > 1:
        parts.append(f"The frozen probes cannot tell the best among {', '.join(evidence.best)}.")
    if isnan(evidence.decidable):
        parts.append("The probes do not tell what the test set can decide.")
    else:
        can = f"{evidence.tested} test images can show differences of {evidence.decidable:.1f} points or more"
        parts.append(f"Your {can} between two frozen probes.")
        parts.append(_stop(advice))
    return " ".join(parts)


def _stop(advice: Advice) -> str:
    if advice.enough is None:
        return "No number of tries in this list makes the rest smaller than that: try as many as you can."
    tries = "1 try" if advice.enough == 1 else f"{advice.enough} tries"
    return f"Stop after {tries}: the rest are not distinguishable from the best with your test set."


def _points(interval: Interval) -> str:
    if isnan(interval.low):
        return f"{interval.mean:.2f} points"
    return f"{interval.mean:.2f} points [{interval.low:.2f}, {interval.high:.2f}]"
