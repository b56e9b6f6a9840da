"""One self-contained page on a space, and its tables as CSV and LaTeX.

Everything in it is computed from MLflow's record, the plan and the store's artifacts; what is not there is
named. It runs no training code and loads nothing from the network.
"""

from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grid import package_data
from grid.claims import statements
from grid.report import (
    analyses,
    chart_files,
    charts,
    decisions,
    downloads,
    export,
    findings,
    gain_map,
    images,
    item_charts,
    learning_curves,
    markdown,
    paper_charts,
    provenance,
    ranked_images,
    sections,
    shared_data,
    sharing,
    spent,
    survival,
    tables,
    test_sets,
    trial_section,
    variance_parts,
)
from grid.report.chart_files import Figures
from grid.report.figure_files import Drawing, drawing
from grid.report.paper_items import PAPER_ITEMS
from grid.report.sharing import Sharing
from grid.report.tables import Contrast
from grid.report.trial_section import Facts
from grid.results import answer, standings
from grid.results import frame as results
from grid.results.answer_text import describe
from grid.results.cells import Cell, Column, find_cells
from grid.results.display import BACKBONES, METRIC_NAMES, column_name, format_cell
from grid.results.groups import compared_groups
from grid.results.stored_space import StoredSpace
from grid.store.store import Store
from medpt import cli, files
from medpt.data.catalog import card
from medpt.grouping import grouped

if TYPE_CHECKING:
    import pandas as pd

TEMPLATES = package_data.folder("reports") / "templates"
PAGE = "index.html"
MOST_GALLERIES = 8  # of each kind
FIGURES = ("gain_map", "gain", "images", "curves", "source_curves")
MOST = {  # lines of a list on the page; the rest is counted or a table
    "headlines": 8,
    "sentences": 12,
    "failures": 200,
    "comparisons": 60,  # of one part of a claim
    "leaks": 100,  # images excluded, of each pair of datasets
    "charts": paper_charts.MOST_GROUPS,
    "curves": learning_curves.MOST_GROUPS,
    "tested": item_charts.MOST_GROUPS,
}
SHOWN = {  # what the templates call
    "most": MOST,
    "tables": tables,
    "column_name": column_name,
    "format_cell": format_cell,
    "BACKBONES": BACKBONES,
    "METRIC_NAMES": METRIC_NAMES,
    "COLOURS": charts.COLOURS,
    "palette_css": chart_files.palette_css,
    "findings": findings,
    "count": cli.count,
    "describe": describe,
    "overlaps": shared_data,
    "pictures": images,
    "analyses": analyses,
}


def build(space: str, out: str | Path, tracking_uri: str | None = None, images: bool | None = None) -> Path:
    """Write <out>/reports/<space>/ (beside the copies, where `out` is a bucket) and return the page's path.

    index.html holds everything, report.md the answers and their tables. Tables and charts are also files:
    table.csv, table.tex, trials.csv and what export.paper_tables names. `images` says whether pixels
    and file names of the data are shown; by default where the datasets' cards allow to share them. Each file
    appears by atomic replacement, the page last. Raises InputError where the space was never run.
    """
    stored = StoredSpace(results.read_plan(space, out), Store(out))
    frame = results.trials_frame(stored.plan, tracking_uri or results.own_tracker(out), stored.store)
    stored.warnings += [*frame.attrs["warnings"], *frame.attrs.get("selections", ())]
    frame["state"] = [stored.state(*pair) for pair in zip(frame["digest"], frame["status"], strict=True)]
    folder = stored.store.root / "reports" / stored.plan.space
    with drawing(folder) as drawn:
        content = page(frame, trial_section.facts(frame, tracking_uri), stored, images, drawn)
        for name, data in content["files"].items():
            files.write_bytes(folder / name, data)
        summary = render(content | markdown.context(content["all_cells"]), markdown.TEMPLATE)
        files.write_text(folder / markdown.FILE, summary)
        text = render(content)
    files.write_text(folder / PAGE, text)
    return folder / PAGE


