"""The charts of the analyses and of survival: clouds and distances of datasets, layers, risk groups."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from grid.report.analyses import Layers, Modality
from grid.report.charts import Chart, Line, LineChart
from grid.report.paper_charts import by_target, colours
from grid.report.plane_charts import Cloud, HeatChart, ScatterChart
from grid.results.cells import Cell
from grid.results.display import BACKBONES
from grid.results.stored_space import StoredSpace
from grid.space.trials import RANDOM
from medpt.specs import NO_NETWORK

CURVES = "curves.json"  # of a survival model: Kaplan-Meier curves of its risk groups
DAYS = 365.25  # of a year


def distances(modality: Modality) -> list[Chart]:
    """Draw the clouds of each init's first network, and average cmd of every pair of datasets."""
    found = modality.found
    if found is None:
        return []
    clouds = [_scatter(modality, init, networks[0]) for init, networks in found.coordinates.items()]
    values = tuple(tuple(row) for row in found.average.tolist())
    note = "the nearer, the stronger the colour (logarithmic scale)"
    return [*clouds, HeatChart("Average cmd of two datasets", note, "", found.names, values)]


def _scatter(modality: Modality, init: str, clouds: np.ndarray) -> Chart:
    """`clouds` (D, t, 2) are the points of each dataset."""
    numbers = {name: n for n, name in enumerate(dict.fromkeys(modality.modalities), start=1)}
    names = modality.found.names if modality.found else ()
    drawn = tuple(
        Cloud(name, kind, numbers[kind], *map(tuple, cloud.T.tolist()))
        for name, kind, cloud in zip(names, modality.modalities, clouds, strict=True)
    )
    note = "first network; each point is a subset of a dataset"
    return ScatterChart(init.capitalize(), note, "first output", "second output", drawn)


def layer_charts(layers: Sequence[Layers]) -> list[Chart]:
    """Draw SVCCA over the layers of each backbone, a line for each source."""
    numbers = colours(entry.source for entry in layers)
    backbones = dict.fromkeys(entry.backbone for entry in layers)
    return [_layers([e for e in layers if e.backbone == backbone], numbers) for backbone in backbones]


def _layers(layers: list[Layers], numbers: Mapping[str, int]) -> Chart:
    longest = max(layers, key=lambda entry: len(entry.names)).names
    floor = np.max([entry.floor for entry in layers if entry.names == longest], axis=0)
    stages: dict[str, list[int]] = {}
    for place, name in enumerate(longest):
        stages.setdefault(name.split(".")[0], []).append(place)
    lines = [_over_layers(e.label, numbers[e.source], e.similarity, "curve") for e in layers]
    return LineChart(
        f"SVCCA before and after pre-training, {BACKBONES.get(layers[0].backbone, layers[0].backbone)}",
        "1: changed by a linear map only",
        "layer",
        "mean canonical correlation",
        (*lines, _over_layers("unrelated networks", 0, floor, "floor")),
        tuple((sum(places) / len(places), stage) for stage, places in stages.items()),
        y_range=(0.0, 1.02),
    )


def _over_layers(name: str, number: int, values: np.ndarray, style: Any) -> Line:
    known = [(float(n), float(value)) for n, value in enumerate(values) if math.isfinite(value)]
    x, y = zip(*known, strict=True) if known else ((), ())
    return Line(name, number, x, y, style)


def risk_groups(cells: Sequence[Cell], stored: StoredSpace, numbers: Mapping[str, int]) -> list[Chart]:
    """Draw a chart for each cohort and model: its best initialization and random weights.

    The curves are of the first finished seed, which is one split of the patients.
    """
    charts = (_risk_groups(group, stored, numbers) for group in by_target(cells))
    return [chart for chart in charts if chart]


def _risk_groups(group: list[Cell], stored: StoredSpace, numbers: Mapping[str, int]) -> Chart | None:
    trained = [cell for cell in group if cell.key.initialization != RANDOM]
    best = max(trained, key=lambda cell: cell.mean, default=None)
    shown = [cell for cell in group if cell is best or cell.key.initialization == RANDOM]
    saved = [(cell, stored.json(cell.digests[min(cell.digests)], CURVES)) for cell in shown]
    known = [(cell, curves) for cell, curves in saved if curves]
    if not known:
        return None
    lines = [
        _kaplan_meier(f"{_name(cell)}, {side} risk", numbers[cell.label], curves[side], side == "high")
        for cell, curves in known
        for side in ("low", "high")
    ]
    note, cell = "; ".join(f"{_name(cell)} {_p(curves)}" for cell, curves in known), known[0][0]
    return LineChart(
        f"{cell.key.target}, {cell.network}",
        f"{note}; seed {min(cell.digests).seed}",
        "years",
        "survival probability",
        tuple(lines),
        y_range=(0.0, 1.02),
    )


def _kaplan_meier(name: str, number: int, curve: Mapping[str, Sequence[float]], high: bool) -> Line:
    years = (0.0, *(time / DAYS for time in curve["time"]))
    return Line(name, number, years, (1.0, *curve["survival"]), "steps", dashed=high)


def _name(cell: Cell) -> str:
    return "no network" if cell.key.initialization == NO_NETWORK else cell.label


def _p(curves: Mapping[str, Any]) -> str:
    p = curves["logrank_p"]
    if p is None or not math.isfinite(p):
        return "no log-rank test"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
