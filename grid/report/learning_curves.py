"""Curves over training steps: validation metric and training loss, of fine-tunings and of pre-trainings.

A line is the mean over repeats, its band goes from the lowest to the highest repeat. At most MOST_GROUPS
groups of lines are drawn.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from grid.report.charts import Chart, Line, LineChart
from grid.report.paper_charts import Colours, networks
from grid.results.cells import Cell
from grid.results.display import METRIC_NAMES, column_name, network_name
from grid.results.stored_space import StoredSpace
from medpt.grouping import in_turn
from medpt.specs import Pretrain

MOST_GROUPS = 6  # of fine-tunings, and of pre-trainings: each has two charts
POINTS = 40  # of a curve: more cannot be seen at this size
LOSS = "train_loss"
PERCENT = (  # recorded as fractions
    *("auc", "macro_auc", "kappa", "miou", "foreground_miou", "image_miou", "dice", "accuracy"),
)

Rows = Sequence[Mapping[str, float]]  # of medpt.train.fit
History = Callable[[str], Rows]  # by the digest of a unit
Floats = NDArray[np.float64]
Curve = tuple[Floats, Floats]  # steps, values
Series = dict[str, list[Rows]]  # the histories of the repeats behind each line


@dataclass(frozen=True)
class Group:
    """Lines that belong into one chart: the same data or task, the same network and metric."""

    title: str
    note: str
    metric: str
    series: Series


def of_fine_tunings(cells: Sequence[Cell], history: History, numbers: Colours) -> list[Chart]:
    """Draw metric and loss of targets and networks in turn, so that a limit leaves out no target before the
    second network of another. Survival models and frozen encoders record no curve."""
    trained = networks(cell for cell in cells if cell.metric != "c_index")
    groups = in_turn(trained, lambda group: group[0].column)
    drawn = (list(_charts(_fine_tunings(group, history), numbers)) for group in groups)
    return [chart for charts in islice(filter(None, drawn), MOST_GROUPS) for chart in charts]


def _fine_tunings(cells: Sequence[Cell], history: History) -> Group:
    first = cells[0]
    series = {cell.label: [history(digest) for digest in cell.digests.values()] for cell in cells}
    return Group(column_name(*first.column), first.network, first.metric, series)


def of_pretrainings(stored: StoredSpace, numbers: Colours) -> list[Chart]:
    """Draw metric and loss of the finished pre-trainings, those of one network and metric together."""
    found: dict[tuple[str, str, object], Series] = {}
    for source in stored.sources():
        spec = stored.units[source.digest].spec
        if isinstance(spec, Pretrain) and source.metric:
            key = network_name(spec.architecture, spec.backbone), source.metric, spec.protocol
            rows = stored.history(source.digest)
            found.setdefault(key, {}).setdefault(source_name(source.label), []).append(rows)
    groups = (Group("Pre-training", key[0], key[1], series) for key, series in found.items())
    return [chart for group in islice(groups, MOST_GROUPS) for chart in _charts(group, numbers)]


def source_name(label: str) -> str:
    """Return what the label of a pre-training says of its source, without its network and its number."""
    return re.sub(r" \(pre-training \d+\)", "", label.split(" · ")[0])


def _charts(group: Group, numbers: Colours) -> Iterator[Chart]:
    name = METRIC_NAMES.get(group.metric, group.metric)
    scale, unit = (100.0, ", %") if group.metric in PERCENT else (1.0, "")
    for column, factor, label in (
        (f"val_{group.metric}", scale, f"validation {name}{unit}"),
        (LOSS, 1.0, "training loss"),
    ):
        lines = tuple(_lines(group.series, column, factor, numbers))
        if lines:
            yield LineChart(group.title, group.note, "training steps", label, lines)


def _lines(series: Series, column: str, factor: float, numbers: Colours) -> Iterator[Line]:
    for name, histories in series.items():
        curves = [curve for curve in (_curve(rows, column, factor) for rows in histories) if curve]
        steps, values = common(curves) if curves else (np.empty(0), np.empty(0))
        if len(steps):
            mean, band = values.mean(0), np.stack([values.min(0), values.max(0)], axis=1)
            pairs = tuple(map(tuple, band.tolist())) if len(curves) > 1 else ()
            yield Line(name, numbers[name], tuple(steps.tolist()), tuple(mean.tolist()), "curve", band=pairs)


def _curve(rows: Rows, column: str, factor: float) -> Curve | None:
    known = [(row["step"], factor * row[column]) for row in rows if column in row]
    if not known:
        return None
    steps, values = np.array(known, dtype=float).T
    return steps, values


def common(curves: Sequence[Curve]) -> tuple[Floats, Floats]:
    """Return steps (N,) that all curves cover, and the value of each curve there (curves, N).

    They end where the first repeat stopped. Steps that a curve does not have are interpolated; of many steps
    POINTS are kept, the first and the last among them.
    """
    first, last = max(steps[0] for steps, _ in curves), min(steps[-1] for steps, _ in curves)
    every = np.unique(np.concatenate([steps for steps, _ in curves]))
    every = every[(every >= first) & (every <= last)]
    if not len(every):
        return every, np.empty((len(curves), 0))
    steps = every[np.unique(np.linspace(0, len(every) - 1, POINTS).round().astype(int))]
    return steps, np.stack([np.interp(steps, *curve) for curve in curves])
