"""What is predicted without images: planted leaks are found, clean data give chance, masks a mean mask."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memory_inputs import MemoryInputs, job_in
from training_sets import shades, squares

from medpt.data.arrays import ArrayLoader
from medpt.specs import ImageFree
from medpt.tasks.segment import segmentation_metrics
from medpt.units import image_free

SPEC = ImageFree("Toy", "data")
TRAIN, TEST = 80, 40


def _loader(**changes: Any) -> ArrayLoader:
    """Images of noise; labels are random, unless `changes` say otherwise."""
    loader = shades(TRAIN, TEST, size=8)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, loader.arrays.images.shape).astype(np.uint8)
    labels = rng.permutation(loader.index.labels)
    index = replace(loader.index, **{"labels": labels} | changes)
    return ArrayLoader(replace(loader.arrays, index=index, images=images, targets=index.labels))


def _run(folder: Path, loader: ArrayLoader) -> tuple[dict[str, float], str]:
    metrics = image_free.run(SPEC, MemoryInputs({"data": loader}), job_in(folder))
    return metrics, json.loads((folder / "out" / image_free.CHOSEN).read_text())["chosen"]


def test_class_in_the_size_of_files_is_found(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    files = np.full((TRAIN + TEST, 4), np.nan)
    labels = rng.integers(0, 2, TRAIN + TEST)
    files[:, 0] = rng.integers(1_000, 2_000, TRAIN + TEST) + 1_200 * labels
    metrics, chosen = _run(tmp_path, _loader(labels=labels, files=files))
    assert chosen == "file size"
    assert metrics["macro_auc"] > 0.95


def test_class_in_the_order_of_ids_is_found(tmp_path: Path) -> None:
    labels = np.concatenate([np.arange(n) * 3 // n for n in (TRAIN, TEST)])
    index = replace(_loader().index, classes=("a", "b", "c"))
    metrics, chosen = _run(tmp_path, _loader(labels=labels, classes=index.classes))
    assert chosen in (image_free.ORDER, image_free.NUMBER)
    assert metrics["macro_auc"] > 0.9


def test_class_in_the_number_of_the_id_is_found(tmp_path: Path) -> None:
    labels = np.random.default_rng(3).integers(0, 2, TRAIN + TEST)
    ids = np.array([f"{n:03}/case{100 * label + n % 50}" for n, label in enumerate(labels)])
    metrics, chosen = _run(tmp_path, _loader(labels=labels, ids=ids))
    assert chosen == image_free.NUMBER
    assert metrics["macro_auc"] == 1


def test_nothing_is_found_where_nothing_leaks(tmp_path: Path) -> None:
    metrics, _ = _run(tmp_path, _loader())
    assert 0.25 < metrics["macro_auc"] < 0.75


def test_trivial_predictor_of_classes_has_the_prior(tmp_path: Path) -> None:
    metrics, _ = _run(tmp_path, _loader())
    assert metrics["trivial_macro_auc"] == 0.5


def test_findings_are_predicted_one_by_one(tmp_path: Path) -> None:
    loader = _loader()
    labels = np.stack([loader.index.labels, np.random.default_rng(5).integers(0, 2, TRAIN + TEST)], 1)
    labels = labels.astype(np.float32)
    labels[::7, 1] = np.nan
    files = np.full((TRAIN + TEST, 4), np.nan)
    files[:, 0] = loader.index.labels
    trees = image_free._Trees(files[:, :1], labels, 2, 4)
    scores = trees.scores(files[:, :1])
    np.testing.assert_array_equal(scores[:, 0], labels[:, 0])
    assert scores.shape == (TRAIN + TEST, 2)


def test_masks_are_predicted_by_the_mean_training_mask(tmp_path: Path) -> None:
    loader = squares(12, 5, ignored=True)
    metrics, chosen = _run(tmp_path, loader)
    masks = loader.arrays.targets.astype(int)
    share = np.stack([(masks[:12] == k).mean(0) for k in range(2)])
    guess = share.argmax(0)
    confusions = np.zeros((5, 2, 2), int)
    for number, mask in enumerate(masks[12:]):
        for true, predicted in zip(mask.ravel(), guess.ravel(), strict=True):
            if true != 255:
                confusions[number, true, predicted] += 1
    expected = dict(segmentation_metrics(confusions, finite=True))
    assert chosen == image_free.MASK
    assert {name: metrics[name] for name in expected} == pytest.approx(expected)
    assert metrics["trivial_miou"] == metrics["background_miou"]


def test_folders_of_classes_do_not_count_as_an_order() -> None:
    loader = _loader()
    ids = np.array([f"{label}/{n:03}" for n, label in enumerate(loader.index.labels)])
    plain, in_folders = (dict(image_free.numbers(_loader(**c)))[image_free.ORDER] for c in ({}, {"ids": ids}))
    np.testing.assert_array_equal(plain, in_folders)
