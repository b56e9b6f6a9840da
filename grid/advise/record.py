"""What ways of choosing a source would have cost on targets whose results are known.

The regret of having tried some sources on a target is how many points the best of them is below the best of
all sources that were tried on that target: the choice among those tried is assumed to be right. Every target
is looked at as if it were new: a way to choose may use the results of the other targets alone. Targets weigh
the same, however many networks were measured on them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan, sqrt

import numpy as np
from numpy.typing import NDArray

from grid.results.comparisons import Interval
from medpt.metrics import mean_of_defined

Floats = NDArray[np.float64]

FEWEST_TARGETS = 3  # fewer are no record
MOST_TRIES = 4  # of the greedy list that a track record shows
KNOWN_SHARE = 0.5  # of the targets that a source must have been tried on


@dataclass(frozen=True)
class ScoreTable:
    """Scores of sources (rows) on targets (columns), in points; higher is better, nan where unknown.

    Several columns may be of one target: one for each network. `choosers` has, by name, what can be computed
    without fine-tuning, of the same shape: the source with the highest value is chosen.
    """

    origin: str  # where the scores are from, for people
    sources: tuple[str, ...]
    targets: tuple[str, ...]  # of the columns
    scores: Floats
    choosers: Mapping[str, Floats] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The targets, each once."""
        return tuple(dict.fromkeys(self.targets))

    def of_targets(self, wanted: Sequence[str]) -> "ScoreTable":
        """Return the columns of some targets, with the sources that were tried on enough of them."""
        columns = np.array([name in wanted for name in self.targets], bool)
        targets = [name for name in self.names if name in wanted]
        tried = np.isfinite([self.by_target(row) for row in np.where(columns, self.scores, nan)]).sum(1)
        kept = (tried > 0) & (tried >= KNOWN_SHARE * len(targets))
        return ScoreTable(
            origin=self.origin,
            sources=tuple(name for name, is_kept in zip(self.sources, kept, strict=True) if is_kept),
            targets=tuple(name for name in self.targets if name in wanted),
            scores=self.scores[:, columns][kept],
            choosers={name: values[:, columns][kept] for name, values in self.choosers.items()},
        )

    def by_target(self, values: Floats) -> Floats:
        """Return the mean over the columns of each target, (targets,); nan where all are."""
        targets = np.array(self.targets)
        return np.array([mean_of_defined(values[targets == name]) for name in self.names])


def regrets(scores: Floats, tried: Sequence[int]) -> Floats:
    """Return how many points the best of the tried rows is below the best row, (columns,).

    nan where none of them is known.
    """
    found: Floats = np.fmax.reduce(scores) - np.fmax.reduce(scores[list(tried)])
    return found


def greedy(table: ScoreTable, rows: Sequence[int], most: int) -> list[int]:
    """Return up to `most` of the rows: the next one always leaves the least mean regret on the targets.

    Of equal ones the source comes first that has less regret by itself.
    """
    alone = {row: _mean_regret(table, [row]) for row in rows}
    order: list[int] = []
    while len(order) < min(most, len(rows)):
        left = [row for row in rows if row not in order]
        means = {row: round(_mean_regret(table, [*order, row]), 9) for row in left}
        order.append(min(left, key=lambda row: (means[row], alone[row])))
    return order


def _mean_regret(table: ScoreTable, tried: Sequence[int]) -> float:
    mean = mean_of_defined(table.by_target(regrets(table.scores, tried)))
    return np.inf if np.isnan(mean) else mean


def greedy_regrets(table: ScoreTable, rows: Sequence[int], most: int) -> Floats:
    """Return the regret on each target after 1 … `most` tries, (targets, most).

    The list of a target is chosen on all others, among the rows that were tried on it. A list that is shorter
    keeps its last regret.
    """
    found = np.full((len(table.names), most), nan)
    for number, name in enumerate(table.names):
        own = np.array([target == name for target in table.targets])
        scores = table.scores[:, own]
        known = [row for row in rows if np.isfinite(scores[row]).any()]
        others = ScoreTable(
            table.origin, table.sources, tuple(t for t in table.targets if t != name), table.scores[:, ~own]
        )
        order = greedy(others, known, most)
        for tries in range(most if order else 0):
            found[number, tries] = mean_of_defined(regrets(scores, order[: tries + 1]))
    return found


def chosen_regrets(table: ScoreTable, chooser: str) -> Floats:
    """Return the regret on each target of the source with the highest value of a chooser, (targets,)."""
    found = np.full(len(table.targets), nan)
    for column, values in enumerate(table.choosers[chooser].T):
        known = np.isfinite(values) & np.isfinite(table.scores[:, column])
        if np.count_nonzero(known) > 1:
            row = int(np.argmax(np.where(known, values, -np.inf)))
            found[column] = regrets(table.scores[known, column : column + 1], [int(known[:row].sum())])[0]
    return table.by_target(found)


def mean_interval(values: Floats) -> Interval:
    """Return the mean regret with its 95 % confidence limits over targets, by Student's t, not below 0.

    Of a single target, and of equal regrets on all targets, the limits are nan.
    """
    from scipy import special

    known = values[~np.isnan(values)]
    if len(known) < 2 or np.ptp(known) == 0:
        return Interval(mean_of_defined(values), nan, nan)
    reach = float(special.stdtrit(len(known) - 1, 0.975)) * float(known.std(ddof=1)) / sqrt(len(known))
    mean = float(known.mean())
    return Interval(mean, max(mean - reach, 0.0), mean + reach)


@dataclass(frozen=True)
class Way:
    """A way to choose a source, and its mean regret on `targets` targets."""

    name: str
    regret: Interval
    targets: int


def track_record(table: ScoreTable) -> list[Way]:
    """Return what each way to choose would have cost: the greedy list, the choosers, always one source."""
    return [_way(name, values) for name, values in _ways(table)]


def _ways(table: ScoreTable) -> Iterator[tuple[str, Floats]]:
    rows = range(len(table.sources))
    most = min(MOST_TRIES, len(rows))
    for tries, values in enumerate(greedy_regrets(table, rows, most).T, start=1):
        yield f"{tries} {'try' if tries == 1 else 'tries'}, chosen greedily on other targets", values
    for chooser in table.choosers:
        yield f"the highest {chooser}", chosen_regrets(table, chooser)
    alone = {row: table.by_target(regrets(table.scores, [row])) for row in rows}
    yield ("a source at random", np.array([mean_of_defined(each) for each in np.array([*alone.values()]).T]))
    for row in sorted(rows, key=lambda row: mean_of_defined(alone[row])):
        yield f"always {table.sources[row]}", alone[row]


def _way(name: str, values: Floats) -> Way:
    return Way(name, mean_interval(values), int(np.isfinite(values).sum()))
