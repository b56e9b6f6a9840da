"""The charts of Figures 2 and 6a: clouds of coordinates, a heat map of distances, similarity over layers."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from grid.report.analyses import Layers, Modality
from grid.report.charts.panels import label, ticks
from grid.report.charts.strokes import Box, Chart, Dots, Stroke, Tile, Word, around

TILE, NAMES = 22.0, 92.0  # pixels of a heat map's tile, and of the names beside it
LETTER, LINE = 5.4, 10.0  # pixels that a letter and a line of a name take
SIDE = 300.0  # of a scatter


def modality_colours(modality: Modality) -> dict[str, int]:
    return {name: n for n, name in enumerate(dict.fromkeys(modality.modalities), start=1)}


def scatters(modality: Modality) -> list[Chart]:
    """cmv: a chart an init, of its first network; a colour a modality."""
    found = modality.found
    if found is None:
        return []
    return [_scatter(modality, init, clouds[0]) for init, clouds in found.coordinates.items()]


def _scatter(modality: Modality, init: str, clouds: np.ndarray) -> Chart:
    """clouds: (D, t, 2)."""
    assert modality.found is not None  # noqa: S101 - for the type checker
    span = 1e-3 * float(np.ptp(clouds)) + 1e-12
    across, up = (around(clouds[..., axis].ravel().tolist(), span) for axis in (0, 1))
    box = Box(across, up, height=SIDE, bottom=24)
    numbers = modality_colours(modality)
    dots = [
        Dots(tuple(box.place(*point) for point in cloud.tolist()), numbers[kind], "cloud", f"{name} ({kind})")
        for name, kind, cloud in zip(modality.found.names, modality.modalities, clouds, strict=True)
    ]
    middles = [
        (name, *box.place(*cloud.mean(axis=0)))
        for name, cloud in zip(modality.found.names, clouds, strict=True)
    ]
    return Chart(
        init.capitalize(),
        "first network, a point a subset",
        height=SIDE,
        bottom=24,
        x=tuple((box.across(value), label(value)) for value in ticks(*box.x)),
        y=tuple((box.up(value), label(value)) for value in ticks(*box.y)),
        dots=tuple(dots),
        strokes=tuple(Stroke((), number, "mean", kind) for kind, number in numbers.items()),  # the legend
        words=tuple(free_words(middles, box.width)),
    )


def free_words(places: Iterable[tuple[str, float, float]], width: float) -> list[Word]:
    """A name above each place, but not where it would cover one before it; the tooltips have all."""
    words: list[Word] = []
    for name, x, y in places:
        half = LETTER * len(name) / 2
        middle = min(max(x, half), width - half)
        taken = any(
            abs(word.x - middle) < half + LETTER * len(word.text) / 2 and abs(word.y - y + 6) < LINE
            for word in words
        )
        if not taken:
            words.append(Word(round(middle, 1), round(y - 6, 1), name, "middle", strong=True))
    return words


def heat_map(modality: Modality) -> Chart | None:
    """Average cmd of every pair; the deeper its colour the nearer, on a logarithmic scale."""
    found = modality.found
    if found is None:
        return None
    names, values = found.names, np.log(np.maximum(found.average, 1e-12))
    low, high = float(values.min()), max(float(values.max()), float(values.min()) + 1e-9)
    tiles = [
        Tile(
            NAMES + TILE * column,
            TILE * row,
            TILE - 1,
            round(1 - (float(values[row, column]) - low) / (high - low), 3),
            _two_digits(float(found.average[row, column])),
            f"{names[row]} – {names[column]}: {found.average[row, column]:.3g}",
        )
        for row in range(len(names))
        for column in range(len(names))
    ]
    side = TILE * len(names)
    words = [Word(NAMES - 6, TILE * (n + 0.5) + 3.5, name, "end") for n, name in enumerate(names)]
    words += [
        Word(NAMES + TILE * (n + 0.5) + 3.5, side + 6, name, "end", turned=True)
        for n, name in enumerate(names)
    ]
    return Chart(
        "Average cmd",
        "the deeper the colour, the nearer",
        width=NAMES + side,
        height=side + NAMES,
        bottom=NAMES,
        left=NAMES,
        tiles=tuple(tiles),
        words=tuple(words),
    )


def _two_digits(value: float) -> str:
    return f"{value:.1f}" if value < 9.95 else f"{value:.0f}"


def layer_chart(layers: Sequence[Layers], colours: dict[str, int]) -> Chart:
    """SVCCA of one backbone: a line a source over its layers, the lowest floor of all below them."""
    longest = max(layers, key=lambda entry: len(entry.names))
    box = Box((0, max(len(longest.names) - 1, 1)), (0.0, 1.0), width=680, height=300)

    def line(values: np.ndarray) -> tuple[tuple[float, float], ...]:
        return tuple(box.place(n, float(v)) for n, v in enumerate(values) if math.isfinite(v))

    strokes = [
        Stroke(line(entry.similarity), colours[entry.source], "mean", entry.source) for entry in layers
    ]
    floor = np.max([entry.floor for entry in layers if entry.names == longest.names], axis=0)
    stages = {name.split(".")[0]: n for n, name in reversed(list(enumerate(longest.names)))}
    return Chart(
        "SVCCA before and after pre-training",
        "1: nothing moved but by a linear map; dotted: unrelated networks",
        "layer",
        width=box.width,
        height=box.height,
        x=tuple((box.across(n), stage) for stage, n in reversed(stages.items())),
        y=tuple((box.up(value), label(value)) for value in ticks(*box.y, most=6)),
        strokes=(*strokes, Stroke(line(floor), 0, "floor", "unrelated networks")),
    )
