"""Charts of cells hold the cells' numbers; colours of the paper's sources stay the same."""

import numpy as np
import pytest
from made_cells import cells, made, trial

from grid.report import paper_charts
from grid.report.charts import COLOURS, LineChart, RowChart
from grid.results.cells import Cell, CellKey
from grid.results.comparisons import MARGIN, Difference, Interval, cell_intervals, differences
from grid.results.groups import compared_groups


def limits(found: list[Cell]) -> dict[CellKey, Interval]:
    return cell_intervals(found, compared_groups(found))


def known(found: list[Cell]) -> dict[CellKey, Difference]:
    return {d.cell.key: d for group in compared_groups(found).values() for d in differences(group)}


def numbers(found: list) -> dict[str, int]:
    return paper_charts.colours(cell.label for cell in found)


def test_colours_of_the_papers_sources_are_fixed() -> None:
    found = paper_charts.colours(["ISIC2019", "CheXpert-20k", "imagenet*", "LUNA"])
    assert found["random"] == 0
    assert found["CheXpert-20k"] == paper_charts.colours(["CheXpert"])["CheXpert"]
    assert found["imagenet*"] == paper_charts.colours(["EyePACS-20k", "imagenet*"])["imagenet*"]
    assert len(set(found.values())) == len(found)


def test_source_colours_are_one_plain_colour_a_source() -> None:
    several = cells(
        *(
            trial(0, 0.5, initialization=f"ImageNet-{n}k", source="ImageNet", sample_size=1000 * n)
            for n in (5, 10)
        ),
        trial(0, 0.5, initialization="imagenet*", source="imagenet*"),
    )
    found = paper_charts.source_colours(several)
    assert found["ImageNet-5k"] == found["ImageNet-10k"] != found["imagenet*"]
    assert max(found.values()) <= COLOURS


def test_scores_mark_incomplete_rows_and_the_level_of_random() -> None:
    found = [*made("random", [0.5, 0.6], 3), *made("ISIC2019", [0.7])]
    (chart,) = paper_charts.scores_by_initialization(found, numbers(found), limits(found))
    assert isinstance(chart, RowChart)
    random, _ = chart.rows
    assert (random.name, random.complete, random.repeats) == ("random (2 of 3)", False, (50.0, 60.0))
    assert random.bar == (0, 100)  # two seeds ten points apart
    assert chart.reference == pytest.approx(55)


def test_scores_have_the_interval_of_the_cell_and_none_without_one() -> None:
    several, one = made("random", [0.5, 0.51, 0.52]), made("random", [0.5])
    interval = limits(several)[several[0].key]
    for found, bar in ((several, (interval.low, interval.high)), (one, (np.nan, np.nan))):
        (chart,) = paper_charts.scores_by_initialization(found, numbers(found), limits(found))
        assert isinstance(chart, RowChart)
        assert chart.rows[0].bar == pytest.approx(bar, nan_ok=True)


def test_source_sizes_are_a_line_and_unsized_sources_a_level() -> None:
    found = cells(
        *(
            trial(
                seed, 0.5 + n / 100, initialization=f"ImageNet-{n}k", source="ImageNet", sample_size=1000 * n
            )
            for n in (10, 5)
            for seed in (0, 1)
        ),
        trial(0, 0.4, initialization="random", source="random"),
    )
    (chart,) = paper_charts.scores_over(
        paper_charts.SIZES, found, paper_charts.source_colours(found), limits(found)
    )
    assert isinstance(chart, LineChart)
    line, level = chart.lines
    assert (line.x, line.y) == ((5000.0, 10000.0), pytest.approx((55.0, 60.0)))
    assert (level.name, level.y, level.style) == ("random", (40.0,), "level")
    assert chart.ticks == ((5000.0, "5,000"), (10000.0, "10,000"))


def test_target_shares_are_in_per_cent() -> None:
    found = cells(*(trial(0, share, target_size=share) for share in (1.0, 0.5)))
    (chart,) = paper_charts.scores_over(paper_charts.SHARES, found, numbers(found), limits(found))
    assert isinstance(chart, LineChart)
    assert chart.lines[0].x == (50.0, 100.0)


def test_gains_are_the_differences_with_their_intervals() -> None:
    found = [*made("random", [0.5, 0.6]), *made("ISIC2019", [0.7, 0.6])]
    (chart,) = paper_charts.gains(found, numbers(found), known(found))
    assert isinstance(chart, RowChart)
    (trained,) = chart.rows
    (difference,) = known(found).values()
    assert (chart.reference, chart.margin) == (0, MARGIN)
    assert (trained.mean, trained.text) == (pytest.approx(10), "+10.00 undecided")
    assert trained.bar == (difference.low, difference.high)
    assert trained.repeats == pytest.approx((15, 5))


def test_gains_need_random_and_another_initialization() -> None:
    for found in (
        made("ISIC2019", [0.7]),
        [*made("random", [], 2), *made("ISIC2019", [0.7])],
        made("random", [0.7]),
    ):
        assert paper_charts.gains(found, numbers(found), known(found)) == []


def test_charts_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paper_charts, "MOST_GROUPS", 2)
    several = cells(*(trial(0, 0.5, architecture=name) for name in ("unet", "cenet", "etnet")))
    assert len(paper_charts.scores_by_initialization(several, numbers(several), limits(several))) == 2
