"""Learning curves are the mean over repeats between their lowest and highest values."""

from pathlib import Path

import made_space
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_cells import cells, made, trial

from grid.report import learning_curves, paper_charts
from grid.report.charts import LineChart
from grid.results.stored_space import StoredSpace

SERIES = st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=6), min_size=1, max_size=4)


def numbers(found: list) -> dict[str, int]:
    return paper_charts.colours(cell.label for cell in found)


def history(digest: str) -> list[dict[str, float]]:
    """Return two evaluations that depend on the seed, which stands at the end of a made digest."""
    better = 0.1 * int(digest[-1])
    return [
        {"step": step, "train_loss": 20 / step, "val_miou": value + better}
        for step, value in ((10, 0.4), (20, 0.6))
    ]


def test_fine_tunings_have_metric_and_loss_with_bands_over_seeds() -> None:
    found = made("random", [0.5, 0.6])
    rows = dict(zip(found[0].digests.values(), (history("0"), history("1")), strict=True))
    metric, loss = learning_curves.of_fine_tunings(found, rows.__getitem__, numbers(found))
    assert isinstance(metric, LineChart)
    assert isinstance(loss, LineChart)
    (line,) = metric.lines
    assert line.x == (10.0, 20.0)
    assert line.y == pytest.approx((45, 65))
    assert line.band == (pytest.approx((40, 50)), pytest.approx((60, 70)))
    assert loss.lines[0].y == pytest.approx((2, 1))
    assert (metric.y_label, loss.y_label) == ("validation mean IoU, %", "training loss")


def test_one_repeat_has_no_band_and_no_validation_leaves_the_loss() -> None:
    found = made("random", [0.5])
    (chart,) = learning_curves.of_fine_tunings(
        found, lambda digest: [{"step": 5, "train_loss": 1.0}], numbers(found)
    )
    assert isinstance(chart, LineChart)
    assert (chart.y_label, chart.lines[0].band) == ("training loss", ())


def test_groups_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning_curves, "MOST_GROUPS", 2)
    several = cells(*(trial(0, 0.5, architecture=name) for name in ("unet", "cenet", "etnet")))
    drawn = learning_curves.of_fine_tunings(several, lambda digest: history("0"), numbers(several))
    assert len({chart.note for chart in drawn}) == 2


def test_limit_leaves_out_no_target_and_groups_without_curves_do_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(learning_curves, "MOST_GROUPS", 3)
    pairs = (("HRF", "unet"), ("HRF", "cenet"), ("HRF", "etnet"), ("DRIVE", "unet"), ("DRIVE", "cenet"))
    several = cells(*(trial(0, 0.5, architecture=name, target=target) for target, name in pairs))
    frozen = {*several[0].digests.values()}
    drawn = learning_curves.of_fine_tunings(
        several, lambda digest: [] if digest in frozen else history("0"), numbers(several)
    )
    assert [(c.title, c.note) for c in drawn[::2]] == [
        ("DRIVE", "U-Net / ResNet-18"),
        ("HRF", "CE-Net / ResNet-18"),
        ("DRIVE", "CE-Net / ResNet-18"),
    ]


def test_pretrainings_are_drawn_by_network(tmp_path: Path) -> None:
    plan = made_space.plan(tmp_path)
    store = made_space.publish(plan, tmp_path / "out", set(), {})
    names = {"random": 0, "ISIC2019": 1, "ADE20K": 2}
    drawn = learning_curves.of_pretrainings(StoredSpace(plan, store), names)
    lines = {(chart.note, chart.y_label): [x.name for x in chart.lines] for chart in drawn}  # type: ignore[attr-defined]
    assert sorted(lines["ShuffleNet V2", "training loss"]) == ["ADE20K", "ISIC2019"]
    assert lines["ResNet-18", "validation micro-AUC, %"] == ["ISIC2019"]


def test_source_name_leaves_out_the_network_and_the_number() -> None:
    assert learning_curves.source_name("EyePACS-600 (pre-training 1) for Eyes · resnet18") == (
        "EyePACS-600 for Eyes"
    )


@given(SERIES)
def test_common_steps_are_those_where_every_seed_was_training(series: list[list[float]]) -> None:
    curves = [(np.arange(10.0, 10 * len(values) + 1, 10.0), np.array(values)) for values in series]
    steps, found = learning_curves.common(curves)
    shortest = min(map(len, series))
    assert steps.tolist() == [10.0 * n for n in range(1, shortest + 1)]
    assert found == pytest.approx(np.array([values[:shortest] for values in series]))


@given(st.integers(1, 500))
def test_common_keeps_the_ends_and_the_order_of_long_curves(length: int) -> None:
    every = np.arange(length, dtype=np.float64)
    steps, values = learning_curves.common([(every, every**2)])
    assert len(steps) <= learning_curves.POINTS
    assert (steps[0], steps[-1]) == (0, length - 1)
    assert (np.diff(steps) > 0).all()
    assert (values == steps**2).all()


def test_common_interpolates_steps_of_other_seeds() -> None:
    steps, values = learning_curves.common(
        [
            (np.array([0.0, 10.0]), np.array([0.0, 1.0])),
            (np.array([0.0, 5.0, 10.0]), np.array([0.0, 1.0, 1.0])),
        ]
    )
    assert steps.tolist() == [0, 5, 10]
    assert values.tolist() == [[0, 0.5, 1], [0, 1, 1]]
