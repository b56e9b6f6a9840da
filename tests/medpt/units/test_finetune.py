import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from memory_inputs import MemoryInputs, job_in, run_pretrain
from training_sets import shades, squares

from medpt import metrics
from medpt.errors import InputError
from medpt.models.weights import encoder_state, load
from medpt.protocol import TrainingProtocol
from medpt.specs import Finetune, Pretrain
from medpt.tasks.supervised import network
from medpt.units import finetune
from medpt.units.base import ITEMS

SHORT = TrainingProtocol(
    batch_size=4, patience=9, min_steps=0, max_steps=4, evaluate_every=2, validation_fraction=0.2
)
SPEC = Finetune("random", None, "Toy", "digest", "resnet18", "classifier", seed=1, protocol=SHORT)
UNET = replace(SPEC, architecture="unet", protocol=replace(SHORT, max_steps=2))


def run(folder: Path, spec: Finetune = SPEC, feed: Any = None, **options: Any) -> dict[str, float]:
    inputs = MemoryInputs({spec.data: feed or shades(train=15)}, after=options.pop("initial", None))
    return finetune.run(spec, inputs, job_in(folder, **options))


def test_classification_is_tested_once_on_the_whole_test_set(tmp_path: Path) -> None:
    feed = shades(train=15, test=7)
    found = run(tmp_path, feed=feed)
    further = {"auc_of_a", "auc_of_b", "average_precision", "sensitivity_at_90_specificity"}
    further |= {"balanced_accuracy", "brier", "calibration_error"}
    chosen = {
        "auc",
        "macro_auc",
        "accuracy",
        "val_auc",
        "steps",
        "best_step",
        "steps_to_95",
        "dense_steps_to_95",
    }
    assert set(found) == chosen | further
    with np.load(tmp_path / "out" / "scores.npz") as saved:
        assert saved["scores"].dtype == np.float32
        assert found["auc"] == metrics.micro_auc(saved["scores"], saved["labels"])
        assert found["accuracy"] == metrics.accuracy(saved["scores"], saved["labels"])
        np.testing.assert_array_equal(saved["ids"], feed.index.ids[15:])
        np.testing.assert_array_equal(saved["labels"], feed.index.labels[15:])


@pytest.mark.parametrize("metric", ["macro_auc", "kappa"])
def test_headline_metric_chooses_the_weights(tmp_path: Path, metric: str) -> None:
    spec = replace(SPEC, metric=metric, protocol=replace(SHORT, max_steps=6, evaluate_every=1))
    found = run(tmp_path, spec)
    history = json.loads((tmp_path / "out" / "history.json").read_text())
    best = max(row[f"val_{metric}"] for row in history)
    assert found[f"val_{metric}"] == pytest.approx(best, abs=spec.protocol.improvement)
    assert metric in found


def test_validation_set_of_one_class_is_refused(tmp_path: Path) -> None:
    feed = shades(train=15)
    feed.index.labels[:15] = 0
    with pytest.raises(InputError, match="validation images are all of the class"):
        run(tmp_path, replace(SPEC, metric="macro_auc"), feed)


def items(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "out" / ITEMS) as saved:
        return dict(saved)


def test_items_of_classification_give_its_metrics_and_contain_no_ids(tmp_path: Path) -> None:
    feed = shades(train=15, test=7)
    found, saved = run(tmp_path, feed=feed), items(tmp_path)
    assert set(saved) == {"scores", "labels", "patients"}
    assert metrics.macro_auc(saved["scores"], saved["labels"]) == found["macro_auc"]
    assert saved["patients"].dtype.kind == "i"
    groups = feed.index.groups[15:]
    np.testing.assert_array_equal(saved["patients"][:, None] == saved["patients"], groups[:, None] == groups)


