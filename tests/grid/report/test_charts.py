"""What each kind of chart holds, and how its marks and colours differ."""

from itertools import combinations

import pytest
from matplotlib.figure import Figure

from grid.report import charts
from grid.report.charts import Line, LineChart, Row, RowChart

NAN = float("nan")


def drawn(chart: charts.Chart):
    axes = Figure().add_subplot()
    chart.draw(axes)
    return axes


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(a: str, b: str) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1])
@pytest.mark.parametrize("name", [name for name in charts.PALETTE if name not in ("paper", "line")])
def test_palette_is_readable_on_light_and_dark_pages(name: str, theme: int) -> None:
    least = 4.5 if name in ("ink", "soft") else 3  # WCAG 2 AA for text, and for graphics
    assert contrast(charts.PALETTE[name][theme], charts.PALETTE["paper"][theme]) >= least


def test_marks_differ_for_every_pair_of_colours() -> None:
    every = [charts.marks(number) for number in range(2 * charts.COLOURS + 1)]
    assert all(a != b for a, b in combinations(every, 2))
    plain = [style["marker"] for style in every[: charts.COLOURS + 1]]
    assert len(set(plain)) == len(plain)


def test_row_chart_names_groups_and_incomplete_rows() -> None:
    rows = (
        Row("random", 0, 70.0, (69.0, 71.0), (69.0, 71.0), group="U-Net"),
        Row("ISIC2019 (1 of 2)", 1, 75.0, (NAN, NAN), (75.0,), complete=False, group="U-Net", text="+5.00"),
    )
    axes = drawn(RowChart("DRIVE", "", "", rows, 70.0))
    assert [label.get_text() for label in axes.get_yticklabels()] == ["", "random", "ISIC2019 (1 of 2)"]
    assert [text.get_text() for text in axes.texts] == ["U-Net", "", "+5.00"]
    means = [line for line in axes.lines if line.get_markersize() == 6.5]
    assert [line.get_xdata()[0] for line in means] == [70.0, 75.0]
    assert means[1].get_markerfacecolor() == charts.PAPER
    assert len(axes.collections) == 1  # one error bar: a single seed has none


def test_line_chart_shifts_points_but_not_values() -> None:
    lines = tuple(
        Line(name, n, (1.0, 2.0), (3.0, 4.0), bars=((2.0, 4.0), (NAN, NAN))) for n, name in enumerate("ab")
    )
    axes = drawn(LineChart("", "", "", "%", lines, ((1.0, "one"), (2.0, "two")), logarithmic=True))
    assert [list(line.get_ydata()) for line in axes.lines] == [[3.0, 4.0]] * 2
    assert [label.get_text() for label in axes.get_xticklabels()] == ["one", "two"]
    places = [line.get_transform().transform((1.0, 3.0))[0] for line in axes.lines]
    assert places[0] < places[1]
    assert 0.8 < axes.get_xlim()[0] < 1 < 2 < axes.get_xlim()[1] < 2.5


def test_line_chart_of_whole_numbers_has_whole_ticks() -> None:
    axes = drawn(LineChart("", "", "", "%", (Line("a", 1, (10.0, 20.0, 30.0), (1.0, 2.0, 3.0), "curve"),)))
    assert all(float(tick).is_integer() for tick in axes.get_xticks())


def test_legend_names_each_line() -> None:
    lines = (Line("a", 1, (1.0,), (2.0,), "curve"), Line("b", 2, (), (1.5,), "level"))
    axes = drawn(LineChart("", "", "", "", lines))
    assert axes.get_legend_handles_labels()[1] == ["a", "b"]
