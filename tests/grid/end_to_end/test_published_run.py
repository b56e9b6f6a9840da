"""A whole run from published weights, which are those of a pre-training of ours under foreign names."""

import re
from pathlib import Path

import published
import serial
import tiny

from grid.results import frame
from grid.store.store import Store
from medpt import phantom
from medpt.models.weights import encoder_state, load

SPACE = """
title: published weights
metrics: paper
size: 32
pretrain: {min_steps: 0, max_steps: 2, evaluate_every: 1, batch_size: 4}
finetune: {min_steps: 0, max_steps: 2, evaluate_every: 1, batch_size: 4}
controls: false
experiments:
  - initialization: [random, ISIC2019]
    backbone: [shufflenet_v2]
    target: [ChestXRay2017]
    seed: [0]
"""


def test_published_weights_of_ours_give_the_metrics_of_their_pretraining(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    phantom.write("ISIC2019", data / "ISIC2019", train=12, size=48)
    phantom.write("ChestXRay2017", data / "ChestXRay2017", train=12, test=8, size=48)
    space = tiny.written(tmp_path, SPACE)
    serial.run(space, data, out)
    store = Store(out)
    (source,) = (name for name in store.finished() if store.marker(name).kind == "pretrain")
    trained = encoder_state(load(store.artifact(source, "best.safetensors")))
    published.describe(data, "mine", trained, trained_on=["ChestXRay2017"])
    published.describe(tmp_path, "other", trained, trained_on="unknown", mean=[0.5], std=[0.1])

    tiny.written(tmp_path, SPACE.replace("ISIC2019]", "ISIC2019, mine, other]"))
    printed = serial.run(space, data, out)
    found = frame.load("tiny", out).set_index("initialization")
    assert found.loc["mine", "auc"] == found.loc["ISIC2019", "auc"]
    assert found.loc["mine", "digest"] != found.loc["ISIC2019", "digest"]
    assert len({*found["digest"]}) == 4
    assert "other (trained on: unknown)" in printed
    assert "warning: mine was trained on images of the target ChestXRay2017" in printed

    published.describe(tmp_path, "renamed", trained, trained_on="unknown", mean=[0.5], std=[0.1])
    (data / "initializations" / "mine.yaml").rename(tmp_path / "initializations" / "mine.yaml")
    (data / "initializations" / "mine.pth").rename(tmp_path / "initializations" / "mine.pth")
    tiny.written(tmp_path, SPACE.replace("ISIC2019]", "ISIC2019, mine, renamed]"))
    planned = serial.run(space, data, out, "--dry-run")
    assert re.search(r"fine-tune +4 +4 +0", planned), planned
