"""Charts as data (values, labels and units) and how matplotlib draws each kind: rows and lines.

A colour is a number: 0 for random weights, from 1 on the others, each with its own lightness and marker.
Above COLOURS they repeat, dashed and with the marker of another colour. plane_charts.py has matrices and
scatter plots; chart_files.py writes charts as SVG, PNG and PDF.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 5.6  # inches, at 72 units of the SVG each
COLOURS = 9  # beside that of random weights
MARKERS = "os^DvPX<>p"
OTHER_MARKER = 4  # places from that of its colour
PALETTE = {  # name: on a light page and in files, on a dark page
    "paper": ("#fcfbf8", "#16171a"),
    "ink": ("#211f1c", "#e7e4dd"),
    "soft": ("#6b655c", "#a8a297"),
    "line": ("#e3ded4", "#34353a"),
    "c0": ("#7f7a70", "#a39d93"),
    "c1": ("#0b4f8a", "#5aa0e0"),
    "c2": ("#d9652b", "#ff9a6b"),
    "c3": ("#1f7a5a", "#4fc39a"),
    "c4": ("#b58900", "#e6c04f"),
    "c5": ("#5b3a8e", "#a98be8"),
    "c6": ("#d1559a", "#f59ac6"),
    "c7": ("#2f9ab5", "#7fd6ea"),
    "c8": ("#6b4a24", "#c9a26d"),
    "c9": ("#3d4658", "#b9c3dc"),
}
PAPER, INK, SOFT = (PALETTE[name][0] for name in ("paper", "ink", "soft"))

Values = tuple[float, ...]


def colour(number: int) -> str:
    return PALETTE[f"c{(number - 1) % COLOURS + 1 if number else 0}"][0]


def marks(number: int, hollow: bool = False) -> dict[str, Any]:
    """Return matplotlib's properties of a series: its colour, line style and marker."""
    repeats = number > COLOURS
    place = (number - 1 + (OTHER_MARKER if repeats else 0)) % COLOURS + 1
    return {
        "color": colour(number),
        "linestyle": "--" if repeats else "-",
        "marker": MARKERS[place if number else 0],
        "markerfacecolor": PAPER if hollow else colour(number),
    }


@dataclass(frozen=True)
class Chart(ABC):
    """What every chart has; `note` stands below the title, labels include the unit."""

    title: str
    note: str
    x_label: str

    @property
    @abstractmethod
    def size(self) -> tuple[float, float]:
        """Width and height in inches."""

    @abstractmethod
    def draw(self, axes: "Axes") -> None:
        """Draw everything but the title, the label of x and the legend."""


@dataclass(frozen=True)
class Row:
    """One initialization: the mean of its repeats, the ends of its error bar (nan: none), every repeat.

    `text` stands at the right end; a row that is not `complete` lacks repeats and has a hollow marker.
    """

    name: str
    colour: int
    mean: float
    bar: tuple[float, float]
    repeats: Values
    complete: bool = True
    group: str = ""
    text: str = ""


@dataclass(frozen=True)
class RowChart(Chart):
    """Rows below each other, under the name of their group.

    `reference` is a line through all rows; what is within `margin` of it is shaded.
    """

    rows: tuple[Row, ...]
    reference: float = math.nan
    margin: float = 0.0

    @property
    def labels(self) -> list[tuple[str, Row | None]]:
        """The text beside each line, from the top; a group's name has no row."""
        found: list[tuple[str, Row | None]] = []
        for group, rows in groupby(self.rows, key=lambda row: row.group):
            found += [(group, None)] if group else []
            found += [(row.name, row) for row in rows]
        return found

    @property
    def size(self) -> tuple[float, float]:
        return WIDTH, 1.15 + 0.26 * len(self.labels)

    def draw(self, axes: "Axes") -> None:
        if math.isfinite(self.reference):
            axes.axvline(self.reference, color=colour(0), linestyle=":", linewidth=1.3)
        if self.margin:
            ends = self.reference - self.margin, self.reference + self.margin
            axes.axvspan(*ends, color=colour(0), alpha=0.15, lw=0)
        for place, (text, row) in enumerate(self.labels):
            if row:
                self._row(axes, place, row)
            else:
                _write_group(axes, place, text)
        axes.set_yticks(range(len(self.labels)), [text if row else "" for text, row in self.labels])
        axes.tick_params(axis="y", labelcolor=INK)
        axes.set_ylim(len(self.labels) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)

    def _row(self, axes: "Axes", place: int, row: Row) -> None:
        style = marks(row.colour, not row.complete)
        axes.plot(
            row.repeats, [place] * len(row.repeats), "o", mfc="none", mec=style["color"], ms=4, alpha=0.6
        )
        if all(map(math.isfinite, row.bar)):
            axes.hlines(place, *row.bar, colors=style["color"], linewidth=1.6)
        axes.plot([row.mean], [place], ms=6.5, **style)
        axes.text(1.01, place, row.text, transform=axes.get_yaxis_transform(), va="center", fontsize=9)


