"""Charts as a PDF of vectors, laid out side by side: the page's figures for a paper.

Drawn by matplotlib, which MLflow brings. Equal charts give equal bytes; nothing of the day is written.
"""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from grid.report.charts.panels import COLOURS
from grid.report.charts.strokes import RIGHT, TOP, Chart, Dots, Stroke

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, GAP, HEAD = 1060.0, 18.0, 34.0  # points of three charts, between two, and for a title
KEY = 14.0  # points that a line of the legend takes
INK, SOFT, FAINT = "#211f1c", "#6d675e", "#e3ded4"
PALETTE = (  # of reports/templates/report.css, on white
    "#8d877c",
    "#1f6fb2",
    "#c4532f",
    "#2a8f6c",
    "#a67c00",
    "#7a57a6",
    "#bf4f86",
    "#3b97ad",
    "#86683f",
    "#47506b",
)
WIDTHS = {"mean": 1.6, "seed": 0.5, "rule": 0.9, "floor": 0.9, "whisker": 0.7}
SIZES = {"mean": 4.5, "seed": 3.5, "short": 4.5, "cloud": 1.5}
FONT, SMALL = 8.0, 6.5


def colour(number: int) -> str:
    return PALETTE[(number - 1) % COLOURS + 1 if number else 0]


def write(charts: Sequence[Chart], legend: Sequence[Stroke]) -> bytes:
    """The charts and the legend below; points are the pixels of the page."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_pdf import FigureCanvasPdf
    from matplotlib.figure import Figure

    places, width, height = layout(charts)
    total = height + KEY * ((len(legend) + 3) // 4 + 1 if legend else 0)
    with rc_context({"pdf.fonttype": 42, "font.size": FONT, "font.family": "DejaVu Sans"}):
        figure = Figure(figsize=(width / 72, total / 72))
        FigureCanvasPdf(figure)
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(total, 0))
        axes.set_axis_off()
        for chart, (x, y) in zip(charts, places, strict=True):
            _chart(axes, chart, x, y)
        for number, stroke in enumerate(legend):
            _key(axes, stroke, width * (number % 4) / 4 + 6, height + KEY * (number // 4 + 1))
        stream = io.BytesIO()
        figure.savefig(stream, format="pdf", metadata={"CreationDate": None, "Creator": "medpt-grid"})
    return stream.getvalue()


def layout(charts: Sequence[Chart]) -> tuple[list[tuple[float, float]], float, float]:
    """The corner of each chart, and the size of the whole: from left to right, as many a row as fit."""
    places: list[tuple[float, float]] = []
    x = y = tallest = widest = 0.0
    for chart in charts:
        if x and x + chart.width > WIDTH:
            x, y, tallest = 0.0, y + tallest, 0.0
        places.append((x, y + HEAD))
        widest, tallest = max(widest, x + chart.width), max(tallest, HEAD + chart.height)
        x += chart.width + GAP
    return places, widest, y + tallest


def _chart(axes: "Axes", chart: Chart, x: float, y: float) -> None:
    axes.text(x, y - 22, chart.title, color=INK, weight="bold", va="center")
    axes.text(x, y - 10, chart.note, color=SOFT, size=SMALL, va="center")
    _scales(axes, chart, x, y)
    for tile in chart.tiles:
        _tile(axes, x + tile.x, y + tile.y, tile.side, tile.shade, tile.text)
    for stroke in chart.strokes:
        _stroke(axes, stroke, x, y)
    for dots in chart.dots:
        _dots(axes, dots, x, y)
    sides = {"start": "left", "end": "right", "middle": "center"}
    for word in chart.words:
        place: dict[str, Any] = {"ha": sides[word.anchor], "va": "baseline", "rotation": 0}
        if word.turned:
            place = {"ha": "center", "va": "top", "rotation": 90}
        axes.text(x + word.x, y + word.y, word.text, color=INK, size=SMALL, **place)


def _scales(axes: "Axes", chart: Chart, x: float, y: float) -> None:
    floor, right = y + chart.floor, x + chart.width - RIGHT
    for place, text in chart.x:
        if chart.upright:
            axes.plot((x + place, x + place), (y + TOP, floor), color=FAINT, lw=0.5)
        axes.text(x + place, floor + 10, text, color=SOFT, size=SMALL, ha="center")
    for place, text in chart.y:
        axes.plot((x + chart.left, right), (y + place, y + place), color=FAINT, lw=0.5)
        axes.text(x + chart.left - 5, y + place, text, color=SOFT, size=SMALL, ha="right", va="center")
    if not chart.tiles:
        axes.plot((x + chart.left, right), (floor, floor), color=SOFT, lw=0.7)
    axes.text((x + chart.left + right) / 2, floor + 24, chart.x_name, color=SOFT, size=SMALL, ha="center")


def _stroke(axes: "Axes", stroke: Stroke, x: float, y: float) -> None:
    dashed = stroke.dashed or stroke.style == "rule" or stroke.colour > COLOURS
    pattern = (0, (1, 2)) if stroke.style == "floor" else (0, (4, 2)) if dashed else "solid"
    across, down = ([p[axis] + shift for p in stroke.points] for axis, shift in ((0, x), (1, y)))
    faint = 0.4 if stroke.style == "seed" else 1.0
    axes.plot(
        across, down, color=colour(stroke.colour), lw=WIDTHS[stroke.style], linestyle=pattern, alpha=faint
    )


def _dots(axes: "Axes", dots: Dots, x: float, y: float) -> None:
    across, down = ([p[axis] + shift for p in dots.points] for axis, shift in ((0, x), (1, y)))
    filled = dots.style == "mean" and dots.colour <= COLOURS
    axes.plot(
        across,
        down,
        "o",
        ms=SIZES[dots.style],
        markerfacecolor=colour(dots.colour) if filled or dots.style == "cloud" else "white",
        markeredgecolor=colour(dots.colour),
        markeredgewidth=0.0 if dots.style == "cloud" else 0.8,
    )


def _tile(axes: "Axes", x: float, y: float, side: float, shade: float, text: str) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((x, y), side, side, facecolor=(0.12, 0.435, 0.698, shade), edgecolor="none"))
    ink = "white" if shade > 0.55 else INK
    axes.text(x + side / 2, y + side / 2, text, color=ink, size=5.5, ha="center", va="center")


def _key(axes: "Axes", stroke: Stroke, x: float, y: float) -> None:
    _stroke(axes, Stroke(((0, 0), (16, 0)), stroke.colour, stroke.style, dashed=stroke.dashed), x, y)
    axes.text(x + 21, y, stroke.name, color=INK, size=SMALL, va="center")
