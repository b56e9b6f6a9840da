"""The paper's tables and figures that a space fills, each as a section of its report; and the claims."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grid.claims import verdicts
from grid.claims.verdicts import Verdict
from grid.report import analyses, analysis_charts, trial_section
from grid.report.analyses import FilterSets, Modality, Similarities
from grid.report.chart_files import Figures
from grid.report.charts import Chart
from grid.report.paper_items import PAPER_ITEMS, PaperItem
from grid.report.survival import Cohort
from grid.report.trial_section import Trials
from grid.results.cells import CellKey, find_cells
from grid.results.comparisons import Interval, cell_intervals
from grid.results.groups import ComparedGroups, compared_groups
from grid.results.stored_space import StoredSpace
from medpt.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


FURTHER = ("c_index_ipcw", "integrated_brier")  # results of version 0.3.1 lack them


@dataclass(frozen=True)
class Survival:
    """`curves` are of the risk groups; `further` has the intervals of the metrics beside the C-index."""

    trials: Trials
    curves: list[Chart]
    further: Mapping[str, Mapping[CellKey, Interval]]


Content = Trials | Survival | Modality | Similarities | FilterSets | list[Cohort]


@dataclass(frozen=True)
class Section:
    """A table or figure of the paper from our results; the key of `figures` names its anchor and files."""

    item: PaperItem
    content: Content
    figures: Figures

    @property
    def key(self) -> str:
        return self.figures.key


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
    found, any_own = list[Section](), any(belong_to(frame, PAPER_ITEMS))
    groups = compared_groups(find_cells(frame)) if any_own else {}
    for item in PAPER_ITEMS:
        if item.kind in ("trials", "survival"):
            own = frame[belong_to(frame, [item])]
            found += [_trained(item, own, stored, notes, groups)] if len(own) else []
        elif item.kind == "cohorts":
            found += [_section(item, cohorts, [])] if cohorts else []
        else:
            found += _analysed(item, stored)
    return found


def belong_to(frame: "pd.DataFrame", items: Sequence[PaperItem]) -> list[bool]:
    """Which trials belong to any of the items."""
    pairs = list(zip(frame["experiment"], frame["task"], strict=True))
    known = {pair: any(item.holds(*pair) for item in items) for pair in set(pairs)}
    return [known[pair] for pair in pairs]


def _section(item: PaperItem, content: Content, charts: list[Chart], number: int = 1) -> Section:
    return Section(item, content, Figures(item.key + (f"-{number}" if number > 1 else ""), charts))


def _trained(
    item: PaperItem,
    frame: "pd.DataFrame",
    stored: StoredSpace,
    notes: Mapping[str, str],
    groups: ComparedGroups,
) -> Section:
    own = find_cells(frame)
    content = trial_section.trials(item, own, notes, stored.evaluations, groups)
    charts = [*content.charts, *content.gain_charts, *content.curves]
    if item.kind == "survival":
        curves = analysis_charts.risk_groups(own, stored, content.colours)
        return _section(item, Survival(content, curves, _further(frame)), [*charts, *curves])
    return _section(item, content, charts)


def _further(frame: "pd.DataFrame") -> dict[str, dict[CellKey, Interval]]:
    """Return the intervals of the metrics beside the C-index, where a trial has them."""
    known = [name for name in FURTHER if name in frame and frame[name].notna().any()]
    cells = {name: find_cells(frame, name) for name in known}
    return {name: cell_intervals(found, compared_groups(found)) for name, found in cells.items()}


def _analysed(item: PaperItem, stored: StoredSpace) -> list[Section]:
    groups = analyses.entries(stored, item.kind)
    if item.kind == "cmd":
        found = [analyses.modality(stored, group) for group in groups]
        return [_section(item, m, analysis_charts.distances(m), n) for n, m in enumerate(found, start=1)]
    digests = list(dict.fromkeys(digest for group in groups for digest in group))
    if not digests:
        return []
    if item.kind == "svcca":
        similar = analyses.similarities(stored, digests)
        return [_section(item, similar, analysis_charts.layer_charts(similar.layers))]
    return [_section(item, analyses.filter_sets(stored, digests), [])]


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
        {"source": entry.source, "layer": name, "pretrain_seed": entry.seed, "similarity": float(value)}
        for group in layers
        for entry in group.layers
        if entry.backbone == "resnet18"
        for name, value in zip(entry.names, entry.similarity, strict=True)
    ]
    gabor = [
        {
            "source": entry.source,
            "pretrain_seed": entry.seed,
            "filter": number,
            "score": float(value),
            "control": entry.metrics["gabor_control_after"],
        }
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
