"""The paper's tables and figures that a space fills, each as a section of its report; and the claims."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grid.claims import verdicts
from grid.claims.verdicts import Verdict
from grid.report import analyses, survival, trial_section
from grid.report.analyses import FilterSets, Modality, Similarities
from grid.report.charts import analysis_charts, panels
from grid.report.charts import strokes as charts
from grid.report.charts.strokes import Chart, Stroke
from grid.report.paper_items import PAPER_ITEMS, PaperItem
from grid.report.survival import Cohort
from grid.report.tables import Cell, cells
from grid.report.trial_section import Trials
from grid.results.stored_space import StoredSpace
from medpt.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Survival:
    """`curves` are of the risk groups."""

    trials: Trials
    curves: list[Chart]


Content = Trials | Survival | Modality | Similarities | FilterSets | list[Cohort]


@dataclass(frozen=True)
class Section:
    """`key` names its place on the page and its files; `charts` are what its PDF shows."""

    place: PaperItem
    key: str
    content: Content
    charts: list[Chart]

    @property
    def legend(self) -> list[Stroke]:
        return charts.legend(self.charts)

    @property
    def drawn(self) -> bool:
        return bool(self.charts)


@dataclass(frozen=True)
class Judged:
    """A claim on the paper's own numbers and on ours; None where ours could not be judged."""

    paper: Verdict
    ours: Verdict | None

    @property
    def has_cells(self) -> bool:
        return self.ours is not None and self.ours.total > 0


def build_sections(
    frame: "pd.DataFrame", evidence: StoredSpace, remarks: Mapping[str, str], cohorts: list[Cohort]
) -> list[Section]:
    """The sections that the plan has anything for, in the paper's order.

    `frame` is what grid.tables.cells takes; a section's cells are of its own experiments alone.
    """
    found = []
    for place in PAPER_ITEMS:
        if place.kind in ("trials", "survival"):
            own = frame[belong_to(frame, [place])]
            found += [_trained(place, cells(own), evidence, remarks)] if len(own) else []
        elif place.kind == "cohorts":
            found += [Section(place, place.key, cohorts, [])] if cohorts else []
        else:
            found += _analysed(place, evidence)
    return found


def belong_to(frame: "pd.DataFrame", places: Sequence[PaperItem]) -> list[bool]:
    """Which trials belong to any of the places."""
    pairs = list(zip(frame["experiment"], frame["target"], strict=True))
    known = {pair: any(place.holds(*pair) for place in places) for pair in set(pairs)}
    return [known[pair] for pair in pairs]


def _trained(place: PaperItem, own: list[Cell], evidence: StoredSpace, remarks: Mapping[str, str]) -> Section:
    content = trial_section.trials(place, own, remarks, evidence.history)
    if place.kind == "survival":
        curves = survival.curves(own, evidence, content.colours)
        return Section(place, place.key, Survival(content, curves), curves)
    curves = [charts.from_panel(panel) for panel in content.panels]
    return Section(place, place.key, content, [*content.charts, *curves])


def _analysed(place: PaperItem, evidence: StoredSpace) -> list[Section]:
    groups = analyses.entries(evidence, place.kind)
    if place.kind == "cmd":
        return [
            Section(place, place.key + (f"-{n}" if n > 1 else ""), content, _modality_charts(content))
            for n, content in enumerate((analyses.modality(evidence, group) for group in groups), start=1)
        ]
    digests = list(dict.fromkeys(digest for group in groups for digest in group))
    if not digests:
        return []
    if place.kind == "svcca":
        similar = analyses.similarities(evidence, digests)
        return [Section(place, place.key, similar, layer_charts(similar))]
    return [Section(place, place.key, analyses.filter_sets(evidence, digests), [])]


def _modality_charts(modality: Modality) -> list[Chart]:
    heat = analysis_charts.heat_map(modality)
    return [*analysis_charts.scatters(modality), *([heat] if heat else [])]


def layer_charts(found: Similarities) -> list[Chart]:
    """One a backbone."""
    colours = panels.colours(entry.source for entry in found.layers)
    backbones = dict.fromkeys(entry.backbone for entry in found.layers)
    return [
        analysis_charts.layer_chart([e for e in found.layers if e.backbone == backbone], colours)
        for backbone in backbones
    ]


def frames(
    modalities: Sequence[Modality], layers: Sequence[Similarities], filters: Sequence[FilterSets]
) -> "dict[str, pd.DataFrame]":
    """What grid.claims.verdicts asks for, of the ResNet-18 that the paper looked at."""
    import pandas as pd

    cmd = [
        {"a": a, "b": b, "cmd": entry.between(a, b)}
        for entry in modalities
        if entry.found
        for n, a in enumerate(entry.found.names)
        for b in entry.found.names[n + 1 :]
    ]
    svcca = [
        {"source": entry.source, "layer": name, "similarity": float(value)}
        for group in layers
        for entry in group.layers
        if entry.backbone == "resnet18"
        for name, value in zip(entry.names, entry.similarity, strict=True)
    ]
    gabor = [
        {"source": entry.source, "filter": number, "score": float(value)}
        for group in filters
        for entry in group.sets
        if entry.backbone == "resnet18"
        for number, value in enumerate(entry.gabors)
    ]
    known = {"cmd": cmd, "svcca": svcca, "gabor": gabor}
    return {name: pd.DataFrame(rows) for name, rows in known.items() if rows}


def judge_claims(frame: "pd.DataFrame", found: Sequence[Section], evidence: StoredSpace) -> list[Judged]:
    """The paper's claims; those on our numbers where trials of one protocol are at hand, else a gap."""
    kinds: tuple[type, ...] = (Modality, Similarities, FilterSets)
    parts = ([section.content for section in found if isinstance(section.content, k)] for k in kinds)
    try:
        ours = verdicts.judge(frame if len(frame) else None, frames(*parts))  # type: ignore[arg-type]
    except InputError as error:
        evidence.gaps += [f"the claims: {problem}" for problem in error.problems]
        return [Judged(verdict, None) for verdict in verdicts.paper()]
    return [Judged(*pair) for pair in zip(verdicts.paper(), ours, strict=True)]
