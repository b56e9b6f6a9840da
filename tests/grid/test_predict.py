"""Predictions of kept networks: those of a fine-tuning's own test images are what its record says."""

import csv
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import serial
import tiny
from PIL import Image

from grid import predict
from grid.results.frame import read_plan
from grid.store.store import Store
from medpt import metrics
from medpt.data import Dataset, Record, open_dataset
from medpt.data.masks import read_ids
from medpt.data.preprocess import pipeline_of, preprocess_pair
from medpt.metrics import macro_auc, micro_auc

SPACE = """
title: networks to predict with
metrics: paper
size: 32
finetune: {min_steps: 0, max_steps: 2, evaluate_every: 2}
controls: false
experiments:
  - {initialization: random, backbone: shufflenet_v2, target: ChestXRay2017, seed: [0, 1]}
  - {initialization: random, backbone: shufflenet_v2, target: DRIVE, seed: 0}
"""
BOTH = "target=ChestXRay2017"


class Finished(NamedTuple):
    data: Path
    out: Path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("predict")
    data, out = tiny.data(folder / "data"), folder / "out"
    serial.run(tiny.written(folder, SPACE), data, out)
    return Finished(data, out)


def run(finished: Finished, to: Path, where: str, *images: Path, code: int = 0) -> list[dict[str, str]]:
    given = ["--space", "tiny", "--out", str(finished.out), "--where", where, "--to", str(to)]
    assert predict.main([*given, *map(str, images)]) == code
    if code:
        return []
    with (to / "predictions.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def official_test(finished: Finished, name: str) -> tuple[Dataset, list[Record]]:
    """The dataset and its test images in the order of their ids."""
    dataset = open_dataset(name, finished.data)
    return dataset, sorted((r for r in dataset if r.split == "test"), key=lambda record: record.id)


def digest_of(finished: Finished, target: str, seed: int) -> str:
    trials = read_plan("tiny", finished.out).trials
    return next(name for trial, name in trials if (trial.target, trial.seed) == (target, seed))


def test_scores_of_the_test_images_are_those_of_the_record(finished: Finished, tmp_path: Path) -> None:
    dataset, records = official_test(finished, "ChestXRay2017")
    rows = run(finished, tmp_path / "to", f"{BOTH},seed=0", *(dataset.root / r.image_path for r in records))
    digest = digest_of(finished, "ChestXRay2017", 0)
    found = np.array(
        [[row[f"p_{name}"] for name in ("NORMAL", "PNEUMONIA")] for row in rows], dtype=np.float32
    )
    names = [row["image"] for row in rows]
    order = [names.index(Path(record.image_path).name) for record in records]
    with np.load(Store(finished.out).folder(digest) / "scores.npz") as saved:
        np.testing.assert_allclose(found[order], saved["scores"], atol=1e-6)
        labels = saved["labels"]
    record = Store(finished.out).marker(digest).metrics
    assert micro_auc(found[order], labels) == record["auc"]
    assert macro_auc(found[order], labels) == record["macro_auc"]
    best = found.argmax(1)
    assert [row["predicted"] for row in rows] == [("NORMAL", "PNEUMONIA")[number] for number in best]
    about = json.loads((tmp_path / "to" / "network.json").read_text())
    assert about["networks"][0]["test"] == record


def test_masks_of_the_test_images_are_those_of_the_record(finished: Finished, tmp_path: Path) -> None:
    dataset, records = official_test(finished, "DRIVE")
    images = [dataset.root / record.image_path for record in records]
    rows = run(finished, tmp_path / "to", "target=DRIVE,seed=0", *images)
    pipeline, by_name = pipeline_of(dataset.info, 32), {row["image"]: row for row in rows}
    digest = digest_of(finished, "DRIVE", 0)
    with np.load(Store(finished.out).folder(digest) / "predictions.npz") as saved:
        predicted, targets = saved["prediction"], saved["target"]
        of_image = dict(zip(saved["ids"].tolist(), predicted, strict=True))
    assert metrics.mean_iou(predicted, targets, 2) == Store(finished.out).marker(digest).metrics["miou"]
    for record, path in zip(records, images, strict=True):
        row, pixels = by_name[path.name], dataset.image(record)
        mask = read_ids(tmp_path / "to" / row["mask"])
        assert mask.shape == pixels.shape[:2]
        assert int(row["pixels_background"]) == np.count_nonzero(mask == 0)
        again, inside = (preprocess_pair(pixels, each, pipeline)[1] for each in (mask, np.ones_like(mask)))
        np.testing.assert_array_equal(
            again, np.where(inside, of_image[record.id], 0)
        )  # padding is no part of the image


def test_repeats_are_averaged(finished: Finished, tmp_path: Path) -> None:
    dataset, records = official_test(finished, "ChestXRay2017")
    images = [dataset.root / record.image_path for record in records[:3]]
    each = [run(finished, tmp_path / str(n), f"{BOTH},seed={n}", *images) for n in (0, 1)]
    both = run(finished, tmp_path / "both", BOTH, *images)
    for one, other, mean in zip(*each, both, strict=True):
        expected = (float(one["p_NORMAL"]) + float(other["p_NORMAL"])) / 2
        assert float(mean["p_NORMAL"]) == pytest.approx(expected, abs=1e-6)
    assert len(json.loads((tmp_path / "both" / "network.json").read_text())["networks"]) == 2


def test_several_trials_are_listed_and_refused(
    finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(finished, tmp_path / "to", "seed=0", finished.data, code=2)
    assert "target=DRIVE" in (printed := capsys.readouterr().err)
    assert "2 trials match, and they differ in more than seed, pretrain_seed, fold" in printed
    run(finished, tmp_path / "to", "target=DRIV", finished.data, code=2)
    assert "--where target=DRIV: no trial has it; did you mean DRIVE?" in capsys.readouterr().err


def test_all_bad_images_are_named_and_nothing_is_written(
    finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, cut, strip = (tmp_path / name for name in ("a.png", "b.png", "c.png"))
    Image.fromarray(np.full((40, 40), 90, np.uint8)).save(good)
    cut.write_bytes(good.read_bytes()[:60])
    Image.fromarray(np.zeros((4, 400), np.uint8)).save(strip)
    missing = tmp_path / "missing.png"
    run(finished, tmp_path / "to", f"{BOTH},seed=0", good, cut, strip, missing, code=2)
    printed = capsys.readouterr().err
    assert all(str(path) in printed for path in (cut, strip, missing))
    assert str(good) not in printed
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "b.png", "c.png"}


def test_folder_that_is_not_empty_is_refused(
    finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "kept.txt").touch()
    run(finished, tmp_path, f"{BOTH},seed=0", finished.data, code=2)
    assert "exists and is not empty; a new folder is accepted" in capsys.readouterr().err
