"""Cells of a comparison group as the estimator takes them, and what a group says that it lacks."""

from math import inf
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_cells import cells, trial

from grid.results import groups
from grid.results.cells import find_cells
from grid.results.comparisons import differences, intervals
from grid.results.groups import ComparedGroup
from grid.results.metrics import bounds
from medpt import influence, metrics

IMAGES = 12


def _stored(folder: Path, name: str, images: int = IMAGES, patients: list[int] | None = None) -> str:
    confusions = np.random.default_rng(len(name)).integers(1, 30, (images, 2, 2))
    arrays = {"confusions": confusions} | ({} if patients is None else {"patients": np.array(patients)})
    np.savez(folder / f"{name}.npz", **arrays)
    return str(folder / f"{name}.npz")


def _compared(*trials: dict[str, object]) -> ComparedGroup:
    (found,) = groups.compared_groups(cells(*trials)).values()
    return found


def _described(found: ComparedGroup) -> str:
    return found.describe(found.estimate([found.weights((found.cells[0].key, 1.0))]))


def test_cells_without_a_finished_repeat_are_in_no_group() -> None:
    assert groups.compared_groups(cells(trial(0, None, "failed"))) == {}
    found = _compared(trial(0, 0.5), trial(0, None, "missing", initialization="ISIC2019"))
    assert [cell.key.initialization for cell in found.cells] == ["random"]


def test_variance_of_one_seed_is_that_of_the_mean_over_test_images(tmp_path: Path) -> None:
    path = _stored(tmp_path, "a")
    found = _compared(trial(0, 0.5, items=path))
    values = 100 * influence.mean_iou_influence(np.load(path)["confusions"])
    assert found.estimate([[1.0]]).variance[0] == pytest.approx(values.var(ddof=1) / IMAGES)
    assert (found.images, found.patients, _described(found)) == (IMAGES, None, groups.ITEMS_ALONE)


