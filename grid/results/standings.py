"""Cells beside the controls of their target: what a score has to exceed before it means anything."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isnan, nan
from typing import TYPE_CHECKING, Any

from grid.results.cells import Cell
from grid.results.comparisons import SUMMARY, intervals
from grid.results.controls import TRIVIAL, Control
from grid.results.display import METRIC_NAMES
from grid.results.groups import compared_groups
from grid.results.metrics import SMALLER_IS_BETTER

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Standing:
    """The best cell of a comparison group beside the group's controls.

    `bound`, in per cent, is the highest lower limit of the intervals of the group's cells: some cell is at
    least so good. It is the best cell's mean where no cell has an interval.
    """

    best: Cell
    bound: float
    controls: tuple[Control, ...]

    def top(self, control: Control) -> float:
        """Return the highest score of a control that chance explains, in per cent."""
        return min(control.mean(self.best.metric) + control.reach(self.best.metric), 100.0)

    def is_reached_by(self, control: Control) -> bool:
        """Whether a control may be as good as every cell of the group."""
        return self.top(control) >= self.bound

    def warnings(self) -> Iterator[str]:
        """Say where no cell exceeds the trivial predictor, and which other controls reach the best cell."""
        metric = METRIC_NAMES.get(self.best.metric, self.best.metric)
        where = f"{self.best.key.target}, {self.best.network_id}"
        best = f"the best cell, {self.best.label}, has {self.best.mean:.1f}"
        best += f", and the highest lower limit of a cell is {self.bound:.1f}"
        for control in self.controls:
            if not self.is_reached_by(control):
                continue
            top = self.top(control)
            if control.name == TRIVIAL:
                yield (
                    f"{where}: nothing was learned that these runs can show: the {TRIVIAL} has a {metric} of "
                    f"{top:.1f}; {best}"
                )
            else:
                yield f"{where}: the control `{control.name}` reaches a {metric} of {top:.1f}; {best}"


def standings(cells: Iterable[Cell], controls: Sequence[Control]) -> list[Standing]:
    """Return each comparison group that has a finished cell and a finished control.

    Groups on a metric whose smaller values are better are left out: there is no such headline metric.
    """
    found = []
    for group in compared_groups(cells).values() if controls else ():
        limits = intervals(group)
        best = max(group.cells, key=lambda cell: cell.mean)
        if best.metric in SMALLER_IS_BETTER:
            continue
        units = {digest for cell in group.cells for digest in cell.digests.values()}
        known = tuple(c for c in controls if units & c.digests and not isnan(c.mean(best.metric)))
        if known:
            lows = [each.low for each in limits.values() if not isnan(each.low)]
            found.append(Standing(best, max(lows, default=best.mean), known))
    return found


def warnings(cells: Iterable[Cell], controls: Sequence[Control]) -> list[str]:
    """Return the warnings of all comparison groups."""
    return [text for each in standings(cells, controls) for text in each.warnings()]


def rows(cells: Iterable[Cell], controls: Sequence[Control], columns: Sequence[str]) -> "pd.DataFrame":
    """Return the controls as rows of a table of cells with these columns, each control once.

    `low` and `high` are the limits for one more random network; other controls have none.
    """
    import pandas as pd

    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for each in standings(cells, controls):
        key, metric = each.best.key, each.best.metric
        for control in each.controls:
            mean, reach = control.mean(metric), control.reach(metric) or nan
            found[control.name, control.target, control.backbone, metric, f"{mean}"] = {
                "initialization": f"({control.name})",
                "backbone": control.backbone,
                "architecture": key.architecture,
                "target": control.target,
                "target_size": 1.0,
                "settings": "",
                "metric": metric,
                "mean": mean,
                "std": control.std(metric),
                "low": mean - reach,
                "high": mean + reach,
                "n": control.networks,
                "planned": control.networks,
                "repeated": f"{control.networks} networks" if control.networks > 1 else "once",
            }
    table = pd.DataFrame(list(found.values())).reindex(columns=list(columns))
    return table.fillna(dict.fromkeys(set(columns) - {*SUMMARY}, ""))  # factors that controls do not have
