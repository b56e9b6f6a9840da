"""Steps that fine-tunings take to 95 % of their own best score, and to the best one of random weights.

Scores are those of the validation set. Results of version 0.3.1 were evaluated up to 500 steps apart.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from grid.report.learning_curves import History
from grid.results.cells import Cell, ComparisonGroup, Repeat
from grid.results.display import column_name
from grid.space.trials import RANDOM
from medpt.convergence import first_step

# Recorded metrics; results of version 0.3.1 have the second alone
DENSE, COARSE = "dense_steps_to_95", "steps_to_95"

Recorded = Callable[[Cell, str], Mapping[Repeat, float]]  # a metric of each repeat that has it


@dataclass(frozen=True)
class Speed:
    """Mean steps to 95 % of the best score over `n` of `planned` repeats.

    `to_random` is the mean over the `reached` repeats that came to the mean best score of random weights; nan
    where none did. `is_compared` says whether random weights have a score to reach.
    """

    steps: float
    n: int
    planned: int
    to_random: float
    reached: int
    is_compared: bool


@dataclass(frozen=True)
class Speeds:
    """By initialization and column (target and network); `dense` if early steps were evaluated."""

    columns: list[str]
    rows: dict[str, dict[str, Speed]]
    dense: bool

    def least(self, column: str) -> float:
        return min(row[column].steps for row in self.rows.values() if column in row)


def speeds(cells: Sequence[Cell], recorded: Recorded, evaluations: History) -> Speeds | None:
    """Return the speeds of cells; None where no finished trial recorded them.

    Cells without early evaluations are excluded where others have them: their steps would be rounded up.
    """
    name = DENSE if any(recorded(cell, DENSE) for cell in cells) else COARSE
    best = {c.key.group: _best(c, recorded) for c in cells if c.key.initialization == RANDOM}
    found: dict[str, dict[str, Speed]] = {}
    several = len({cell.network for cell in cells}) > 1
    for cell in cells:
        if known := recorded(cell, name):
            column = column_name(*cell.column) + (f", {cell.network}" if several else "")
            reached = _reached(cell, best, evaluations)
            speed = Speed(
                mean(known.values()),
                len(known),
                cell.planned,
                mean(reached) if reached else math.nan,
                len(reached),
                not math.isnan(best.get(cell.key.group, math.nan)),
            )
            found.setdefault(cell.label, {})[column] = speed
    columns = list(dict.fromkeys(column for row in found.values() for column in row))
    return Speeds(columns, found, name == DENSE) if found else None


def _best(cell: Cell, recorded: Recorded) -> float:
    known = recorded(cell, f"val_{cell.metric}")
    return mean(known.values()) if known else math.nan


def _reached(cell: Cell, best: Mapping[ComparisonGroup, float], evaluations: History) -> list[int]:
    """Return the first step of each repeat at which it is as good as random weights at their best."""
    wanted = best.get(cell.key.group, math.nan)
    if math.isnan(wanted):
        return []
    steps = (first_step(evaluations(one), f"val_{cell.metric}", wanted) for one in cell.digests.values())
    return [step for step in steps if step is not None]
