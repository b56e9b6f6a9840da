"""What MLflow's list shows of a space: cells in the order of their means, the answer as a name."""

import pandas as pd
import pytest
from made_cells import trial

from grid.results.comparisons import compare
from grid.results.summaries import group_summaries
from grid.tracking.parents import GroupSummary

SCORES = {"random": [0.60, 0.61, 0.62], "ISIC2019": [0.70, 0.71, 0.72], "ADE20K": [0.625, 0.63, 0.635]}


def frame() -> pd.DataFrame:
    rows = [
        trial(seed, value, initialization=name, source=name)
        for name, values in SCORES.items()
        for seed, value in enumerate(values)
    ]
    waiting = trial(3, None, "missing", initialization="ISIC2019", source="ISIC2019")
    unfinished = trial(0, None, "missing", initialization="HRF", source="HRF")
    return pd.DataFrame([*rows, waiting, unfinished])


@pytest.fixture
def summary() -> GroupSummary:
    (found,) = group_summaries(frame(), "vessels")
    return found


def test_group_is_called_after_its_answer(summary: GroupSummary) -> None:
    assert summary.name.startswith("ISIC2019 → DRIVE: mean IoU 71.0 [")
    assert summary.name.endswith("+10.0 over random (better) · unet/resnet18")
    assert summary.short == "DRIVE (unet/resnet18): ISIC2019 71.0"
    assert summary.text.startswith("ISIC2019 is the best of 4 initializations")


def test_cells_are_numbered_by_their_means_with_counts(summary: GroupSummary) -> None:
    firsts = [cell.name.partition(":")[0] for cell in summary.cells]
    assert firsts == [
        "1. unet/resnet18 · ISIC2019 → DRIVE",
        "2. unet/resnet18 · ADE20K → DRIVE",
        "3. unet/resnet18 · random → DRIVE",
        "unet/resnet18 · HRF → DRIVE",
    ]
    assert summary.cells[-1].name.endswith("no finished run (0 of 1)")
    assert summary.cells[0].name.endswith("(3 of 4)")
    assert (summary.cells[0].metrics["runs"], summary.cells[0].metrics["planned"]) == (3, 4)
    assert summary.metrics == summary.cells[0].metrics


def test_metrics_of_cells_are_the_intervals_of_compare_as_fractions(summary: GroupSummary) -> None:
    expected = compare(frame().query("state == 'finished'")).set_index("initialization")
    by_name = {cell.params["initialization"]: cell.metrics for cell in summary.cells}
    assert "test_miou_gain" not in by_name["random"]
    for name, row in expected.iterrows():
        found = [by_name[str(name)][f"test_miou_gain{suffix}"] for suffix in ("", "_low", "_high")]
        assert found == pytest.approx([row[key] / 100 for key in ("difference", "low", "high")])


def test_cell_of_undefined_runs_is_not_called_unfinished() -> None:
    rows = frame()
    rows.loc[rows["initialization"] == "HRF", "state"] = "finished"
    (found,) = group_summaries(rows, "vessels")
    assert found.cells[-1].name.endswith("mean IoU undefined (0 of 1)")


def test_group_without_a_finished_trial_has_no_summary() -> None:
    assert group_summaries(pd.DataFrame([trial(0, None, "missing")]), "vessels") == []
