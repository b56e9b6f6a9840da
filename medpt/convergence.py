"""When a training stops, and how fast it reaches a validation score.

The evaluations that stop a training are up to 500 steps apart, which cannot tell 50 from 500 steps. A
fine-tuning is therefore also evaluated at early steps on a logarithmic scale; these evaluations decide
nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medpt.tasks.base import Task

FIRST, RATIO = 10, 2**0.5  # the first early step, and each one over the one before
SHARE = 0.95  # of the best score

Row = Mapping[str, float]  # of a history: `step` and `val_METRIC`


@dataclass(frozen=True)
class EarlyStopping:
    """The best validation value so far (higher is better), its step, and the evaluations since then."""

    best: float = math.nan
    best_step: int = 0
    stale: int = 0

    def after(self, value: float, step: int, improvement: float) -> EarlyStopping:
        """Return the state after an evaluation, in which only gains above `improvement` count."""
        if math.isnan(self.best) or value - self.best > improvement:
            return EarlyStopping(value, step, 0)
        return EarlyStopping(self.best, self.best_step, self.stale + 1)

    @classmethod
    def replay(cls, history: Iterable[Row], task: Task, improvement: float) -> EarlyStopping:
        """Return the state after the validated rows of a history."""
        state = cls()
        for row in history:
            if (value := row.get(f"val_{task.metric}")) is not None:
                state = state.after(value if task.higher_is_better else -value, int(row["step"]), improvement)
        return state


@cache
def early_steps(interval: int, max_steps: int) -> frozenset[int]:
    """Return the steps of early evaluations, up to two intervals; from there on others are as dense.

    Steps of regular evaluations, every `interval` steps, are not among them.
    """
    last = min(2 * interval, max_steps)
    found, step = set(), float(FIRST)
    while step < last:
        found.add(round(step))
        step *= RATIO
    return frozenset(step for step in found if step % interval and step < last)


def first_step(rows: Iterable[Row], name: str, wanted: float, *, higher_is_better: bool = True) -> int | None:
    """Return the first step whose value `name` is `wanted` or better; None if no row's is."""
    for row in sorted(rows, key=lambda row: row["step"]):
        value = row.get(name)
        if value is not None and (value >= wanted if higher_is_better else value <= wanted):
            return int(row["step"])
    return None


def steps_to_95(rows: Iterable[Row], name: str, best: float, *, higher_is_better: bool = True) -> int | None:
    """Return the first step whose value `name` is within 5 % of the best one."""
    wanted = SHARE * best if higher_is_better else best / SHARE
    return first_step(rows, name, wanted, higher_is_better=higher_is_better)
