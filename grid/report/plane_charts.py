"""Charts in a plane: matrices as heat, and scatter plots."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grid.report.charts import INK, PAPER, WIDTH, Chart, Values, colour, marks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DARK = 0.6  # of a colour's opacity, above which text on it has the colour of the page


@dataclass(frozen=True)
class HeatChart(Chart):
    """The lower triangle of a symmetric matrix of positive values: the smaller, the stronger the colour."""

    names: tuple[str, ...]
    values: tuple[Values, ...]

    @property
    def size(self) -> tuple[float, float]:
        side = 1.8 + 0.3 * len(self.names)
        return max(4.6, side), side

    def draw(self, axes: "Axes") -> None:
        logs = [[math.log(max(value, 1e-12)) for value in row] for row in self.values]
        low, high = min(map(min, logs)), max(map(max, logs))
        for row, values in enumerate(logs):
            for column, value in enumerate(values[: row + 1]):
                depth = round(1 - (value - low) / max(high - low, 1e-9), 2)
                _fill(axes, (column, row), depth, two_digits(self.values[row][column]), 7.5)
        _square(axes, self.names)


def two_digits(value: float) -> str:
    return f"{value:.1f}" if value < 9.95 else f"{value:.0f}"


@dataclass(frozen=True)
class ConfusionChart(Chart):
    """A confusion matrix in per cent of each true class: true classes in rows, predicted ones in columns."""

    names: tuple[str, ...]
    shares: tuple[Values, ...]

    @property
    def size(self) -> tuple[float, float]:
        side = 0.55 * len(self.names) + 0.07 * max(map(len, self.names))
        return max(4.6, side + 1.2), max(2.8, side + 1.1)

    def draw(self, axes: "Axes") -> None:
        for row, values in enumerate(self.shares):
            for column, value in enumerate(values):
                depth = 0.0 if math.isnan(value) else round(value / 100, 2)
                _fill(axes, (column, row), depth, "–" if math.isnan(value) else f"{value:.0f}", 8.5)
        _square(axes, self.names)
        axes.set_ylabel("true class")


def _fill(axes: "Axes", place: tuple[int, int], depth: float, text: str, size: float) -> None:
    """Draw an entry of a matrix, at (column, row), in a colour of opacity `depth`."""
    from matplotlib.patches import Rectangle

    column, row = place
    axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, color=colour(1), alpha=depth, lw=0))
    axes.text(column, row, text, ha="center", va="center", fontsize=size, color=text_colour(depth))


def text_colour(depth: float) -> str:
    """Return the colour of text on a colour of opacity `depth`."""
    return PAPER if depth > DARK else INK


def _square(axes: "Axes", names: tuple[str, ...]) -> None:
    """Label a square matrix; long names of its columns are turned."""
    label_matrix(axes, names, names)
    axes.set_aspect("equal")
    if max(map(len, names)) * len(names) > 24:
        axes.tick_params(axis="x", labelrotation=90)


def label_matrix(axes: "Axes", rows: tuple[str, ...], columns: tuple[str, ...]) -> None:
    """Label the rows and columns of a matrix, the first row on top."""
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    axes.grid(visible=False)
    axes.tick_params(length=0, labelcolor=INK)
    axes.spines[:].set_visible(False)


@dataclass(frozen=True)
class Cloud:
    """Points of one dataset; clouds of one `kind` have one colour and one entry of the legend."""

    name: str
    kind: str
    colour: int
    x: Values
    y: Values


@dataclass(frozen=True)
class ScatterChart(Chart):
    y_label: str
    clouds: tuple[Cloud, ...]

    @property
    def size(self) -> tuple[float, float]:
        return WIDTH, 5.0

    def draw(self, axes: "Axes") -> None:
        kinds: set[str] = set()
        for cloud in self.clouds:
            style = marks(cloud.colour) | {"linestyle": "none", "markersize": 3.5, "alpha": 0.55}
            axes.plot(cloud.x, cloud.y, label="" if cloud.kind in kinds else cloud.kind, **style)
            kinds.add(cloud.kind)
        for name, x, y in self.words():
            axes.text(x, y, name, ha="center", va="bottom", fontsize=9, weight="bold", clip_on=True)
        axes.set_ylabel(self.y_label)

    def words(self) -> list[tuple[str, float, float]]:
        """Return a name at the middle of each cloud, but none that would cover one before it."""
        every = [value for cloud in self.clouds for value in cloud.x]
        letter = (max(every) - min(every) or 1) * 0.021  # the width of a letter, as a share of the chart's
        rows = [value for cloud in self.clouds for value in cloud.y]
        height = (max(rows) - min(rows) or 1) * 0.05
        words: list[tuple[str, float, float]] = []
        for cloud in self.clouds:
            x, y = sum(cloud.x) / len(cloud.x), sum(cloud.y) / len(cloud.y)
            near = (
                name
                for name, left, up in words
                if abs(up - y) < height and abs(left - x) < letter * (len(name) + len(cloud.name)) / 2
            )
            if not any(near):
                words.append((cloud.name, x, y))
        return words