def _write_group(axes: "Axes", place: int, text: str) -> None:
    """Write the name of a group into its empty line, from the left edge: a long one narrows no plot."""
    from matplotlib.transforms import blended_transform_factory

    at = blended_transform_factory(axes.figure.transFigure, axes.transData)
    box = {"facecolor": PAPER, "edgecolor": "none", "pad": 1.0}
    style: Any = {"weight": "bold", "color": INK, "va": "center", "in_layout": False}
    axes.text(0.01, place, text, transform=at, bbox=box, **style)


@dataclass(frozen=True)
class Line:
    """A series. `style`: mean (marks with error bars), curve, steps,
    level (one value, drawn across) or floor (dotted). `bars` are the ends of error bars, nan for none.
    """

    name: str
    colour: int
    x: Values
    y: Values
    style: Literal["mean", "curve", "steps", "level", "floor"] = "mean"
    bars: tuple[tuple[float, float], ...] = ()
    band: tuple[tuple[float, float], ...] = ()  # around a curve
    incomplete: tuple[int, ...] = ()  # places of points that lack repeats: hollow markers
    dashed: bool = False

    def draw(self, axes: "Axes", shift: float = 0.0) -> None:
        """Draw the series; `shift` moves means by so many points, so that error bars stand side by side."""
        style = marks(self.colour, self.dashed) | ({"linestyle": "--"} if self.dashed else {})
        if self.style == "level":
            axes.axhline(self.y[0], color=style["color"], linestyle=":", linewidth=1.5, label=self.name)
        elif self.style == "floor":
            axes.plot(self.x, self.y, color=SOFT, linestyle=":", label=self.name)
        elif self.style == "mean":
            self._means(axes, style | {"markersize": 5.5}, shift)
        else:
            if self.band:
                low, high = zip(*self.band, strict=True)
                axes.fill_between(self.x, low, high, color=style["color"], alpha=0.18, linewidth=0)
            drawn = "steps-post" if self.style == "steps" else "default"
            every = max(1, len(self.x) // 6)
            axes.plot(
                self.x, self.y, label=self.name, drawstyle=drawn, markevery=every, markersize=4.5, **style
            )

    def _means(self, axes: "Axes", style: dict[str, Any], shift: float) -> None:
        from matplotlib.transforms import ScaledTranslation

        artists: list[Any] = axes.plot(self.x, self.y, label=self.name, **style)
        if self.bars:
            low, high = zip(*self.bars, strict=True)
            artists.append(axes.vlines(self.x, low, high, style["color"], linewidth=1.1))
        if self.incomplete:
            x, y = ([values[place] for place in self.incomplete] for values in (self.x, self.y))
            artists += axes.plot(x, y, **style | {"linestyle": "none", "markerfacecolor": PAPER}, zorder=3)
        for artist in artists:  # only now: the axes' limits are of unshifted values
            moved = ScaledTranslation(shift / 72, 0, axes.figure.dpi_scale_trans)
            artist.set_transform(artist.get_transform() + moved)


@dataclass(frozen=True)
class LineChart(Chart):
    """Series over x. `ticks` are places and texts on x; none: matplotlib's own."""

    y_label: str
    lines: tuple[Line, ...]
    ticks: tuple[tuple[float, str], ...] = ()
    logarithmic: bool = False
    y_range: tuple[float, float] | None = None

    @property
    def size(self) -> tuple[float, float]:
        return WIDTH, 3.4 + 0.18 * math.ceil(len({line.name for line in self.lines}) / 3)

    def draw(self, axes: "Axes") -> None:
        if self.logarithmic:
            axes.set_xscale("log")
        for number, line in enumerate(self.lines):
            line.draw(axes, 2.5 * (number - len(self.lines) / 2))
        if self.ticks:
            axes.set_xticks(*zip(*self.ticks, strict=True))
            axes.set_xticks([], minor=True)
        elif all(float(x).is_integer() for line in self.lines for x in line.x):
            axes.locator_params(axis="x", integer=True)
        if self.y_range:
            axes.set_ylim(*self.y_range)
        axes.set_ylabel(self.y_label)
