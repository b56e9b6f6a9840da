"""Charts of test images: ROC, precision and recall, calibration, confusions, and the scores of images.

Of each network and target they show the best initialization and random weights. A line is the mean over
repeats, its band goes from the lowest to the highest repeat.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from grid.report import item_curves
from grid.report.charts import Chart, Line, LineChart
from grid.report.item_curves import BINS, GRID, Arrays, Floats
from grid.report.paper_charts import Colours
from grid.report.plane_charts import ConfusionChart
from grid.report.tables import Contrast
from grid.results import items
from grid.results.cells import Cell
from grid.results.display import column_name
from medpt.grouping import in_turn

MOST_GROUPS = 6  # networks and targets whose test images are drawn
MOST_CLASSES = 12  # of a confusion matrix
ROW = 51  # points of a line of image scores


@dataclass(frozen=True)
class Tested:
    """A cell with the stored arrays of the test items of each repeat that has them."""

    cell: Cell
    repeats: tuple[Arrays, ...]


def item_charts(
    contrasts: Sequence[Contrast], numbers: Colours, classes: Mapping[str, Sequence[str]]
) -> list[Chart]:
    """Draw MOST_GROUPS targets and networks whose test items are stored: the first network of each target,
    then the second of each.

    `classes` names the classes of each target.
    """
    ordered = in_turn(contrasts, lambda contrast: contrast.column)
    found = ((contrast, _tested(contrast)) for contrast in ordered)
    known = ((contrast, cells) for contrast, cells in found if cells)
    return [
        chart
        for contrast, cells in islice(known, MOST_GROUPS)
        for chart in _charts(contrast, cells, numbers, classes.get(cells[0].cell.key.target, ()))
    ]


def _tested(contrast: Contrast) -> list[Tested]:
    found = []
    for cell in (contrast.best, contrast.random):
        read = (items.arrays(path) for path in cell.items.values()) if cell else ()
        repeats = tuple(arrays for arrays in read if arrays and {"labels", "confusions"} & arrays.keys())
        if cell and repeats:
            found.append(Tested(cell, repeats))
    return found


def _charts(
    contrast: Contrast, cells: list[Tested], numbers: Colours, names: Sequence[str]
) -> Iterator[Chart]:
    where = f"{column_name(*contrast.column)}, {contrast.network}"
    first = cells[0].repeats[0]
    if "scores" in first:
        yield from _curves(where, cells, numbers)
    if first.get("labels", np.empty(0)).ndim == 1:  # findings do not exclude each other
        yield from _confusion(where, cells[0], names)
        yield _image_scores(where, cells, numbers, "confusions" in first)


def _curves(where: str, cells: list[Tested], numbers: Colours) -> Iterator[Chart]:
    def line(tested: Tested, curve: Any, x: Floats, style: Any = "curve") -> Line:
        pairs = ((a["scores"].astype(float), a["labels"]) for a in tested.repeats)
        rows = [curve(scores, item_curves.one_hot(labels, scores.shape[1])) for scores, labels in pairs]
        return averaged(tested.cell.label, numbers[tested.cell.label], x, rows, style)

    percent = 100 * GRID
    diagonal = Line("chance", 0, (0.0, 100.0), (0.0, 100.0), "floor")
    roc = tuple(line(tested, item_curves.roc, percent) for tested in cells)
    yield LineChart(
        "ROC", where, "false positive rate, %", "true positive rate, %", (*roc, diagonal), y_range=(0, 101)
    )
    rates = tuple(line(tested, item_curves.precision, percent) for tested in cells)
    yield LineChart(
        "Precision and recall", where, "recall (sensitivity), %", "precision, %", rates, y_range=(0, 101)
    )
    middles = 100 * (np.arange(BINS) + 0.5) / BINS
    found = tuple(line(tested, item_curves.reliability, middles, "mean") for tested in cells)
    perfect = Line("perfectly calibrated", 0, (0.0, 100.0), (0.0, 100.0), "floor")
    label = "predicted probability, %"
    yield LineChart(
        "Reliability", where, label, "share that was right, %", (*found, perfect), y_range=(0, 101)
    )


def averaged(name: str, number: int, x: Floats, rows: Sequence[Floats], style: Any = "curve") -> Line:
    """Return the mean of the repeats' rows over x, with the lowest and highest as band or bars.

    Places where a row is nan are excluded from its mean, and of the line where all are.
    """
    values = np.array(rows, float)
    known = ~np.isnan(values).all(0)
    kept = values[:, known]
    ends = tuple(zip(np.nanmin(kept, 0).tolist(), np.nanmax(kept, 0).tolist(), strict=True))
    points = tuple(x[known].tolist()), tuple(np.nanmean(kept, 0).tolist())
    if style == "mean":
        return Line(name, number, *points, "mean", bars=ends)
    return Line(name, number, *points, style, band=ends if len(rows) > 1 else ())


def _confusion(where: str, tested: Tested, names: Sequence[str]) -> Iterator[Chart]:
    counts = np.sum([item_curves.confusion(arrays) for arrays in tested.repeats], axis=0)
    if len(counts) > MOST_CLASSES:
        return
    labels = tuple(names) if len(names) == len(counts) else tuple(map(str, range(len(counts))))
    rows = tuple(tuple(row) for row in item_curves.shares(counts).tolist())
    unit = "pixels" if "confusions" in tested.repeats[0] else "images"
    note, label = f"{where}: {tested.cell.label}", f"predicted class of {unit}"
    yield ConfusionChart("Confusions, % of each class", note, label, labels, rows)


def _image_scores(where: str, cells: list[Tested], numbers: Colours, has_masks: bool) -> Chart:
    """Draw the share of test images up to each score; repeats are averaged at equal shares."""
    rank = np.linspace(0, 1, ROW)
    lines = []
    for tested in cells:
        rows = [np.nanquantile(item_curves.image_scores(arrays), rank) for arrays in tested.repeats]
        values, shares = np.mean(rows, axis=0).tolist(), (100 * rank).tolist()
        name = tested.cell.label
        lines.append(Line(name, numbers[name], tuple(values), tuple(shares), "curve"))
    label = "mean IoU of an image, %" if has_masks else "probability given to the true class, %"
    return LineChart("Scores of single images", where, label, "images up to this score, %", tuple(lines))
