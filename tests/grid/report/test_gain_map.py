"""The first screen's heat map and its list of what is undecided hold what the comparisons say."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise, product

import pytest
from made_cells import cells, trial
from matplotlib.figure import Figure

from grid.report.charts import PAPER
from grid.report.gain_map import Gain, GainMap, gain_maps, undecided
from grid.report.tables import Contrast, contrasts
from grid.results.cells import Cell
from grid.results.groups import FEW_ITEMS
from medpt.models.registry import ARCHITECTURES

NAN = float("nan")


def several(**values: list[float]) -> list[Cell]:
    """Cells of one network and target, by initialization; the seeds' values are fractions."""
    return cells(
        *(trial(seed, v, initialization=name) for name, row in values.items() for seed, v in enumerate(row))
    )


def of_networks(*names: str, backbones: Sequence[str] = ("resnet18",)) -> list[Contrast]:
    rows = [
        trial(seed, base + seed / 100, initialization=source, architecture=name, backbone=backbone)
        for name, backbone in product(names, backbones)
        for source, base in (("random", 0.5), ("ISIC2019", 0.6))
        for seed in (0, 1)
    ]
    return contrasts(cells(*rows))


def test_gain_map_holds_the_difference_of_every_initialization() -> None:
    found = contrasts(several(random=[0.5, 0.51], ISIC2019=[0.7, 0.71], ADE20K=[0.3, 0.31]))
    (chart,) = gain_maps(found)
    assert isinstance(chart, GainMap)
    assert (chart.rows, chart.columns) == (("ISIC2019", "ADE20K"), ("DRIVE",))
    ((first,), (second,)) = chart.entries
    assert first
    assert second
    assert (first.value, second.value) == (pytest.approx(20), pytest.approx(-20))
    (contrast,) = found
    known = [(d.low, d.high, d.verdict) for d in contrast.differences]
    assert [(g.low, g.high, g.verdict) for g in (first, second)] == known
    assert [first.verdict, second.verdict] == ["better", "worse"]


def test_gain_map_of_many_columns_is_one_a_network() -> None:
    few, many = of_networks("unet", "cenet"), of_networks("unet", "cenet", "etnet", "hynet", "deeplabv3plus")
    assert [len(chart.columns) for chart in gain_maps(few) if isinstance(chart, GainMap)] == [2]
    assert next(chart.title for chart in gain_maps(many)) == "Gain over random weights, U-Net / ResNet-18"
    assert len(gain_maps(many)) == 5


def test_gain_maps_are_of_the_first_networks() -> None:
    many = of_networks(*sorted(ARCHITECTURES), backbones=("resnet18", "shufflenet_v2"))
    assert [chart.title for chart in gain_maps(many)] == [
        f"Gain over random weights, {network}" for network in list(dict.fromkeys(c.network for c in many))[:8]
    ]
    assert len({c.network for c in many}) > 8


def test_gain_map_needs_random_weights() -> None:
    assert gain_maps(contrasts(several(ISIC2019=[0.7, 0.71]))) == []


def test_gain_map_fills_what_is_decided_by_its_size() -> None:
    better, worse = Gain(10.0, 8.0, 12.0, "better"), Gain(-5.0, -7.0, -3.0, "worse")
    equal, unknown = Gain(0.1, -0.5, 0.6, "equivalent"), Gain(20.0, NAN, NAN, "undecided")
    chart = GainMap("", "", "", ("a", "b"), ("x", "y"), ((better, worse), (equal, unknown)))
    assert [chart.fill(one) for one in (better, worse, equal, unknown)] == [
        (1, 0.65),
        (2, 0.47),  # 0.3 + 0.7 * 5 / 20
        (0, 0.3),
        (0, 0.0),
    ]


def test_gain_map_writes_value_interval_and_verdict_into_each_entry() -> None:
    entries = ((Gain(10.0, 8.04, 12.0, "better"), None), (Gain(-1.0, NAN, NAN, "undecided"), None))
    axes = Figure().add_subplot()
    GainMap("", "", "", ("a", "b"), ("x", "y"), entries).draw(axes)
    texts = [text.get_text() for text in axes.texts]
    assert texts == ["+10.00", "[+8.0, +12.0]", "better", "–", "−1.00", "no interval", "undecided", "–"]
    assert [text.get_color() == PAPER for text in axes.texts][:3] == [True] * 3
    assert [patch.get_linestyle() for patch in axes.patches] == ["solid", "--"]


def test_undecided_lists_the_largest_difference_first_with_what_decides_it() -> None:
    found = undecided(contrasts(several(random=[0.5, 0.6], ISIC2019=[0.56, 0.6], ADE20K=[0.6, 0.66])))
    assert [each.difference.cell.label for each in found] == ["ADE20K", "ISIC2019"]
    for each in found:
        assert f"{each.difference.seeds_needed:,} repeats (now 2)" == each.remedy


def test_undecided_without_an_interval_asks_for_repeats() -> None:
    (one,) = undecided(contrasts(several(random=[0.5], ISIC2019=[0.6])))
    assert one.remedy == "more than one repeat, or test items that are stored"
    few = replace(one, difference=replace(one.difference, note=FEW_ITEMS))
    assert few.remedy == "more test images"


def test_undecided_is_empty_where_all_is_decided() -> None:
    assert undecided(contrasts(several(random=[0.5, 0.501], ISIC2019=[0.7, 0.701]))) == []


@pytest.mark.parametrize(
    "columns", [("DRIVE\nU-Net",) * 2, ("EyeDiseases\ntimm/\ntf_efficientnet_lite0",) * 4]
)
def test_labels_of_columns_do_not_overlap(columns: tuple[str, ...]) -> None:
    entry = Gain(1.0, 0.5, 1.5, "better")
    rows = ("EyePACS-600\n(of 1,098 images)", "ImageNet")
    chart = GainMap("gains", "", "target", rows, columns, ((entry,) * len(columns),) * 2)
    figure = Figure(figsize=chart.size, layout="constrained")
    axes = figure.add_subplot()
    chart.draw(axes)
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
