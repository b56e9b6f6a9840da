"""The geometry of a report's figures; the page's template draws it, in the page's own colours and type.

Learning curves are polylines in a box of WIDTH x HEIGHT; differences to random are places on a line, in per
cent of its width.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from grid.results.cells import Cell, Column
from grid.space.trials import IMAGENET, RANDOM

WIDTH, HEIGHT = 340.0, 210.0
LEFT, RIGHT, TOP, BOTTOM = 34.0, 10.0, 10.0, 24.0
POINTS = 60  # of a line: more cannot be seen at this size
COLOURS = 9  # that the page's style sheet knows beside random's
PAPERS_SIZE = "-20k"
PINNED = {
    RANDOM: 0,
    IMAGENET: 1,
    "CheXpert": 2,
    "ADE20K": 3,
    "EyePACS": 4,
    "CHAOS-CT": 5,
    "CHAOS-MRI": 6,
    "REFUGE-OD": 7,
    "SS-Jigsaw": 8,
    "SS-Context": 9,
    "M6-CLS": 8,  # the paper shows no collection beside a method without labels
    "M6-SEG": 9,
    "ImageNet": 1 + COLOURS,
    "ADE20K-Seg": 3 + COLOURS,
    "M3-CLS": 8 + COLOURS,
    "M3-SEG": 9 + COLOURS,
}

History = Callable[[str], list[dict[str, float]]]  # the rows of a fine-tuning by its digest
Line = tuple[NDArray[np.float64], NDArray[np.float64]]  # steps, values in per cent
Tick = tuple[float, str]  # place, text


@dataclass(frozen=True)
class Curve:
    """The points of polylines: one a seed, and their mean where all seeds were still training."""

    initialization: str
    colour: int
    seeds: list[str]
    mean: str

    @property
    def lone(self) -> tuple[str, ...]:
        """The place of a mean that is one evaluation, of which no line can be drawn; else empty."""
        return tuple(self.mean.split(",")) if len(self.mean.split()) == 1 else ()


@dataclass(frozen=True)
class Panel:
    network: str
    column: Column
    metric: str
    x: list[Tick]
    y: list[Tick]
    curves: list[Curve]


@dataclass(frozen=True)
class Strip:
    """One initialization: its mean and seeds as (place in per cent, what it says)."""

    initialization: str
    colour: int
    n: int
    planned: int
    mean: Tick
    seeds: list[Tick]


@dataclass(frozen=True)
class DotPlot:
    column: Column
    metric: str
    zero: float
    ticks: list[Tick]
    groups: list[tuple[str, list[Strip]]]


def colours(names: Iterable[str]) -> dict[str, int]:
    """A number for each initialization: 0 for random, the paper's sources always the same, others from 1 on.

    Above COLOURS the same colours come again, dashed.
    """
    wanted = list(dict.fromkeys([RANDOM, *names]))
    found = {name: PINNED[plain] for name in wanted if (plain := name.removesuffix(PAPERS_SIZE)) in PINNED}
    free = (number for number in count(1) if number not in found.values())
    return {name: found[name] if name in found else next(free) for name in wanted}


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) from low to high, at most `most`."""
    span = max(high - low, 1e-9)
    exponent = math.floor(math.log10(span / most))
    steps = [base * 10.0**power for power in (exponent, exponent + 1) for base in (1, 2, 5)]
    step = next(step for step in steps if span / step <= most - 1 + 1e-9)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def label(value: float) -> str:
    """12000 as 12k, 0.50 as 0.5."""
    return f"{value / 1000:g}k" if abs(value) >= 10_000 else f"{value + 0:.6g}"


def signed(value: float) -> str:
    """`+1.30`, `−0.42` with a true minus sign, and `0.00` without any."""
    text = f"{value:+.2f}".replace("-", "−")
    return "0.00" if text[1:] == "0.00" else text


def panels(cells: Sequence[Cell], history: History, most: int) -> list[Panel]:
    """Validation metric against step, one panel a target and network with any curve, at most `most`."""
    numbers = colours(cell.label for cell in cells)
    groups: dict[tuple[Column, str], list[Cell]] = {}
    for cell in cells:
        if cell.metric != "c_index":  # survival models record no curve
            groups.setdefault((cell.column, cell.network), []).append(cell)
    columns = dict.fromkeys(column for column, _ in groups)
    found: list[Panel] = []
    for _, group in sorted(groups.items(), key=lambda item: list(columns).index(item[0][0])):
        lines = {cell.label: list(_lines(cell, history)) for cell in group}
        if any(lines.values()) and len(found) < most:
            found.append(_panel(group[0], lines, numbers))
    return found