def test_images_of_one_patient_count_together(tmp_path: Path) -> None:
    patients = [n // 3 for n in range(IMAGES)]
    path = _stored(tmp_path, "a", patients=patients)
    found = _compared(trial(0, 0.5, items=path))
    values = 100 * influence.mean_iou_influence(np.load(path)["confusions"])
    sums = values.reshape(4, 3).sum(1)
    assert found.patients == 4
    assert found.estimate([[1.0]]).variance[0] == pytest.approx(4 / 3 * (sums**2).sum() / IMAGES**2)


def test_seeds_alone_where_no_items_are_stored() -> None:
    values = [0.50, 0.52, 0.57]
    found = _compared(*(trial(n, value) for n, value in enumerate(values)))
    assert found.estimate([[1.0]]).variance[0] == pytest.approx(1e4 * np.var(values, ddof=1) / 3)
    assert _described(found) == groups.SEEDS_ALONE


def test_seeds_alone_where_runs_were_tested_on_different_items(tmp_path: Path) -> None:
    one, other = (_stored(tmp_path, str(images), images=images) for images in (IMAGES, IMAGES + 1))
    found = _compared(trial(0, 0.5, items=one), trial(1, 0.6, items=other))
    assert _described(found) == groups.OTHER_ITEMS
    assert found.images is None


def test_one_run_without_items_is_named(tmp_path: Path) -> None:
    found = _compared(trial(0, 0.5, items=_stored(tmp_path, "a")), trial(1, 0.6, items=None))
    assert _described(found) == "seeds alone where a run has no test items stored"


@pytest.mark.parametrize(
    ("images", "patients", "note"),
    [
        (2, None, groups.FEW_ITEMS),
        (IMAGES, [0] * 6 + [1] * 6, groups.FEW_ITEMS),
        (IMAGES, [0, 1, 2] * 4, groups.RARE_CLASS),
    ],
)
def test_too_few_test_items_have_no_interval(
    images: int, patients: list[int] | None, note: str, tmp_path: Path
) -> None:
    path = _stored(tmp_path, "few", images, patients)
    found = _compared(*(trial(seed, 0.5 + seed / 10, items=path) for seed in range(3)))
    estimated = found.estimate([1.0])
    assert estimated.value[0] == pytest.approx(60)
    assert np.isnan(estimated.limits()[0][0]) == (note == groups.FEW_ITEMS)
    assert _described(found) == note


@pytest.mark.parametrize(
    ("labels", "patients"),
    [
        ([0] * 11 + [1], None),
        ([0] * 6 + [1] * 5 + [2], None),
        ([0] * 6 + [1] * 3 + [2] * 3, [*range(9), 9, 9, 9]),
    ],
    ids=["of two", "of three", "images of one patient"],
)
def test_single_image_or_patient_of_a_class_has_no_interval(
    tmp_path: Path, labels: list[int], patients: list[int] | None
) -> None:
    """Its placement has no variance, so that the interval had a width of the other images'."""
    scores = np.random.default_rng(0).random((IMAGES, max(labels) + 1))
    arrays = {"scores": scores, "labels": np.array(labels)}
    arrays |= {} if patients is None else {"patients": np.array(patients)}
    path = tmp_path / "single.npz"
    np.savez(path, **arrays)
    trials = [
        trial(0, None, initialization=name, architecture="classifier", macro_auc=value, items=str(path))
        for name, value in (("random", 0.9), ("imagenet*", 0.1))
    ]
    (found,) = groups.compared_groups(find_cells(pd.DataFrame(trials), "macro_auc")).values()
    assert _described(found) == groups.SINGLE_ITEM
    (difference,) = differences(found)
    assert (difference.verdict, difference.note) == ("undecided", groups.SINGLE_ITEM)


@pytest.mark.parametrize(("of_class", "misses"), [(1, True), (12, False)])
def test_variance_over_images_is_known_unless_a_class_has_one(of_class: int, misses: bool) -> None:
    """The mean AUC over three classes varies over 2,000 test sets as its influence values say."""
    rng, labels = np.random.default_rng(0), np.repeat([0, 1, 2], [20, 20, of_class])
    values, variances = [], []
    for _ in range(2_000):
        scores = rng.normal(size=(len(labels), 3)) + np.eye(3)[labels]
        values.append(metrics.macro_auc(scores, labels))
        variances.append(influence.macro_auc_influence(scores, labels).var(ddof=1) / len(labels))
    ratio = float(np.mean(variances) / np.var(values))
    assert ratio < 0.6 if misses else ratio == pytest.approx(1, abs=0.1)


def test_rare_class_and_a_single_seed_are_both_named(tmp_path: Path) -> None:
    confusions = np.zeros((IMAGES, 2, 2), int) + np.diag([20, 0])
    confusions[: groups.items.RARE - 1] = np.random.default_rng(0).integers(1, 30, (9, 2, 2))
    path = tmp_path / "rare.npz"
    np.savez(path, confusions=confusions)
    one, two = (trial(seed, 0.5 + seed / 10, items=str(path)) for seed in range(2))
    assert _described(_compared(one)) == f"{groups.RARE_CLASS}; {groups.ITEMS_ALONE}"
    assert _described(_compared(one, two)) == groups.RARE_CLASS


def test_equal_values_of_seeds_are_named(tmp_path: Path) -> None:
    path = _stored(tmp_path, "equal")
    assert _described(_compared(*(trial(seed, 0.5, items=path) for seed in range(3)))) == groups.EQUAL_SEEDS


def test_no_interval_without_items_and_repeats() -> None:
    assert _described(_compared(trial(0, 0.5))) == groups.NO_SPREAD


def test_seeds_of_survival_are_repeated_splits() -> None:
    rows = [trial(n, None, architecture="cox", c_index=c) for n, c in enumerate([0.5, 0.6, 0.64])]
    found = _compared(*rows)
    factor = 1 / 3 + 0.2 / 0.8  # Nadeau and Bengio 2003: 1/K + n_test / n_train
    variance = 1e4 * np.var([0.5, 0.6, 0.64], ddof=1)
    assert found.estimate([[1.0]]).variance[0] == pytest.approx(variance * factor)
    assert _described(found) == groups.SPLITS


def test_splits_that_are_tested_on_one_external_set_share_its_items(tmp_path: Path) -> None:
    """The truth is equal, and the predictions are not; test sets of the splits themselves differ."""
    truth = np.random.default_rng(0).integers(1, 30, (IMAGES, 2, 2))
    for name, confusions in (("first", truth), ("second", truth[:, :, ::-1])):
        np.savez(tmp_path / f"{name}.npz", confusions=confusions)
    paths = [str(tmp_path / f"{name}.npz") for name in ("first", "second")]
    found = _compared(*(trial(0, 0.5 + n / 10, items=path, fold=n) for n, path in enumerate(paths)))
    assert (found.images, _described(found)) == (IMAGES, "")
    influences = [100 * influence.mean_iou_influence(np.load(path)["confusions"]) for path in paths]
    items = np.mean(influences, axis=0)
    assert found.estimate([[1.0]]).items.variance[0] == pytest.approx(items.var(ddof=1) / IMAGES)
    own = [_stored(tmp_path, "a" * (n + 1)) for n in range(2)]
    splits = _compared(*(trial(0, 0.5 + n / 10, items=path, fold=n) for n, path in enumerate(own)))
    assert _described(splits) == groups.FOLDS


def test_interval_of_a_cell_ends_at_the_limits_of_its_metric() -> None:
    found = _compared(trial(0, 0.99), trial(1, 0.80), trial(0, 0.02, initialization="ISIC2019"))
    low, high = found.estimate(np.eye(2)).limits()
    assert high[0] > 100
    assert low[1] < 0
    cut = list(intervals(found).values())
    assert (cut[0].low, cut[0].high) == (pytest.approx(max(low[0], 0)), 100)
    assert (cut[1].low, cut[1].high) == (0, pytest.approx(min(high[1], 100)))


def test_metric_with_a_value_beyond_one_is_no_fraction() -> None:
    assert bounds("miou", [50, 100]) == (0, 100)
    assert bounds("kappa", [-20]) == (-100, 100)
    assert bounds("hd95", [130]) == (0, inf)
    assert bounds("loss_of_an_extension", [130]) == (-inf, inf)
