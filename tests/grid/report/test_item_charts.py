"""Charts of test images: which runs they show, and from what to what a band goes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_cells import cells, trial

from grid.report import item_charts
from grid.report.charts import LineChart
from grid.report.plane_charts import ConfusionChart
from grid.report.tables import Contrast, contrasts

CONFUSIONS = "Confusions, % of each class"
NUMBERS = {"random": 0, "ISIC2019": 1}


def stored(folder: Path, architecture: str, **arrays: np.ndarray) -> list[Contrast]:
    """Two seeds of random weights and of ISIC2019, all with these test items."""
    path = folder / "items.npz"
    np.savez(path, **arrays)
    metric = "miou" if architecture == "unet" else "auc"
    rows = [
        trial(seed, 0.5, initialization=name, architecture=architecture, items=str(path)) | {metric: value}
        for name, value in (("random", 0.5), ("ISIC2019", 0.7))
        for seed in (0, 1)
    ]
    return contrasts(cells(*rows))


def test_classes_have_curves_confusions_and_image_scores(tmp_path: Path) -> None:
    labels = np.array([0, 1, 0, 1, 1])
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3], [0.1, 0.9]], np.float32)
    found = item_charts.item_charts(
        stored(tmp_path, "classifier", labels=labels, scores=scores), NUMBERS, {"DRIVE": ("no", "yes")}
    )
    titles = [chart.title for chart in found]
    assert titles == [
        "ROC",
        "Precision and recall",
        "Reliability",
        CONFUSIONS,
        "Scores of single images",
    ]
    roc, confusion = found[0], found[3]
    assert isinstance(roc, LineChart)
    assert [line.name for line in roc.lines] == ["ISIC2019", "random", "chance"]
    assert isinstance(confusion, ConfusionChart)
    assert confusion.names == ("no", "yes")
    assert (confusion.note, confusion.x_label) == ("DRIVE, ResNet-18: ISIC2019", "predicted class of images")
    assert confusion.shares == (pytest.approx((100, 0)), pytest.approx((100 / 3, 200 / 3)))


def test_masks_have_confusions_of_pixels_and_image_scores(tmp_path: Path) -> None:
    matrices = np.array([[[8, 0], [0, 2]], [[6, 2], [2, 0]]])
    found = item_charts.item_charts(stored(tmp_path, "unet", confusions=matrices), NUMBERS, {})
    assert [chart.title for chart in found] == [CONFUSIONS, "Scores of single images"]
    scores = found[1]
    assert isinstance(scores, LineChart)
    assert scores.x_label == "mean IoU of an image, %"
    line = scores.lines[0]
    assert (line.x[0], line.x[-1], line.y[0], line.y[-1]) == (pytest.approx(30), 100, 0, 100)


def test_runs_without_test_items_have_no_charts() -> None:
    rows = [trial(0, v, initialization=n) for n, v in (("random", 0.5), ("ISIC2019", 0.7))]
    assert item_charts.item_charts(contrasts(cells(*rows)), NUMBERS, {}) == []


def test_band_goes_from_the_lowest_to_the_highest_repeat() -> None:
    x = np.array([10.0, 20.0, 30.0])
    rows = [np.array([1.0, np.nan, np.nan]), np.array([3.0, 4.0, np.nan])]
    line = item_charts.averaged("a", 1, x, rows)
    assert (line.x, line.y, line.band) == ((10.0, 20.0), (2.0, 4.0), ((1.0, 3.0), (4.0, 4.0)))
    assert item_charts.averaged("a", 1, x, rows[1:]).band == ()
    assert item_charts.averaged("a", 1, x, rows, "mean").bars == line.band


def test_groups_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(item_charts, "MOST_GROUPS", 1)
    found = stored(tmp_path, "unet", confusions=np.array([[[8, 0], [0, 2]]]))
    assert len(item_charts.item_charts(found * 3, NUMBERS, {})) == 2


def test_limit_leaves_out_no_target_before_the_second_network_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(item_charts, "MOST_GROUPS", 2)
    (one,) = stored(tmp_path, "unet", confusions=np.array([[[8, 0], [0, 2]]]))
    found = [one, replace(one, network="CE-Net"), replace(one, column=("HRF", 1.0))]
    notes = [chart.note for chart in item_charts.item_charts(found, NUMBERS, {})[::2]]
    assert [note.split(",")[0] for note in notes] == ["DRIVE", "HRF"]
