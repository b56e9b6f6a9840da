"""What matrices and scatter plots show."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grid.report.chart_files import png
from grid.report.charts import Chart
from grid.report.plane_charts import Cloud, ConfusionChart, HeatChart, ScatterChart

NAN = float("nan")
PLACES = st.tuples(st.text("abc", min_size=1, max_size=9), st.floats(0, 300), st.floats(0, 300))


def drawn(chart: Chart) -> Axes:
    axes = Figure().add_subplot()
    chart.draw(axes)
    return axes


def test_heat_chart_is_darker_where_datasets_are_nearer() -> None:
    axes = drawn(
        HeatChart("", "", "", ("a", "b", "c"), ((1.0, 3.0, 9.0), (3.0, 1.0, 27.0), (9.0, 27.0, 1.0)))
    )
    assert len(axes.patches) == 6  # the lower triangle with its diagonal
    depths = [patch.get_alpha() for patch in axes.patches]
    assert depths == [1.0, 0.67, 1.0, 0.33, 0.0, 1.0]
    assert [text.get_text() for text in axes.texts] == ["1.0", "3.0", "1.0", "9.0", "27", "1.0"]


@given(st.lists(PLACES, min_size=1))
def test_scatter_names_do_not_cover_each_other(places: list[tuple[str, float, float]]) -> None:
    clouds = tuple(Cloud(name, "", 1, (x,), (y,)) for name, x, y in places)
    words = ScatterChart("", "", "", "", clouds).words()
    wide, high = (max(values) - min(values) or 1 for values in list(zip(*places, strict=True))[1:])
    for a, b in combinations(words, 2):
        far = 0.021 * wide * (len(a[0]) + len(b[0])) / 2
        assert abs(a[1] - b[1]) >= far or abs(a[2] - b[2]) >= 0.05 * high


def test_scatter_legend_has_each_kind_once() -> None:
    clouds = tuple(
        Cloud(name, kind, 1, (1.0,), (1.0,)) for name, kind in (("a", "CT"), ("b", "CT"), ("c", "MRI"))
    )
    assert drawn(ScatterChart("", "", "", "", clouds)).get_legend_handles_labels()[1] == ["CT", "MRI"]


def test_confusion_chart_shows_shares_and_a_dash_for_a_class_without_images() -> None:
    axes = drawn(ConfusionChart("", "", "predicted class", ("a", "b"), ((75.0, 25.0), (NAN, NAN))))
    assert [text.get_text() for text in axes.texts] == ["75", "25", "–", "–"]
    assert [patch.get_alpha() for patch in axes.patches] == [0.75, 0.25, 0.0, 0.0]
    assert axes.get_ylabel() == "true class"


@pytest.mark.filterwarnings("error:constrained_layout")
def test_confusion_chart_is_wide_enough_for_its_note() -> None:
    note = "timm/tf_efficientnet_lite0 [mode linear_probe], ChestXRay2017 (5,848 images), 10 %, SS-Jigsaw"
    names = ("NORMAL", "PNEUMONIA")
    png(ConfusionChart("Confusions", note, "predicted class", names, ((75.0, 25.0), (5.0, 95.0))))
