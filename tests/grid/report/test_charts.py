"""Geometry of the paper's charts, their files, and which experiments belong to which place."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_cells import cells, made, trial

from grid import space
from grid.report import survival, trial_section
from grid.report.charts import cell_charts, panels, pdf, strokes
from grid.report.charts.analysis_charts import free_words
from grid.report.charts.strokes import Box, Level, Line, Series
from grid.report.paper_items import PAPER_ITEMS
from medpt.data.catalog import card

VALUES = st.floats(-1e3, 1e3, allow_nan=False)
POINTS = st.lists(st.tuples(st.integers(1, 10**6), VALUES, st.floats(0, 50)), min_size=1, max_size=6)


@given(POINTS, VALUES, st.booleans())
def test_lines_stay_inside_their_box(points: list[tuple[int, float, float]], level: float, log: bool) -> None:
    series = [Series("one", 1, tuple((x, y, std, "", False) for x, y, std in points))]
    chart = strokes.lines("", "", series, [Level("flat", 2, level)], strokes.Axis("", [], log))
    for stroke in chart.strokes:
        for x, y in stroke.points:
            assert chart.left - 0.1 <= x <= chart.width
            assert 0 <= y <= chart.floor + 0.1


@given(st.integers(-1000, 1000), st.integers(-1000, 1000))
def test_higher_values_are_drawn_higher(a: int, b: int) -> None:
    box = Box((0, 1), strokes.around([a, b]))
    assert (box.up(a) < box.up(b)) == (a > b)


def test_rows_name_what_is_short() -> None:
    entry = Line("random (2 of 3)", 0, 70.0, 1.0, (69.0, 71.0), "random: 70.00 ± 1.41 (2 of 3)", True)
    chart = strokes.rows("DRIVE", "", [entry], 70.0, "")
    assert [word.text for word in chart.words] == ["random (2 of 3)"]
    assert [dots.style for dots in chart.dots] == ["seed", "short"]
    zero, whisker = chart.strokes
    assert zero.points[0][0] == pytest.approx(sum(x for x, _ in whisker.points) / 2, abs=0.1)


def test_single_seeds_have_no_whisker() -> None:
    series = [Series("one", 1, ((1, 50.0, math.nan, "", False),))]
    _, whisker = strokes.lines("", "", series, [], strokes.Axis("", [])).strokes
    assert whisker.points[0] == whisker.points[1]


def test_a_curve_of_kaplan_and_meier_is_a_staircase_down() -> None:
    box = Box((0.0, 2.0), (0.0, 1.0))
    curve = {"time": [0.0, 365.25, 730.5], "survival": [1.0, 0.5, 0.25]}
    points = survival._steps(curve, box)
    expected = [(0, 1), (1, 1), (1, 0.5), (2, 0.5), (2, 0.25)]
    assert list(points) == [box.place(*point) for point in expected]
    assert all(b[1] >= a[1] and (a[0] == b[0] or a[1] == b[1]) for a, b in pairwise(points))


@given(st.lists(st.tuples(st.text("abc", min_size=1, max_size=9), st.floats(0, 300), st.floats(0, 300))))
def test_names_in_a_scatter_do_not_cover_each_other(places: list[tuple[str, float, float]]) -> None:
    words = free_words(places, 300)
    for n, a in enumerate(words):
        for b in words[:n]:
            far = 5.4 * (len(a.text) + len(b.text)) / 2
            assert abs(a.x - b.x) >= far - 0.2 or abs(a.y - b.y) >= 9.8


def test_the_papers_sources_keep_their_colours() -> None:
    found = panels.colours(["ISIC2019", "CheXpert-20k", "imagenet*", "LUNA"])
    assert found["random"] == 0
    assert (found["CheXpert-20k"], found["imagenet*"]) == (
        panels.colours(["CheXpert"])["CheXpert"],
        panels.colours(["EyePACS-20k", "imagenet*"])["imagenet*"],
    )
    assert len(set(found.values())) == len(found)


def test_figure_5_has_one_plain_colour_a_source() -> None:
    several = cells(
        *(
            trial(0, 0.5, initialization=f"ImageNet-{n}k", source="ImageNet", sample_size=1000 * n)
            for n in (5, 10)
        ),
        trial(0, 0.5, initialization="imagenet*", source="imagenet*"),
    )
    found = cell_charts.by_source(several)
    assert found["ImageNet-5k"] == found["ImageNet-10k"] != found["imagenet*"]
    assert max(found.values()) <= panels.COLOURS


@pytest.mark.parametrize(
    ("experiment", "target", "places"),
    [
        ("figure 3", "DRIVE", ["Figure 3b"]),
        ("figure 3", "MESSIDOR", ["Figure 3a"]),
        ("figure 3a", "MESSIDOR", ["Figure 3a"]),
        ("Table 2", "DRIVE", ["Table 2"]),
        ("figure 7a, best single source of chest X-rays", "ChestXRay2017", ["Figure 7a"]),
        ("figure 7b, classification", "MESSIDOR", ["Figure 7b"]),
        ("table 6, no network", "TCGA-GBM", ["Table 6"]),
        ("table 20", "DRIVE", []),
        ("figure 50", "DRIVE", []),
        ("our table 2", "DRIVE", []),
    ],
)
def test_experiments_belong_to_the_place_that_they_name(
    experiment: str, target: str, places: list[str]
) -> None:
    task = card(target).task
    assert [place.name for place in PAPER_ITEMS if place.holds(experiment, task)] == places


@pytest.mark.parametrize("name", ["paper", "paper-mini"])
def test_every_trial_of_the_paper_has_its_place(name: str) -> None:
    trials = space.load(name).trials
    found = [place for t in trials for place in PAPER_ITEMS if place.holds(t.experiment, t.task)]
    assert len(found) == len(trials)
    assert {place.name for place in found} == {place.name for place in PAPER_ITEMS if place.experiments}


def test_gains_take_common_seeds_alone() -> None:
    random = made("random", [0.5, 0.6, 0.9])
    trained = cells(*(trial(n, v, initialization="ISIC2019") for n, v in ((1, 0.7), (2, 0.92), (3, 0.1))))
    (gain,) = trial_section.gains([*random, *trained])
    assert gain.seeds == 2
    assert gain.difference.estimate == pytest.approx((10 + 2) / 2)


def test_a_pdf_is_laid_out_without_overlap() -> None:
    one = [strokes.Chart("", width=width) for width in (340, 340, 554, 340, 900)]
    places, width, height = pdf.layout(one)
    boxes = [(x, y, x + c.width, y + c.height) for c, (x, y) in zip(one, places, strict=True)]
    assert all(right <= width and bottom <= height for _, _, right, bottom in boxes)
    for n, a in enumerate(boxes):
        for b in boxes[:n]:
            assert a[0] >= b[2] or b[0] >= a[2] or a[1] >= b[3] or b[1] >= a[3]


def test_a_pdf_holds_the_words_and_nothing_of_the_day() -> None:
    chart = strokes.rows("DRIVE", "", [Line("random", 0, 70.0, 1.0, (69.0,), "", False)], None, "")
    data = pdf.write([chart], [])
    assert data.startswith(b"%PDF")
    assert b"CreationDate" not in data
    assert data == pdf.write([chart], [])
    assert np.frombuffer(data, np.uint8).size > 2000
