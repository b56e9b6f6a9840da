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
from grid.report.trial_section import Trials
from grid.results.cells import Cell, find_cells
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
    """`key` names its anchor on the page and its files; `charts` are what its PDF shows."""

    item: PaperItem
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
    frame: "pd.DataFrame", stored: StoredSpace, notes: Mapping[str, str], cohorts: list[Cohort]
) -> list[Section]:
    """The sections that the plan has anything for, in the paper's order.

    `frame` is what find_cells takes; a section's cells are of its own experiments alone.
    """
    found = []
    for item in PAPER_ITEMS:
        if item.kind in ("trials", "survival"):
            own = frame[belong_to(frame, [item])]
            found += [_trained(item, find_cells(own), stored, notes)] if len(own) else []
        elif item.kind == "cohorts":
            found += [Section(item, item.key, cohorts, [])] if cohorts else []
        else:
            found += _analysed(item, stored)
    return found


def belong_to(frame: "pd.DataFrame", items: Sequence[PaperItem]) -> list[bool]:
    """Which trials belong to any of the items."""
    pairs = list(zip(frame["experiment"], frame["task"], strict=True))
    known = {pair: any(item.holds(*pair) for item in items) for pair in set(pairs)}
    return [known[pair] for pair in pairs]


def _trained(item: PaperItem, own: list[Cell], stored: StoredSpace, notes: Mapping[str, str]) -> Section:
    content = trial_section.trials(item, own, notes, stored.history)
    if item.kind == "survival":
        curves = survival.curves(own, stored, content.colours)
        return Section(item, item.key, Survival(content, curves), curves)
    curves = [charts.from_panel(panel) for panel in content.panels]
    return Section(item, item.key, content, [*content.charts, *curves])


def _analysed(item: PaperItem, stored: StoredSpace) -> list[Section]:
    groups = analyses.entries(stored, item.kind)
    if item.kind == "cmd":
        return [
            Section(item, item.key + (f"-{n}" if n > 1 else ""), content, _modality_charts(content))
            for n, content in enumerate((analyses.modality(stored, group) for group in groups), start=1)
        ]
    digests = list(dict.fromkeys(digest for group in groups for digest in group))
    if not digests:
        return []
    if item.kind == "svcca":
        similar = analyses.similarities(stored, digests)
        return [Section(item, item.key, similar, layer_charts(similar))]
    return [Section(item, item.key, analyses.filter_sets(stored, digests), [])]


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


def judge_claims(frame: "pd.DataFrame", found: Sequence[Section], stored: StoredSpace) -> list[Judged]:
    """The paper's claims; those on our numbers where trials of one protocol are at hand, else a gap."""
    kinds: tuple[type, ...] = (Modality, Similarities, FilterSets)
    parts = ([section.content for section in found if isinstance(section.content, k)] for k in kinds)
    try:
        ours = verdicts.judge(frame if len(frame) else None, frames(*parts))  # type: ignore[arg-type]
    except InputError as error:
        stored.warnings += [f"the claims: {problem}" for problem in error.problems]
        return [Judged(verdict, None) for verdict in verdicts.paper()]
    return [Judged(*pair) for pair in zip(verdicts.paper(), ours, strict=True)]
