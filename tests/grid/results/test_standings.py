"""Controls beside cells: limits for one more network, warnings, and the rows of a table."""

from dataclasses import replace

import numpy as np
import pytest
from made_cells import made
from scipy import stats

from grid.results import standings
from grid.results.controls import RANDOM_NETWORKS, TRIVIAL, Control

CELLS = [*made("random", [0.60, 0.61, 0.62]), *made("ISIC2019", [0.70, 0.71, 0.72])]
DIGESTS = frozenset(digest for cell in CELLS for digest in cell.digests.values())


def _control(name: str, score: float, deviation: float | None = None, networks: int = 1) -> Control:
    spread = {} if deviation is None else {"miou": deviation}
    return Control(name, "DRIVE", "", DIGESTS, {"miou": score}, spread, networks)


def test_limits_of_random_networks_are_those_of_one_more_network() -> None:
    values = np.random.default_rng(0).normal(0.5, 0.1, 20)
    found = _control(RANDOM_NETWORKS, values.mean(), values.std(ddof=1), 20)
    low, high = stats.t.interval(0.95, 19, values.mean(), values.std(ddof=1) * np.sqrt(1 + 1 / 20))
    assert found.mean("miou") - found.reach("miou") == pytest.approx(100 * low)
    assert found.mean("miou") + found.reach("miou") == pytest.approx(100 * high)
    assert _control(TRIVIAL, 0.5).reach("miou") == 0


def test_controls_below_the_best_cell_give_no_warning() -> None:
    controls = [_control(TRIVIAL, 0.45), _control(RANDOM_NETWORKS, 0.5, 0.01, 20)]
    assert standings.warnings(CELLS, controls) == []


def test_control_that_reaches_the_best_cell_is_named() -> None:
    (warning,) = standings.warnings(CELLS, [_control("without images: file size", 0.70)])
    assert "`without images: file size` reaches a mean IoU of 70.0" in warning
    assert "ISIC2019, has 71.0" in warning


def test_spread_of_random_networks_counts() -> None:
    assert standings.warnings(CELLS, [_control(RANDOM_NETWORKS, 0.6, 0.05, 20)])
    assert not standings.warnings(CELLS, [_control(RANDOM_NETWORKS, 0.6, 0.01, 20)])


def test_nothing_was_learned_where_no_cell_exceeds_the_trivial_predictor() -> None:
    (warning,) = standings.warnings(CELLS, [_control(TRIVIAL, 0.72)])
    assert "nothing was learned" in warning


def test_something_was_learned_where_a_cell_below_the_best_exceeds_the_trivial_predictor() -> None:
    """The best mean may be that of few runs, whose interval is wide."""
    cells = [*made("random", [0.60, 0.61, 0.62]), *made("ISIC2019", [0.55, 0.75])]
    control = _control(TRIVIAL, 0.45)
    digests = frozenset(digest for cell in cells for digest in cell.digests.values())
    (standing,) = standings.standings(cells, [replace(control, digests=digests)])
    assert (standing.best.key.initialization, standing.best.mean) == ("ISIC2019", 65)
    assert 45 < standing.bound < 61
    assert list(standing.warnings()) == []


def test_control_belongs_to_the_trials_on_its_data() -> None:
    elsewhere = Control(TRIVIAL, "DRIVE", "", frozenset({"other"}), {"miou": 0.99}, {})
    assert standings.standings(CELLS, [elsewhere]) == []
    without = Control(TRIVIAL, "DRIVE", "", DIGESTS, {"auc": 0.99}, {})
    assert standings.standings(CELLS, [without]) == []


def test_rows_name_each_control_once_with_its_limits() -> None:
    controls = [_control(TRIVIAL, 0.45), _control(RANDOM_NETWORKS, 0.5, 0.01, 20)]
    columns = [
        "initialization",
        "sample_size",
        "target",
        "metric",
        "mean",
        "std",
        "low",
        "high",
        "n",
        "planned",
    ]
    table = standings.rows(CELLS, controls, columns)
    assert table.columns.tolist() == columns
    assert table["initialization"].tolist() == [f"({TRIVIAL})", f"({RANDOM_NETWORKS})"]
    assert table["sample_size"].tolist() == ["", ""]
    assert table["mean"].tolist() == [45, 50]
    assert np.isnan(table["low"]).tolist() == [True, False]
    assert table["n"].tolist() == [1, 20]
