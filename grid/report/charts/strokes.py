"""Charts of a report as plain geometry, which the page draws as SVG and pdf.py as PDF.

Places are pixels of the chart's own box, y downwards. Colours are the numbers of figures.colours.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from grid.report.charts.panels import BOTTOM as PANEL_BOTTOM
from grid.report.charts.panels import HEIGHT as PANEL_HEIGHT
from grid.report.charts.panels import LEFT as PANEL_LEFT
from grid.report.charts.panels import Panel, Tick, label, ticks
from grid.results.display import METRIC_NAMES, column_name

WIDTH, HEIGHT = 340.0, 220.0
LEFT, RIGHT, TOP, BOTTOM = 38.0, 12.0, 10.0, 38.0
ROW = 22.0  # pixels of one initialization in a chart of rows
NAMES = 104.0  # that their names take
MARGIN = 0.06  # of a span that no mark reaches into

Point = tuple[float, float]
Range = tuple[float, float]


@dataclass(frozen=True)
class Stroke:
    """A line; `style` is one of mean, seed, rule (a value that has no x), floor, whisker.

    One without points is in the legend alone.
    """

    points: tuple[Point, ...]
    colour: int
    style: str
    name: str = ""
    dashed: bool = False


@dataclass(frozen=True)
class Dots:
    """Marks of one name; `style` is one of mean, seed, short (seeds are missing), cloud."""

    points: tuple[Point, ...]
    colour: int
    style: str
    title: str = ""


@dataclass(frozen=True)
class Tile:
    """A rectangle of a heat map; `shade` from 0 (least) to 1."""

    x: float
    y: float
    side: float
    shade: float
    text: str
    title: str


@dataclass(frozen=True)
class Word:
    x: float
    y: float
    text: str
    anchor: str = "start"
    strong: bool = False
    turned: bool = False  # read upwards


@dataclass(frozen=True)
class Chart:
    title: str
    note: str = ""
    x_name: str = ""
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    bottom: float = BOTTOM
    x: tuple[Tick, ...] = ()
    y: tuple[Tick, ...] = ()
    upright: bool = False  # grid lines go up from the ticks of x, else across from those of y
    strokes: tuple[Stroke, ...] = ()
    dots: tuple[Dots, ...] = ()
    tiles: tuple[Tile, ...] = ()
    words: tuple[Word, ...] = ()

    @property
    def floor(self) -> float:
        return self.height - self.bottom


@dataclass(frozen=True)
class Box:
    """Maps values to pixels: `x` and `y` are the ranges of values that fill the plot."""

    x: Range
    y: Range
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    bottom: float = BOTTOM

    def place(self, x: float, y: float) -> Point:
        return round(self.across(x), 1), round(self.up(y), 1)

    def across(self, value: float) -> float:
        low, high = self.x
        return self.left + (self.width - self.left - RIGHT) * (value - low) / (high - low)

    def up(self, value: float) -> float:
        low, high = self.y
        floor = self.height - self.bottom
        return floor - (floor - TOP) * (value - low) / (high - low)


def around(values: Sequence[float], least: float = 1.0) -> Range:
    """The range of finite values with a margin, at least `least` wide."""
    known = [value for value in values if math.isfinite(value)]
    low, high = min(known, default=0.0), max(known, default=0.0)
    margin = max(MARGIN * (high - low), (least - (high - low)) / 2, 1e-9)
    return low - margin, high + margin


@dataclass(frozen=True)
class Series:
    """A line of means over x with standard deviations (nan where unknown); `short` marks lacking seeds."""

    name: str
    colour: int
    points: tuple[tuple[float, float, float, str, bool], ...]  # x, mean, std, what it says, short


@dataclass(frozen=True)
class Level:
    """A value without an x: a line across."""

    name: str
    colour: int
    mean: float


@dataclass(frozen=True)
class Axis:
    """A horizontal axis: its label, its ticks in data units, and whether it is logarithmic."""

    name: str
    ticks: Sequence[Tick]
    logarithmic: bool = False


def lines(title: str, note: str, series: Sequence[Series], levels: Sequence[Level], axis: Axis) -> Chart:
    """Draw means with whiskers over x; levels go across the whole width."""

    def scaled(x: float) -> float:
        return math.log(x) if axis.logarithmic else x

    known = [point for line in series for point in line.points]
    values = [mean + sign * _finite(std) for _, mean, std, _, _ in known for sign in (-1, 1)]
    xs = [scaled(x) for x, *_ in known] or [0.0]
    box = Box(around(xs, 1e-6), around([*values, *(level.mean for level in levels)]))
    strokes = [
        Stroke(
            (box.place(box.x[0], level.mean), box.place(box.x[1], level.mean)),
            level.colour,
            "rule",
            level.name,
        )
        for level in levels
    ]
    dots: list[Dots] = []
    for line in series:
        points = tuple(box.place(scaled(x), mean) for x, mean, *_ in line.points)
        strokes.append(Stroke(points, line.colour, "mean", line.name))
        for place, (x, mean, std, words, short) in zip(points, line.points, strict=True):
            ends = tuple(box.place(scaled(x), mean + sign * _finite(std)) for sign in (-1, 1))
            strokes.append(Stroke(ends, line.colour, "whisker"))
            dots.append(Dots((place,), line.colour, "short" if short else "mean", words))
    return Chart(
        title,
        note,
        axis.name,
        x=tuple((box.across(scaled(x)), text) for x, text in axis.ticks),
        y=tuple((box.up(value), label(value)) for value in ticks(*box.y)),
        strokes=tuple(strokes),
        dots=tuple(dots),
    )


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0


@dataclass(frozen=True)
class Line:
    """One row of a chart of rows: a mean, its seeds, and what stands beside the name."""

    name: str
    colour: int
    mean: float
    std: float
    seeds: tuple[float, ...]
    title: str
    short: bool


def rows(title: str, note: str, entries: Sequence[Line], zero: float | None, x_name: str) -> Chart:
    """One row a name: seeds as rings, their mean as a dot with its standard deviation; `zero` is marked."""
    height = TOP + ROW * len(entries) + BOTTOM
    reach = [entry.mean + sign * _finite(entry.std) for entry in entries for sign in (-1, 1)]
    values = [*reach, *(seed for entry in entries for seed in entry.seeds)]
    box = Box(around(values), (len(entries), 0), height=height, left=NAMES)
    strokes: list[Stroke] = []
    if zero is not None:
        strokes.append(Stroke((box.place(zero, 0), box.place(zero, len(entries))), 0, "rule"))
    dots, words = [], []
    for row, entry in enumerate(entries, start=0):
        ends = tuple(box.place(entry.mean + sign * _finite(entry.std), row + 0.5) for sign in (-1, 1))
        strokes.append(Stroke(ends, entry.colour, "whisker"))
        seeds = tuple(box.place(seed, row + 0.5) for seed in entry.seeds)
        dots.append(Dots(seeds, entry.colour, "seed"))
        style = "short" if entry.short else "mean"
        dots.append(Dots((box.place(entry.mean, row + 0.5),), entry.colour, style, entry.title))
        words.append(Word(NAMES - 8, box.up(row + 0.5) + 3.5, entry.name, "end"))
    return Chart(
        title,
        note,
        x_name,
        height=height,
        left=NAMES,
        x=tuple((box.across(value), label(value)) for value in ticks(*box.x)),
        upright=True,
        strokes=tuple(strokes),
        dots=tuple(dots),
        words=tuple(words),
    )


def from_panel(panel: Panel) -> Chart:
    """A panel of learning curves as a chart, for files; the page has its own."""
    strokes = [
        Stroke(_points(text), curve.colour, style, name)
        for curve in panel.curves
        for style, name, texts in (("seed", "", curve.seeds), ("mean", curve.initialization, [curve.mean]))
        for text in texts
    ]
    return Chart(
        column_name(*panel.column),
        f"{panel.network} · {METRIC_NAMES[panel.metric]}, %",
        "steps",
        height=PANEL_HEIGHT,
        left=PANEL_LEFT,
        bottom=PANEL_BOTTOM,
        x=tuple(panel.x),
        y=tuple(panel.y),
        strokes=tuple(strokes),
        dots=tuple(Dots(_points(c.mean), c.colour, "mean", c.initialization) for c in panel.curves if c.lone),
    )


def _points(text: str) -> tuple[Point, ...]:
    pairs = (pair.split(",") for pair in text.split())
    return tuple((float(x), float(y)) for x, y in pairs)


def legend(charts: Sequence[Chart]) -> list[Stroke]:
    """The named lines of several charts, each name once."""
    named = {stroke.name: stroke for chart in charts for stroke in chart.strokes if stroke.name}
    return list(named.values())
