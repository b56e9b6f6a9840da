"""The first screen's heat map: what each initialization gains over random weights on each target."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grid.report.charts import SOFT, Chart, colour
from grid.report.plane_charts import label_matrix, text_colour
from grid.report.tables import Contrast, signed
from grid.results.comparisons import Difference
from grid.results.display import METRIC_NAMES, column_name
from grid.results.groups import FEW_ITEMS, SINGLE_ITEM
from grid.results.verdicts import LEVEL, Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TOGETHER = 4  # columns that one map has at most where it shows several networks: they fit on a phone
MOST_MAPS = 8  # networks with a map of their own; the others are in the tables
WORST, BEST, NEITHER = 2, 1, 0  # numbers of colours
NARROWEST = 5.0  # inches: what the note needs
LETTER = 0.075  # inches: a letter of the labels, the widest ones apart
NOTE = "points, [95 % interval]; filled: decided after correction, dashed: undecided"


@dataclass(frozen=True)
class Gain:
    """A difference from random weights in points, with its 95 % limits."""

    value: float
    low: float
    high: float
    verdict: Verdict

    @property
    def limits(self) -> str:
        """The limits as text: `[+4.1, +7.7]`."""
        if math.isnan(self.low):
            return "no interval"
        return f"[{self.low:+.1f}, {self.high:+.1f}]".replace("-", "−")


@dataclass(frozen=True)
class GainMap(Chart):
    """Initializations in rows, targets in columns; an entry is None where nothing can be compared.

    A colour means a verdict: one of better, worse and equivalent. Its strength shows the size of a gain or a
    loss, as a share of the largest one. An undecided entry has a dashed border and no colour.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    entries: tuple[tuple[Gain | None, ...], ...]

    @property
    def size(self) -> tuple[float, float]:
        names = 0.5 + LETTER * _longest_line(self.rows)
        column = max(1.05, 0.1 + LETTER * _longest_line(self.columns))
        return max(NARROWEST, names + column * len(self.columns)), 1.35 + 0.62 * len(self.rows)

    @property
    def largest(self) -> float:
        values = [abs(entry.value) for row in self.entries for entry in row if entry]
        return max(values, default=0.0)

    def fill(self, entry: Gain) -> tuple[int, float]:
        """Return the number of the colour and its opacity; opacity 0 where the verdict is undecided."""
        if entry.verdict in ("undecided", "equivalent"):
            return NEITHER, 0.3 if entry.verdict == "equivalent" else 0.0
        share = abs(entry.value) / self.largest if self.largest else 0.0
        return BEST if entry.verdict == "better" else WORST, round(0.3 + 0.7 * share, 2)

    def draw(self, axes: "Axes") -> None:
        for row, entries in enumerate(self.entries):
            for column, entry in enumerate(entries):
                if entry:
                    self._entry(axes, row, column, entry)
                else:
                    axes.text(column, row, "–", ha="center", va="center", color=SOFT)
        label_matrix(axes, self.rows, self.columns)
        axes.tick_params(labelsize=8.5)

    def _entry(self, axes: "Axes", row: int, column: int, entry: Gain) -> None:
        from matplotlib.patches import Rectangle

        number, depth = self.fill(entry)
        corner = (column - 0.47, row - 0.46)
        style: dict[str, Any] = {"color": colour(number), "alpha": depth, "lw": 0}
        if not depth:
            style = {"fill": False, "edgecolor": SOFT, "linestyle": "--", "lw": 0.8}
        axes.add_patch(Rectangle(corner, 0.94, 0.92, **style))
        lines = (
            (-0.2, signed(entry.value), 10, "bold"),
            (0.07, entry.limits, 7.6, "normal"),
            (0.29, entry.verdict, 8, "normal"),
        )
        for offset, text, size, weight in lines:
            style = {"fontsize": size, "weight": weight, "color": text_colour(depth)}
            axes.text(column, row + offset, text, ha="center", va="center", **style)


def _longest_line(labels: Sequence[str]) -> int:
    return max(len(line) for label in labels for line in label.splitlines())


def gain_maps(contrasts: Sequence[Contrast]) -> list[Chart]:
    """Draw the differences of all contrasts in one map, or of the first networks in one each.

    Networks have maps of their own where they have many columns together.
    """
    shown = [contrast for contrast in contrasts if contrast.differences]
    if not shown:
        return []
    networks = list(dict.fromkeys(contrast.network for contrast in shown))
    if len(networks) == 1 or len(shown) > TOGETHER:
        return [_map(name, [c for c in shown if c.network == name]) for name in networks[:MOST_MAPS]]
    return [_map("", shown)]


def _map(network: str, contrasts: Sequence[Contrast]) -> Chart:
    known = [
        {d.cell.label: Gain(d.value, d.low, d.high, d.verdict) for d in contrast.differences}
        for contrast in contrasts
    ]
    rows = tuple(dict.fromkeys(label for gains in known for label in gains))
    metrics = dict.fromkeys(METRIC_NAMES.get(c.differences[0].cell.metric, "score") for c in contrasts)
    return GainMap(
        f"Gain over random weights{f', {network}' if network else ''}",
        NOTE,
        f"target; gain in {' or '.join(metrics)}",
        tuple(label.replace(" (", "\n(") for label in rows),
        tuple(_column(contrast, named=not network) for contrast in contrasts),
        tuple(tuple(gains.get(label) for gains in known) for label in rows),
    )


def _column(contrast: Contrast, *, named: bool) -> str:
    """Write the target and, with `named`, the network and its protocol in lines below it."""
    network = contrast.network.replace(" / ", "\n").replace(" [", "\n[").replace("timm/", "timm/\n")
    target = column_name(*contrast.column).replace(" (", "\n(")
    return "\n".join([target, *([network] if named else ())])


@dataclass(frozen=True)
class Undecided:
    """A comparison with random weights that these runs do not decide."""

    contrast: Contrast
    difference: Difference

    @property
    def remedy(self) -> str:
        """What would decide a difference of this size: so many repeats, or so many test images, in all."""
        one = self.difference
        if math.isnan(one.low):
            few = one.note in (FEW_ITEMS, SINGLE_ITEM)
            return "more test images" if few else "more than one repeat, or test items that are stored"
        if one.p < LEVEL:
            return "a few more repeats: by itself it is decided, among these comparisons it is not"
        seeds = f"{one.seeds_needed:,} repeats (now {one.cell.n})" if one.seeds_needed else ""
        images = f"{one.images_needed:,} test images" if one.images_needed else ""
        return " or ".join(filter(None, (seeds, images))) or "neither repeats nor test images alone"


def undecided(contrasts: Sequence[Contrast]) -> list[Undecided]:
    """Return what is undecided, the largest differences first."""
    found = [Undecided(c, d) for c in contrasts for d in c.differences if d.verdict == "undecided"]
    return sorted(found, key=lambda each: -abs(each.difference.value))