def test_patients_are_what_is_evaluated_where_the_card_is_reported(tmp_path: Path) -> None:
    feed = shades(train=16, test=8)
    feed.index.labels[:] = np.arange(24) // 2 % 2
    feed.index.groups[:] = ["abcdefghijkl"[row // 2] for row in range(24)]
    found, saved = run(tmp_path, replace(SPEC, evaluate_by="patient"), feed), items(tmp_path)
    with np.load(tmp_path / "out" / "scores.npz") as images:
        mean = images["scores"].reshape(4, 2, 2).mean(1)
        labels = images["labels"][::2]
    np.testing.assert_allclose(saved["scores"], mean, rtol=1e-6)
    np.testing.assert_array_equal(saved["patients"], range(4))
    assert found["macro_auc"] == metrics.macro_auc(mean, labels)
    assert replace(SPEC, evaluate_by="patient").digest != SPEC.digest


def test_items_of_segmentation_give_its_metrics(tmp_path: Path) -> None:
    found, saved = run(tmp_path, UNET, squares(train=10, test=8, size=64, ignored=True)), items(tmp_path)
    assert set(saved) == {"confusions", "patients"}
    assert saved["confusions"].shape == (8, 2, 2)
    assert metrics.class_iou(saved["confusions"].sum(0)).mean() == pytest.approx(found["miou"])
    assert np.mean([metrics.class_iou(c).mean() for c in saved["confusions"]]) == pytest.approx(
        found["image_miou"]
    )


def test_segmentation_leaves_examples_and_the_floor(tmp_path: Path) -> None:
    feed = squares(train=10, test=8, size=64, ignored=True)
    found = run(tmp_path, UNET, feed)
    of_test = {"miou", "foreground_miou", "image_miou", "dice", "background_miou"}
    of_test |= {"iou_of_a", "iou_of_b", "dice_of_a", "dice_of_b", "hd95", "surface_dice"}
    assert set(found) == of_test | {"val_miou", "steps", "best_step", "steps_to_95", "dense_steps_to_95"}
    target = feed.arrays.targets[10:]
    assert found["background_miou"] == metrics.mean_iou(np.zeros_like(target), target, 2)
    with np.load(tmp_path / "out" / "predictions.npz") as saved:
        kept = [feed.index.ids.tolist().index(name) for name in saved["ids"]]
        assert kept[:2] == [10, 11]
        np.testing.assert_array_equal(saved["image"], feed.arrays.images[kept])
        np.testing.assert_array_equal(saved["target"], feed.arrays.targets[kept])
        assert saved["prediction"].shape == (len(kept), 64, 64)
        assert saved["prediction"].dtype == np.uint8


@pytest.mark.parametrize(
    ("right", "rows"),
    [([5, 9, 1, 7, 3, 8], [0, 1, 5, 4, 2]), ([5], [0]), ([5, 9, 1, 7, 3, 8, 2], [0, 1, 5, 6, 2])],
)
def test_example_rows_are_the_first_the_best_and_the_worst(right: list[int], rows: list[int]) -> None:
    """Of ten pixels of a class so many are right; the others are taken for the other class."""
    confusions = np.array([[[n, 10 - n], [10 - n, n]] for n in right])
    assert finetune.example_rows(confusions).tolist() == rows


def test_examples_are_what_the_metric_saw(tmp_path: Path) -> None:
    found = run(tmp_path, UNET, squares(train=10, test=4, size=64))
    with np.load(tmp_path / "out" / "predictions.npz") as saved:
        assert metrics.mean_iou(saved["prediction"], saved["target"], 2) == pytest.approx(found["miou"])


def test_history_and_record_are_left(tmp_path: Path) -> None:
    rows: list[dict[str, float]] = []
    found = run(tmp_path, on_metrics=rows.append)
    assert json.loads((tmp_path / "out" / "history.json").read_text()) == rows
    best = max(rows, key=lambda row: row["val_auc"])
    assert (found["val_auc"], found["best_step"]) == (best["val_auc"], best["step"])
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert (record["train_images"], record["val_images"]) == (12, 3)


def test_equal_seeds_give_equal_metrics_and_scores(tmp_path: Path) -> None:
    one, two = run(tmp_path / "one"), run(tmp_path / "two")
    run(tmp_path / "other", replace(SPEC, seed=2))
    assert one == two
    files = [(tmp_path / side / "out" / "scores.npz").read_bytes() for side in ("one", "two", "other")]
    assert files[0] == files[1] != files[2]


class KilledError(Exception):
    pass


def test_killed_trial_resumes_to_the_same_result(tmp_path: Path) -> None:
    def die(row: dict[str, float]) -> None:
        if row["step"] == 4:
            raise KilledError

    whole = run(tmp_path / "whole")
    with pytest.raises(KilledError):
        run(tmp_path / "killed", checkpoint_seconds=0, on_metrics=die)
    assert run(tmp_path / "killed") == whole
    scores = [(tmp_path / side / "out" / "scores.npz").read_bytes() for side in ("whole", "killed")]
    assert scores[0] == scores[1]


def test_pretrained_encoder_is_what_training_starts_from(tmp_path: Path) -> None:
    """With a learning rate of zero, only batch norm's statistics leave the transferred encoder."""
    pretraining = Pretrain(("Toy",), ("digest",), "resnet18", "classifier", seed=5, protocol=SHORT)
    run_pretrain(pretraining, [shades(train=15, classes=3)], tmp_path / "pre")
    encoder = encoder_state(load(tmp_path / "pre" / "out" / "best.safetensors"))
    still = replace(SPEC, protocol=replace(SHORT, learning_rate=0.0, max_steps=1))
    feed = shades(train=15)
    found = run(tmp_path / "fine", still, feed, initial=encoder, checkpoint_seconds=0)
    (file,) = (tmp_path / "fine" / "checkpoints").glob("*.safetensors")
    trained = load(file)
    learned = [name for name in encoder if "running" not in name and "batches" not in name]
    assert len(learned) > 50
    assert all(torch.equal(trained[f"model/{name}"], encoder[name]) for name in learned)
    assert found != run(tmp_path / "random", still, feed)


def test_encoder_of_another_backbone_is_refused(tmp_path: Path) -> None:
    other = network(shades().index, "shufflenet_v2", "classifier", 0).state_dict()
    with pytest.raises(InputError, match="missing tensor"):
        run(tmp_path, initial=encoder_state(other))


def test_smaller_targets_are_nested_and_leave_the_test_set(tmp_path: Path) -> None:
    feed = shades(train=40, test=6)
    rows = [finetune.training_rows(replace(SPEC, target_size=size), feed) for size in (0.1, 0.25, 0.5, 1.0)]
    assert [len(part) for part in rows] == [4, 10, 20, 40]
    assert all(set(small) <= set(large) for small, large in itertools.pairwise(rows))
    assert max(rows[-1]) < 40
    record = tmp_path / "out" / "record.json"
    run(tmp_path, replace(SPEC, target_size=0.25), feed)
    assert json.loads(record.read_text())["train_images"] == 8


def test_set_without_test_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Toy: 15 training and 0 test images; both are needed"):
        run(tmp_path, feed=shades(train=15, test=0))


def test_one_test_image_has_metrics(tmp_path: Path) -> None:
    found = run(tmp_path, feed=shades(train=15, test=1))
    assert np.isfinite(found["auc"])
    assert np.isnan(found["macro_auc"])
