"""The page of a made space: how it names metrics, and what it says about where its numbers come from."""

import json
from pathlib import Path

import made_space
import pytest

from grid import package_data, report
from grid.report.chart_files import Figures
from grid.results import frame

RAN, REPORTED = "a" * 40, "b" * 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a report that a later commit wrote than the one that ran the trials."""
    out = tmp_path_factory.mktemp("page")
    plan = made_space.plan(out)
    store = made_space.publish(plan, out, set(), {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(package_data, "commit", lambda: RAN)
        made_space.record_all(store, plan)
        patch.setattr(package_data, "commit", lambda: REPORTED)
        patch.setattr(Figures, "files", lambda _: {})
        patch.setattr(frame, "seen_targets", lambda _: ["the control `file size` reaches 0.9"])
        return report.build("made", out).parent


def test_commits_are_those_of_the_trials(folder: Path) -> None:
    page = (folder / "index.html").read_text()
    assert f"Trials ran at commit <code>{RAN[:12]}</code>." in page
    assert f"This report was written at commit <code>{REPORTED[:12]}</code>" in page
    assert f"commits of the trials {RAN[:12]}" in (folder / "report.md").read_text()
    origin = json.loads((folder / "origin.json").read_bytes())
    assert (origin["commits"], origin["reported_on"]["commit"]) == ([RAN], REPORTED)
    assert "–" not in origin["algorithms"].values()


def test_pretrainings_have_the_metrics_names_of_charts(folder: Path) -> None:
    page = (folder / "index.html").read_text()
    assert '<span class="pm">micro-AUC, %</span>' in page
    assert '<span class="pm">auc, %</span>' not in page


def test_names_in_warnings_are_code(folder: Path) -> None:
    assert "<li>the control <code>file size</code> reaches 0.9.</li>" in (folder / "index.html").read_text()
