"""One self-contained page on a space, and its tables as CSV and LaTeX.

Everything in it is computed from MLflow's record, the plan and the store's artifacts; what is not there is
named. It runs no training code and loads nothing from the network.
"""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grid import package_data
from grid.claims import statements
from grid.report import (
    analyses,
    decisions,
    export,
    findings,
    images,
    provenance,
    sections,
    shared_data,
    survival,
    tables,
    trial_section,
)
from grid.report.charts import panels, strokes
from grid.report.paper_items import PAPER_ITEMS
from grid.report.trial_section import Facts
from grid.results import frame as results
from grid.results.cells import Cell, Column, find_cells
from grid.results.display import BACKBONES, METRIC_NAMES, column_name, format_cell
from grid.results.stored_space import StoredSpace
from grid.store.store import Store
from medpt import files
from medpt.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

TEMPLATES = package_data.folder("reports") / "templates"
PAGE = "index.html"
MOST_SENTENCES = 12  # findings; more become a table
MOST_PANELS = 60  # learning curves; the rest is counted
MOST_GALLERIES = 12
MOST_EXAMPLES = 24  # datasets with example images
MOST_FAILURES = 200
MOST_COMPARISONS = 60  # of one part of a claim
MOST_LEAKS = 100  # images left out, of each pair of datasets


def build(space: str, out: str | Path, tracking_uri: str | None = None) -> Path:
    """Writes <out>/reports/<space>/ (beside the copies, where `out` is a bucket): index.html, table.csv,
    table.tex, trials.csv, the claims as claims.csv and, of each table and figure of the paper that the space
    fills, what export.files_of names; the path of the page.

    Each file appears by atomic replacement, the page last. Raises InputError where the space was never run.
    """
    stored = StoredSpace(results.read_plan(space, out), Store(out))
    frame = results.load(space, out, tracking_uri)
    stored.warnings += frame.attrs["warnings"]
    frame["state"] = [stored.state(*pair) for pair in zip(frame["digest"], frame["status"], strict=True)]
    cells, floors = find_cells(frame), background_floors(frame)
    facts = trial_section.facts(frame, tracking_uri)
    content = page(frame, cells, floors, facts, stored)
    text = render(content)
    folder = stored.store.root / "reports" / stored.plan.space
    files.write_text(folder / "table.csv", export.to_csv(cells))
    files.write_text(folder / "table.tex", export.to_latex(cells, floors))
    files.write_text(folder / "trials.csv", frame.to_csv(index=False))
    for section in content["sections"]:
        for name, data in export.files_of(section, facts, floors).items():
            files.write_bytes(folder / name, data if isinstance(data, bytes) else data.encode())
    if content["judged"]:
        files.write_text(folder / "claims.csv", export.claims_csv(content["judged"]))
    files.write_text(folder / PAGE, text)
    return folder / PAGE


def background_floors(frame: "pd.DataFrame") -> dict[Column, float]:
    """The mean IoU, in per cent, of answering background everywhere; a fact of each target's test part."""
    floors: dict[Column, float] = {}
    if "background_miou" in frame.columns:
        known = frame.dropna(subset=["background_miou"])
        columns = zip(known["target"], known["target_size"], known["background_miou"], strict=True)
        floors = {(target, float(size)): 100 * float(value) for target, size, value in columns}
    return floors


def page(
    frame: "pd.DataFrame",
    cells: list[Cell],
    floors: dict[Column, float],
    facts: Facts,
    stored: StoredSpace,
) -> dict[str, Any]:
    """Everything that the template shows, in the order of the page; `warnings` come last."""
    data, cohorts = provenance.datasets(stored), survival.cohorts(stored)
    notes = provenance.notes(data) | survival.notes(cohorts, stored)
    of_paper = sections.build_sections(frame, stored, notes, cohorts)
    rest = find_cells(frame[[not own for own in sections.belong_to(frame, PAPER_ITEMS)]])
    contrasts = tables.contrasts(cells)
    states = Counter(frame.drop_duplicates("digest")["state"])
    sources = stored.sources()
    return {
        "plan": stored.plan,
        "states": states,
        "last_result": stored.last_result(),
        "coverage": findings.coverage(states, len(frame), analyses.finished(stored)),
        "larger_space": provenance.larger_space(stored.plan),
        "synthetic": sorted(name for name, note in notes.items() if note == provenance.SYNTHETIC),
        "sections": of_paper,
        "judged": sections.judge_claims(frame, of_paper, stored) if of_paper else [],
        "most_comparisons": MOST_COMPARISONS,
        "errata": statements.errata(),
        "facts": facts,
        "answer": findings.answer(contrasts),
        "contrasts": contrasts,
        "most_sentences": MOST_SENTENCES,
        "targets": findings.by_target(contrasts),
        "cells": rest,
        "floors": floors,
        "colours": panels.colours(cell.label for cell in rest),
        "dots": panels.dot_plots(rest),
        "panels": panels.panels(rest, stored.history, MOST_PANELS),
        "most_panels": MOST_PANELS,
        "panels_possible": len({(cell.column, cell.network) for cell in rest if cell.n}),
        "galleries": images.galleries(cells, stored.artifact, MOST_GALLERIES),
        "sources": sources,
        "doubts": findings.doubts(stored.learned()),
        "decoders": stored.decoders(),
        "seconds": stored.seconds(),
        "needed": sum(source.users for source in sources),
        "shared_images": shared_data.compared(stored),
        "shared_classes": shared_data.classes(stored),
        "most_leaks": MOST_LEAKS,
        "failures": stored.failures(reported(frame)),
        "most_failures": MOST_FAILURES,
        "compared": provenance.comparisons(rest, notes),
        "settings": provenance.settings(stored),
        "decisions": decisions.groups(stored),
        "data": data,
        "examples": examples(data, stored),
        "weightings": provenance.weightings(cells, stored),
        "algorithms": provenance.algorithms(stored),
        "versions": provenance.versions(),
        "warnings": list(dict.fromkeys(stored.warnings)),
    }


def reported(frame: "pd.DataFrame") -> dict[str, str]:
    """MLflow's reasons by digest."""
    failed = frame[frame["status"] == "failed"]
    reasons = failed["failure"].fillna("no reason was recorded")
    return dict(zip(failed["digest"], reasons, strict=True))


def examples(data: list[provenance.Data], stored: StoredSpace) -> dict[str, list[images.Example]]:
    """By the digest of the prepared data; once a dataset."""
    found: dict[str, list[images.Example]] = {}
    first = {entry.card.name: entry.prepared for entry in reversed(data) if entry.prepared.manifest}
    for prepared in list(first.values())[:MOST_EXAMPLES]:
        assert prepared.manifest  # noqa: S101 - for the type checker
        try:
            shard = stored.store.file(prepared.digest, prepared.manifest.shards[0].name)
            found[prepared.digest] = images.examples(shard.parent, prepared.manifest)
        except InputError as error:
            stored.warnings += error.problems
    return found


def render(context: dict[str, Any]) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "tables": tables,
        "column_name": column_name,
        "format_cell": format_cell,
        "BACKBONES": BACKBONES,
        "METRIC_NAMES": METRIC_NAMES,
        "figures": panels,
        "findings": findings,
        "overlaps": shared_data,
        "pictures": images,
        "charts": strokes,
        "analyses": analyses,
    }
    return environment.get_template("report.html.j2").render(context)
