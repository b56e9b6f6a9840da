"""Charts of analyses and survival hold the stored values."""

import numpy as np

from grid.report import analysis_charts
from grid.report.analyses import Layers
from grid.report.charts import LineChart


def layers(source: str, values: list[float], floor: list[float]) -> Layers:
    names = tuple(f"layer{n}.conv" for n in range(len(values)))
    counts = np.full(len(values), 10)
    return Layers(
        source,
        0,
        "resnet18",
        names,
        np.array(values),
        np.array(floor),
        counts,
        counts,
        100.0,
        0 * np.array(values),
    )


def test_kaplan_meier_starts_at_one_and_is_in_years() -> None:
    line = analysis_charts._kaplan_meier("x", 1, {"time": [365.25, 730.5], "survival": [0.5, 0.25]}, True)
    assert (line.x, line.y) == ((0.0, 1.0, 2.0), (1.0, 0.5, 0.25))
    assert (line.style, line.dashed) == ("steps", True)


def test_layer_chart_has_a_line_a_source_and_the_highest_floor() -> None:
    found = [
        layers("ISIC2019", [0.9, float("nan"), 0.3], [0.1, 0.2, 0.1]),
        layers("ADE20K", [1, 1, 1], [0.2, 0.1, 0.1]),
    ]
    (chart,) = analysis_charts.layer_charts(found)
    assert isinstance(chart, LineChart)
    first, _, floor = chart.lines
    assert (first.x, first.y) == ((0.0, 2.0), (0.9, 0.3))
    assert (floor.style, floor.y) == ("floor", (0.2, 0.2, 0.1))
    assert chart.ticks == ((0.0, "layer0"), (1.0, "layer1"), (2.0, "layer2"))