def _lines(cell: Cell, history: History) -> Iterable[Line]:
    for digest in cell.digests.values():
        name = f"val_{cell.metric}"
        rows = [(row["step"], 100 * row[name]) for row in history(digest) if name in row]
        if rows:
            steps, values = np.array(rows, dtype=float).T
            yield steps, values


def _panel(cell: Cell, lines: dict[str, list[Line]], numbers: dict[str, int]) -> Panel:
    every = [line for group in lines.values() for line in group]
    last = max(steps[-1] for steps, _ in every)
    low, high = min(values.min() for _, values in every), max(values.max() for _, values in every)
    low, high = (low - 0.5, high + 0.5) if high - low < 1 else (low, high)

    def x(step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * step / last

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - low) / (high - low)

    def polyline(line: Line) -> str:
        return " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in zip(*thinned(line), strict=True))

    return Panel(
        cell.network,
        cell.column,
        cell.metric,
        [(x(tick), label(tick)) for tick in ticks(0, last)],
        [(y(tick), label(tick)) for tick in ticks(low, high)],
        [
            Curve(name, numbers[name], [polyline(line) for line in group], polyline(average(group)))
            for name, group in lines.items()
            if group
        ],
    )


def thinned(line: Line) -> Line:
    """At most POINTS points of a line, its first and last among them."""
    kept = np.unique(np.linspace(0, len(line[0]) - 1, POINTS).round().astype(int))
    return line[0][kept], line[1][kept]


def average(lines: Sequence[Line]) -> Line:
    """The mean of lines over the steps that all of them cover; seeds that stopped early end it.

    Steps that a line does not have are interpolated.
    """
    first, last = max(steps[0] for steps, _ in lines), min(steps[-1] for steps, _ in lines)
    every = np.unique(np.concatenate([steps for steps, _ in lines]))
    steps = every[(every >= first) & (every <= last)]
    return steps, np.mean([np.interp(steps, *line) for line in lines], axis=0)


def dot_plots(cells: Sequence[Cell]) -> list[DotPlot]:
    """Each target's differences to the mean of random weights of the same network, in points.

    Networks whose random weights have no finished seed are left out.
    """
    numbers = colours(cell.label for cell in cells)
    columns: dict[Column, dict[str, list[Cell]]] = {}
    for cell in cells:
        columns.setdefault(cell.column, {}).setdefault(cell.network, []).append(cell)
    return [plot for networks in columns.values() if (plot := _dot_plot(networks, numbers))]


def _dot_plot(networks: dict[str, list[Cell]], numbers: dict[str, int]) -> DotPlot | None:
    base = {
        name: cell.mean
        for name, group in networks.items()
        for cell in group
        if cell.key.initialization == RANDOM
    }
    groups = {
        name: [cell for cell in group if cell.n]
        for name, group in networks.items()
        if not math.isnan(base.get(name, math.nan))
    }
    shifts = [
        value - base[name]
        for name, group in groups.items()
        for cell in group
        for value in cell.values.values()
    ]
    if not shifts or all(cell.key.initialization == RANDOM for group in groups.values() for cell in group):
        return None
    margin = max(0.06 * (max(shifts) - min(shifts)), 0.05)
    low, high = min(shifts) - margin, max(shifts) + margin

    def place(shift: float) -> float:
        return round(100 * (shift - low) / (high - low), 2)

    def strip(cell: Cell, zero: float) -> Strip:
        seeds = [
            (place(value - zero), f"seed {repeat.seed}: {value:.2f} ({signed(value - zero)})")
            for repeat, value in sorted(cell.values.items())
        ]
        mean = (place(cell.mean - zero), signed(cell.mean - zero))
        return Strip(cell.label, numbers[cell.label], cell.n, cell.planned, mean, seeds)

    first = next(iter(networks.values()))[0]
    strips = [(name, [strip(cell, base[name]) for cell in group]) for name, group in groups.items()]
    marks = [(place(tick), f"{tick:+.6g}".replace("-", "−") if tick else "0") for tick in ticks(low, high)]
    return DotPlot(first.column, first.metric, place(0), marks, strips)