def background_floors(frame: "pd.DataFrame") -> dict[Column, float]:
    """The mean IoU, in per cent, of answering background everywhere; a fact of each target's test set."""
    floors: dict[Column, float] = {}
    if "background_miou" in frame.columns:
        known = frame.dropna(subset=["background_miou"])
        columns = zip(known["target"], known["target_size"], known["background_miou"], strict=True)
        floors = {(target, float(size)): 100 * float(value) for target, size, value in columns}
    return floors


def page(
    frame: "pd.DataFrame", facts: Facts, stored: StoredSpace, shows_images: bool | None, drawn: Drawing
) -> dict[str, Any]:
    """Return all that templates show; charts are drawn meanwhile. `warnings` come last, when all is read."""
    cells, floors = find_cells(frame), background_floors(frame)
    data, cohorts = provenance.datasets(stored), survival.cohorts(stored)
    notes = provenance.notes(data) | survival.notes(cohorts, stored)
    synthetic = sorted(name for name, note in notes.items() if note == provenance.SYNTHETIC)
    slides = [card(cohort.dataset, stored.plan.cards) for cohort in cohorts]
    shared = sharing.sharing(shows_images, data, slides, synthetic)
    of_paper = sections.build_sections(frame, stored, notes, cohorts)
    contrasts = tables.contrasts(cells)
    found = standings.standings(cells, frame.attrs.get("controls", ()))
    stored.warnings += [text for each in found for text in each.warnings()]
    rest = _outside_paper(frame, cells)
    charted = _results(rest, stored, contrasts, provenance.classes(data))
    drawn.start([*(charted[key] for key in FIGURES), *(section.figures for section in of_paper)])
    judged = sections.judge_claims(frame, of_paper, stored) if of_paper else []
    origin = downloads.origin(stored, frame.attrs["commits"], needs_data=not synthetic)
    others = test_sets.scores(frame)
    written = _tables(frame, cells, floors, shared) | test_sets.files(others)
    written |= downloads.sources(stored, data, origin)
    written |= export.paper_tables(of_paper, judged, facts, floors)
    return {
        "floors": floors,
        "facts": facts,
        **_summary(frame, cells, contrasts, stored),
        "test_sets": test_sets.tables(others),
        "synthetic": synthetic,
        "sections": of_paper,
        "judged": judged,
        "files": written,
        "download": partial(downloads.link, written),
        "origin": origin,
        "sharing": shared,
        "errata": statements.errata(),
        "svg": drawn.svg,
        **charted,
        "standings": found,
        "compared": provenance.comparisons(rest, notes),
        **_pictures(cells, contrasts, data, stored, shared),
        **_work(cells, stored, spent.spent(stored, data, cohorts, synthetic)),
        "data": data,
        "warnings": list(dict.fromkeys(stored.warnings)),
    }


def _outside_paper(frame: "pd.DataFrame", cells: list[Cell]) -> list[Cell]:
    """Return the cells of the trials that no table or figure of the paper has."""
    own = sections.belong_to(frame, PAPER_ITEMS)
    return find_cells(frame[[not each for each in own]]) if any(own) else cells


def _pictures(
    cells: list[Cell],
    contrasts: list[Contrast],
    data: list[provenance.Data],
    stored: StoredSpace,
    shared: Sharing,
) -> dict[str, Any]:
    """Return examples and test images with predictions, of the datasets whose images may be shown."""
    shown = [cell for cell in cells if shared.shows(cell.key.target)]
    compared = [each for each in contrasts if each.best and shared.shows(each.best.key.target)]
    return {
        "galleries": images.galleries(shown, stored.artifact, MOST_GALLERIES),
        "rankings": ranked_images.rankings(compared, stored, MOST_GALLERIES),
        "examples": images.examples_of([e for e in data if shared.shows(e.card.name)], stored),
    }


