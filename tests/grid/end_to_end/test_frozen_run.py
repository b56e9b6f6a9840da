"""A whole run of initializations, networks, modes and learning rates: each is a column of its table."""

from collections import Counter
from pathlib import Path

import pandas as pd
import published
import pytest
import serial
import tiny

from grid.results import frame
from grid.results.cells import find_cells
from medpt import phantom
from medpt.models.weights import random_weights

BACKBONES = {"plain": "shufflenet_v2", "conv": "timm/test_convnext", "token": "timm/test_vit"}
SPACE = f"""
title: every factor
metrics: paper
size: 32
pretrain: {{min_steps: 0, max_steps: 1, evaluate_every: 1, batch_size: 2, validation_fraction: 0}}
finetune: {{min_steps: 0, max_steps: 1, evaluate_every: 1, batch_size: 2}}
controls: false
keep: none
experiments:
  - initialization: [random, {", ".join(BACKBONES)}, ISIC2019]
    backbone: [{", ".join(BACKBONES.values())}]
    target: [ChestXRay2017]
    seed: [0]
    factors: {{mode: [linear_probe, finetune], learning_rate: [1e-4, 1e-3]}}
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tiny.Run:
    folder = tmp_path_factory.mktemp("frozen")
    data, out = folder / "data", folder / "out"
    phantom.write("ISIC2019", data / "ISIC2019", train=6, size=48)
    phantom.write("ChestXRay2017", data / "ChestXRay2017", train=20, test=8, size=48)
    for name, backbone in BACKBONES.items():
        weights = {
            key.removeprefix("encoder.network."): tensor
            for key, tensor in random_weights(backbone, 0).items()
        }
        published.describe(folder, name, weights, backbone=backbone)
    space = tiny.written(folder, SPACE)
    return tiny.Run(data, space, out, serial.run(space, data, out))


def rows_of(finished: tiny.Run) -> pd.DataFrame:
    return frame.load("tiny", finished.out)


def test_table_shows_each_factor(finished: tiny.Run) -> None:
    for column in (
        "mode",
        "learning_rate",
        "initialization",
        "ISIC2019",
        "linear_probe",
        "finetune",
        "0.001",
    ):
        assert column in finished.output
    for word in (*BACKBONES, *BACKBONES.values()):
        assert word in finished.output


def test_every_network_starts_from_random_own_and_pretrained_weights_in_each_mode(finished: tiny.Run) -> None:
    found = rows_of(finished)
    assert set(found["status"]) == {"finished"}
    assert Counter(zip(found["backbone"], found["mode"], strict=True)) == {
        (backbone, mode): 3 * rates
        for backbone in BACKBONES.values()
        for mode, rates in (("finetune", 2), ("linear_probe", 1))
    }
    frozen = found[found["mode"] == "linear_probe"]
    assert frozen["learning_rate"].isna().all()
    assert frozen["auc"].between(0, 1).all()
    assert frozen["val_auc"].notna().all()
    assert all(Path(path).name == "items.npz" for path in frozen["items"])


def test_modes_are_cells_of_their_own(finished: tiny.Run) -> None:
    found = find_cells(rows_of(finished))
    assert len(found) == 3 * 3 * 3
    assert {cell.planned for cell in found} == {1}
    assert {cell.varied for cell in found} == {("mode", "learning_rate")}
    assert {cell.settings for cell in found} == {
        "mode linear_probe",
        "mode finetune, learning_rate 0.0001",
        "mode finetune, learning_rate 0.001",
    }


def test_report_misses_no_curve_of_a_frozen_encoder(finished: tiny.Run) -> None:
    page = (finished.out / "reports" / "tiny" / "index.html").read_text("utf-8")
    assert "Learning curves" in page
    assert "is missing" not in page
