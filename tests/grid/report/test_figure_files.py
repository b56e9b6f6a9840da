"""The PNG and PDF files of figures, written by this process or by others."""

from pathlib import Path

import pytest

from grid.report import figure_files
from grid.report.chart_files import Figures
from grid.report.charts import Line, LineChart, Row, RowChart

ROWS = RowChart("DRIVE", "U-Net", "mean IoU, %", (Row("random", 0, 70.0, (69.0, 71.0), (69.0, 71.0)),), 70.0)
LINES = LineChart("DRIVE", "", "steps", "mean IoU, %", (Line("random", 0, (1.0, 2.0), (3.0, 4.0), "curve"),))
FIGURES = [Figures("gain", [ROWS]), Figures("curves", [LINES, ROWS]), Figures("none", [])]


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("many", [2, 100])
def test_files_are_those_of_the_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: int) -> None:
    monkeypatch.setattr(figure_files, "MANY", many)
    with figure_files.figures_being_written(FIGURES, tmp_path):
        pass
    assert content(tmp_path) == {k: v for each in FIGURES for k, v in each.files().items()}


def test_error_of_another_process_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figure_files, "MANY", 2)
    file = tmp_path / "file"
    file.write_text("", encoding="utf-8")
    with (
        pytest.raises(OSError, match="file"),
        figure_files.figures_being_written(FIGURES, file / "folder"),
    ):
        pass