def _tables(
    frame: "pd.DataFrame", cells: list[Cell], floors: dict[Column, float], shared: Sharing
) -> dict[str, bytes]:
    """The tables of all cells and trials by name of the file, without this machine's paths."""
    hidden = [name for name in frame.columns if name.startswith("items")]
    hidden += [] if shared.everything else ["failure"]
    trials = frame.drop(columns=hidden, errors="ignore").map(cli.spreadsheet_cell)
    return {
        "table.csv": export.to_csv(cells).encode(),
        "table.tex": export.to_latex(cells, floors).encode(),
        "trials.csv": trials.to_csv(index=False).encode(),
    }


def _summary(
    frame: "pd.DataFrame", cells: list[Cell], contrasts: list[Contrast], stored: StoredSpace
) -> dict[str, Any]:
    """What the head of the page and its answer show."""
    states = Counter(frame.drop_duplicates("digest")["state"])
    return {
        "all_cells": cells,
        "plan": stored.plan,
        "states": states,
        "last_result": stored.last_result(),
        "failures": stored.failures(reported(frame)),
        "coverage": findings.coverage(states, len(frame), analyses.finished(stored)),
        "larger_space": provenance.larger_space(stored.plan),
        "overview": findings.answer(contrasts),
        "contrasts": contrasts,
        "unmapped": max(0, len({c.network for c in contrasts if c.differences}) - gain_map.MOST_MAPS),
        "open_questions": gain_map.undecided(contrasts),
        "parts": variance_parts.variance_parts(contrasts, compared_groups(cells)),
        "answers": grouped(answer.answers(frame), lambda each: each.target),
    }


def _results(
    cells: list[Cell], stored: StoredSpace, contrasts: list[Contrast], classes: dict[str, tuple[str, ...]]
) -> dict[str, Any]:
    """The cells of experiments outside the paper, and all charts but those of the paper's sections."""
    shown = [cell for contrast in contrasts for cell in (contrast.best, contrast.random) if cell]
    sources = (learning_curves.source_name(source.label) for source in stored.sources())
    colours = paper_charts.colours([*(cell.label for cell in [*cells, *shown]), *sources])
    known = {d.cell.key: d for contrast in contrasts for d in contrast.differences}
    return {
        "cells": cells,
        "colours": colours,
        "gain_map": Figures("gain-map", gain_map.gain_maps(contrasts)),
        "gain": Figures("gain", paper_charts.gains(cells, colours, known)),
        "images": Figures("images", item_charts.item_charts(contrasts, colours, classes)),
        "curves": Figures("curves", learning_curves.of_fine_tunings(cells, stored.history, colours)),
        "source_curves": Figures("source-curves", learning_curves.of_pretrainings(stored, colours)),
        "groups": len(paper_charts.networks(cells)),
    }


def _work(cells: list[Cell], stored: StoredSpace, took: list[spent.Spent]) -> dict[str, Any]:
    """What trials share: pre-trainings, images and classes; and the settings of all."""
    sources = stored.sources()
    return {
        "sources": sources,
        "needed": sum(source.users for source in sources),
        "doubts": findings.doubts(stored.learned()),
        "decoders": stored.decoders(),
        "spent": took,
        "shared_images": shared_data.compared(stored),
        "shared_classes": shared_data.classes(stored),
        "own_copies": shared_data.own_copies(stored),
        "settings": provenance.settings(stored),
        "decisions": decisions.groups(stored),
        "weightings": provenance.weightings(cells, stored),
    }


def reported(frame: "pd.DataFrame") -> dict[str, str]:
    """MLflow's reasons by digest."""
    failed = frame[frame["status"] == "failed"]
    reasons = failed["failure"].fillna("no reason was recorded")
    return dict(zip(failed["digest"], reasons, strict=True))


def render(context: dict[str, Any], template: str = "report.html.j2") -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=template.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= SHOWN
    environment.filters["literal"] = markdown.literal
    return environment.get_template(template).render(context)
