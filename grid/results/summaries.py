"""What MLflow's list of runs shows of a space: each comparison group's answer, and its cells."""

from collections.abc import Mapping, Sequence
from math import isfinite, nan
from typing import TYPE_CHECKING

from grid.plan.plan import Plan
from grid.plan.stored_plans import read_space
from grid.results.answer import Answer, answers
from grid.results.answer_text import describe
from grid.results.cells import UNSCALED, Cell, find_cells
from grid.results.comparisons import Difference, Interval, differences, intervals
from grid.results.display import METRIC_NAMES
from grid.results.frame import trials_frame
from grid.results.groups import ComparedGroup, compared_groups
from grid.space.trials import RANDOM
from grid.store.store import Store
from grid.tracking.names import TEST
from grid.tracking.parents import FACTORS, CellSummary, GroupSummary
from medpt import identity

if TYPE_CHECKING:
    import pandas as pd

NO_LIMITS = Interval(nan, nan, nan)


def space_summaries(plan: Plan, store: Store) -> list[GroupSummary]:
    """Return the summaries of all that the store has of a plan's space."""
    recorded = read_space(store, plan.space) or plan
    return group_summaries(trials_frame(recorded, None, store), plan.space)


def group_summaries(frame: "pd.DataFrame", space: str) -> list[GroupSummary]:
    """Return the summary of each comparison group that has a finished run, in the order of its trials.

    Metrics are fractions, as those of the runs: `test_auc` is the mean of a cell, `test_auc_low` and
    `test_auc_high` its 95 % interval, `test_auc_gain` the difference from random weights, with its own.
    """
    cells = find_cells(frame)
    found = zip(compared_groups(cells).items(), answers(frame), strict=True)
    return [
        _group(space, group, [cell for cell in cells if cell.key.group == key and not cell.n], answer)
        for (key, group), answer in found
    ]


def _group(space: str, group: ComparedGroup, waiting: Sequence[Cell], answer: Answer) -> GroupSummary:
    limits = intervals(group)
    gains = {each.cell.key: each for each in differences(group)}
    ordered = sorted(group.cells, key=lambda cell: -cell.mean)
    best = ordered[0]
    cells = [
        _cell(f"{place}. {_cell_name(cell, limits[cell.key])}", cell, limits[cell.key], gains.get(cell.key))
        for place, cell in enumerate(ordered, 1)
    ]
    cells += [_cell(_cell_name(cell, NO_LIMITS), cell, NO_LIMITS, None) for cell in waiting]
    key = identity.digest([space, *best.key.group])[:16]
    short = f"{answer.target} ({best.network_id}): {best.label} {answer.mean:.1f}"
    name, text = _group_name(answer, best), describe(answer)
    return GroupSummary(key, name, short, text, cells[0].metrics, tuple(cells))


def _cell(name: str, cell: Cell, limits: Interval, gain: Difference | None) -> CellSummary:
    factors = tuple(getattr(cell.key, factor) for factor in FACTORS)
    named = {"network": cell.network_id, "source": cell.key.source, "metric": cell.metric}
    named |= {"sample_size": str(cell.key.sample_size)} if cell.key.sample_size else {}
    params = dict(zip(FACTORS, map(str, factors), strict=True)) | named
    return CellSummary(name, factors, params, _metrics(cell, limits, gain))


def _group_name(answer: Answer, best: Cell) -> str:
    """Return the answer in one line: MLflow's list shows the first 16 to 20 characters."""
    if not answer.learned:
        trivial = f"no more than the trivial predictor ({answer.metric} {answer.trivial:.1f})"
        return f"{best.label} → {answer.target}: {trivial} · {best.network_id}"
    others = f" or {len(answer.ties)} more" if answer.ties else ""
    gain = answer.over_random
    over = f", {gain.value:+.1f} over {RANDOM} ({gain.verdict})" if gain else ""
    score = f"{answer.metric} {_with_limits(answer.mean, answer.low, answer.high)}{over}"
    return f"{best.label}{others} → {answer.target}: {score} · {best.network_id}"


def _cell_name(cell: Cell, limits: Interval) -> str:
    name = METRIC_NAMES.get(cell.metric, cell.metric)
    score = f"{name} undefined" if cell.undefined else "no finished run"
    if isfinite(limits.mean):
        score = f"{name} {_with_limits(limits.mean, limits.low, limits.high)}"
    return f"{cell.network_id} · {cell.label} → {cell.column[0]}: {score} ({cell.n} of {cell.planned})"


def _with_limits(mean: float, low: float, high: float) -> str:
    return f"{mean:.1f}" + (f" [{low:.1f}, {high:.1f}]" if isfinite(low) else "")


def _metrics(cell: Cell, limits: Interval, gain: Difference | None) -> Mapping[str, float]:
    name, scale = f"{TEST}{cell.metric}", 1 if cell.metric in UNSCALED else 100
    values = {name: limits.mean, f"{name}_low": limits.low, f"{name}_high": limits.high}
    if gain is not None:
        values |= {f"{name}_gain": gain.value, f"{name}_gain_low": gain.low, f"{name}_gain_high": gain.high}
    shown = {key: value / scale for key, value in values.items() if isfinite(value)}
    return shown | {"runs": float(cell.n), "planned": float(cell.planned)}
