"""Survival in a report: the cohorts beside the paper's Table 4, and the curves of predicted risk groups."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grid.claims import published
from grid.report import provenance
from grid.report.charts.panels import label, ticks
from grid.report.charts.strokes import Box, Chart, Stroke
from grid.report.provenance import SYNTHETIC
from grid.results.cells import Cell
from grid.results.stored_space import StoredSpace
from grid.space.trials import RANDOM
from medpt.errors import InputError
from medpt.specs import NO_NETWORK, Slides
from medpt.survival.patch_files import MANIFEST, CohortManifest

CURVES = "curves.json"
DAYS = 365.25  # of a year


@dataclass(frozen=True)
class Cohort:
    """`manifest` is None where its slides are not prepared."""

    digest: str
    dataset: str
    fingerprint: str
    manifest: CohortManifest | None

    @property
    def counts(self) -> list[tuple[str, int | None, str]]:
        """(row of Table 4, ours, the paper's as text); ours None where the cohort is not prepared."""
        paper = published.cohort_counts().get(self.dataset, {})
        ours = self.manifest.table4() if self.manifest else dict.fromkeys(paper)
        return [(name, count, paper.get(name, "–")) for name, count in ours.items()]

    @property
    def events(self) -> int:
        return sum(patient.event for patient in self.manifest.patients) if self.manifest else 0

    @property
    def left_out(self) -> list[str]:
        """Slides by name and reason, without the folder that they lie in."""
        told = (problem.partition(": ") for problem in (self.manifest.problems if self.manifest else ()))
        return [f"{Path(place).name}: {reason}" for place, _, reason in told]

    @property
    def refused(self) -> list[tuple[str, int]]:
        return sorted(self.manifest.refused().items(), key=lambda item: -item[1]) if self.manifest else []


def cohorts(stored: StoredSpace) -> list[Cohort]:
    found = []
    for unit, spec in stored.units_of(Slides):
        manifest = None
        if unit.digest in stored.finished:
            try:
                manifest = CohortManifest.read(stored.store.file(unit.digest, MANIFEST).parent)
            except InputError as error:
                stored.warnings += error.problems
        found.append(Cohort(unit.digest, spec.dataset, spec.fingerprint, manifest))
    return found


def notes(found: Sequence[Cohort], stored: StoredSpace) -> dict[str, str]:
    """Of each cohort, in what its data are not the owner's, as grid.provenance says it of datasets."""
    names = {cohort.dataset for cohort in found}
    made = provenance.phantom_fingerprints(stored.store.root, names)
    return {cohort.dataset: SYNTHETIC if cohort.fingerprint in made else "" for cohort in found}


def curves(cells: Sequence[Cell], stored: StoredSpace, colours: dict[str, int]) -> list[Chart]:
    """A chart a cohort and model: the risk groups of its best initialization and of random weights.

    Of the first finished seed, which is one split of the patients; a model without a network has one pair.
    """
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        if cell.n:
            groups.setdefault((cell.key.target, cell.network), []).append(cell)
    drawn = (_chart(group, stored, colours) for group in groups.values())
    return [chart for chart in drawn if chart]


def _chart(group: list[Cell], stored: StoredSpace, colours: dict[str, int]) -> Chart | None:
    trained = [cell for cell in group if cell.key.initialization != RANDOM]
    best = max(trained, key=lambda cell: cell.mean, default=None)
    shown = [cell for cell in group if cell is best or cell.key.initialization == RANDOM]
    saved = [(cell, stored.json(cell.digests[min(cell.digests)], CURVES)) for cell in shown]
    known = [(cell, groups) for cell, groups in saved if groups]
    if not known:
        return None
    last = max(max(groups[side]["time"]) for _, groups in known for side in ("low", "high")) / DAYS
    box = Box((0.0, max(last, 1e-6)), (0.0, 1.0))
    strokes = [
        Stroke(
            _steps(groups[side], box),
            colours[cell.label],
            "mean",
            f"{_name(cell)}, {side} risk",
            dashed=side == "high",
        )
        for cell, groups in known
        for side in ("low", "high")
    ]
    note = "; ".join(f"{_name(cell)} {_p(groups)}" for cell, groups in known)
    cell = known[0][0]
    return Chart(
        f"{cell.key.target}, {cell.network}",
        f"{note}; seed {min(cell.digests).seed}",
        "years",
        x=tuple((box.across(value), label(value)) for value in ticks(*box.x)),
        y=tuple((box.up(value), label(value)) for value in ticks(*box.y, most=6)),
        strokes=tuple(strokes),
    )


def _name(cell: Cell) -> str:
    return "no network" if cell.key.initialization == NO_NETWORK else cell.label


def _p(groups: dict[str, Any]) -> str:
    p = groups["logrank_p"]
    if p is None or not math.isfinite(p):
        return "no log-rank test"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _steps(curve: dict[str, Any], box: Box) -> tuple[tuple[float, float], ...]:
    """The staircase of a Kaplan-Meier curve."""
    points: list[tuple[float, float]] = []
    alive = 1.0
    for time, survival in zip(curve["time"], curve["survival"], strict=True):
        points += [box.place(time / DAYS, alive), box.place(time / DAYS, survival)]
        alive = survival
    return tuple(dict.fromkeys(points))
