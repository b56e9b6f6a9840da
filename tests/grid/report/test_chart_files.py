"""SVG, PNG and PDF of charts: equal bytes, text as text, colours of the page."""

import html
import re
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
from pages import Reader

from grid.report import chart_files
from grid.report.chart_files import Figures
from grid.report.charts import PALETTE, Line, LineChart, Row, RowChart
from grid.report.gain_map import Gain, GainMap

ROWS = RowChart(
    "DRIVE", "U-Net", "mean IoU, %", (Row("random <b>$x$", 0, 70.0, (69.0, 71.0), (69.0, 71.0)),), 70.0
)
LINES = LineChart("DRIVE", "", "steps", "mean IoU, %", (Line("random", 0, (1.0, 2.0), (3.0, 4.0), "curve"),))


def test_svg_is_well_formed_with_its_text() -> None:
    text = chart_files.svg(ROWS)
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    texts = map(html.unescape, re.findall(r">([^<]+)</text>", text))
    assert {"DRIVE", "U-Net", "mean IoU, %", "random <b>$x$"} <= set(texts)


def test_svg_takes_its_colours_from_the_page() -> None:
    text = chart_files.svg(ROWS)
    assert re.findall("#[0-9a-f]{6}", text) == []
    names = set(re.findall(r"var\(--(\w+)\)", text))
    assert {"ink", "soft", "line", "c0"} <= names <= set(PALETTE)
    assert all(f"--{name}: {pair[1]};" in chart_files.palette_css() for name, pair in PALETTE.items())


def test_svg_has_no_style_sheet_of_its_own() -> None:
    assert "<style" not in chart_files.svg(ROWS)
    assert "font-family" not in chart_files.svg(ROWS)


def test_names_inside_an_svg_differ_between_charts() -> None:
    first, second = (set(re.findall(r' id="([^"]+)"', chart_files.svg(chart))) for chart in (ROWS, LINES))
    assert first
    assert not first & second


def test_svg_is_small() -> None:
    assert len(chart_files.svg(LINES)) < 8_000


def test_files_have_equal_bytes_when_drawn_again() -> None:
    before = [chart_files.svg(ROWS), chart_files.png(ROWS), chart_files.pdf([ROWS, LINES])]
    chart_files._figure.cache_clear()
    assert [chart_files.svg(ROWS), chart_files.png(ROWS), chart_files.pdf([ROWS, LINES])] == before


def test_pdf_has_a_page_a_chart_and_no_date() -> None:
    data = chart_files.pdf([ROWS, LINES])
    assert data.startswith(b"%PDF")
    assert data.count(b"/Type /Page\n") == 2 or data.count(b"/Type /Page ") == 2
    assert b"CreationDate" not in data


def test_png_has_a_white_background() -> None:
    image = cv2.imdecode(np.frombuffer(chart_files.png(ROWS), np.uint8), cv2.IMREAD_UNCHANGED)
    assert image is not None
    assert image[0, 0].tolist() == [255, 255, 255, 255]


def test_figures_name_every_file_once() -> None:
    found = Figures("gain", [ROWS, LINES])
    assert list(found.files()) == ["gain-1.png", "gain-2.png", "gain.pdf"]
    assert found.png_name(LINES) == "gain-2.png"
    assert Figures("gain", []).files() == {}


def test_import_of_the_report_does_not_load_matplotlib() -> None:
    code = "import sys, grid.report; sys.exit('matplotlib' in sys.modules or 'pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_title_of_a_long_name_is_inside_the_figure() -> None:
    network = "timm/tf_efficientnet_lite0 [mode linear_probe]"
    gain = Gain(1.0, 0.5, 1.5, "better")
    chart = GainMap(
        f"Gain over random weights, {network}", "points", "target", ("EyePACS-600",), ("DRIVE",), ((gain,),)
    )
    with chart_files._style(chart):
        figure = chart_files._figure(chart)
    (axes,) = figure.axes
    title = axes._left_title  # type: ignore[attr-defined]
    assert title.get_text().replace("\n", " ") == chart.title
    assert title.get_window_extent().x1 <= figure.bbox.x1
    assert axes.get_tightbbox().y1 <= figure.bbox.y1


def test_long_note_is_inside_the_figure_and_leaves_the_axes_their_width() -> None:
    short, long = (
        chart_files._figure(replace(LINES, note=note))
        for note in (
            "DRIVE, U-Net",
            "ChestXRay2017, 10 %, timm/tf_efficientnet_lite0 [mode linear_probe], seeds 0 to 2",
        )
    )
    note = long.axes[0].texts[-1]
    assert note.get_text().count("\n") == 1
    assert note.get_window_extent().x1 <= long.bbox.x1
    assert note.get_window_extent().y1 < long.axes[0]._left_title.get_window_extent().y0  # type: ignore[attr-defined]
    assert long.axes[0].get_position().x1 == short.axes[0].get_position().x1
