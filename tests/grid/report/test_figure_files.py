"""Figures drawn for a page and as files, by this process or by others."""

from contextlib import suppress
from pathlib import Path

import pytest

from grid.report import figure_files
from grid.report.chart_files import Figures, svg
from grid.report.charts import Line, LineChart, Row, RowChart

ROWS = RowChart("DRIVE", "U-Net", "mean IoU, %", (Row("random", 0, 70.0, (69.0, 71.0), (69.0, 71.0)),), 70.0)
LINES = LineChart("DRIVE", "", "steps", "mean IoU, %", (Line("random", 0, (1.0, 2.0), (3.0, 4.0), "curve"),))
FIGURES = [Figures("gain", [ROWS]), Figures("curves", [LINES, ROWS]), Figures("none", [])]


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("many", [2, 100])
def test_files_and_elements_are_those_of_the_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    monkeypatch.setattr(figure_files, "MANY", many)
    with figure_files.drawing(tmp_path) as drawn:
        drawn.start(FIGURES)
        assert [drawn.svg(chart) for chart in (ROWS, LINES)] == [svg(ROWS), svg(LINES)]
    assert content(tmp_path) == {k: v for each in FIGURES for k, v in each.files().items()}


def test_files_are_there_without_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figure_files, "MANY", 2)
    with figure_files.drawing(tmp_path) as drawn:
        drawn.start(FIGURES)
    assert content(tmp_path).keys() == {k for each in FIGURES for k in each.files()}


def test_charts_that_only_an_earlier_report_had_are_removed(tmp_path: Path) -> None:
    kept = ["gain.csv", "gain-map-1.png", "notes-1.png"]
    for name in [*kept, "gain-1.png", "gain-2.png", "none-1.png", "none.pdf"]:
        (tmp_path / name).write_bytes(b"old")
    with figure_files.drawing(tmp_path) as drawn:
        drawn.start([FIGURES[0], FIGURES[2]])
    assert sorted(content(tmp_path)) == sorted([*kept, "gain-1.png", "gain.pdf"])


@pytest.mark.parametrize("many", [2, 100])
def test_error_of_drawing_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: int) -> None:
    monkeypatch.setattr(figure_files, "MANY", many)
    file = tmp_path / "file"
    file.write_text("", encoding="utf-8")
    with pytest.raises(OSError, match="file"), figure_files.drawing(file / "folder") as drawn:
        drawn.start(FIGURES)


def test_figures_that_were_not_begun_are_left_after_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figure_files, "MANY", 2)
    figures = [Figures(f"gain-{number}", [ROWS]) for number in range(300)]
    with suppress(KeyError), figure_files.drawing(tmp_path) as drawn:
        drawn.start(figures)
        raise KeyError("of the page")
    assert len(content(tmp_path)) < 2 * len(figures)
