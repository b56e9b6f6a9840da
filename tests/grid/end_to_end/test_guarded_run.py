"""A whole run over data into which copies were planted: they are found, not trained on, and reported."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import serial
import tiny
from PIL import Image

from grid.report.page import build
from grid.store.store import Store
from medpt import phantom
from medpt.data.manifest import read_index

SPACE = """
title: copies among the images
size: 64
pretrain: {min_steps: 0, max_steps: 2, evaluate_every: 2, batch_size: 4}
finetune: {min_steps: 0, max_steps: 2, evaluate_every: 2, batch_size: 4}
controls: false
experiments:
  - initialization: [EyePACS]
    backbone: [shufflenet_v2]
    target: [DRIVE, MESSIDOR]
    seed: [0]
  - initialization: [SS-Jigsaw]
    backbone: [shufflenet_v2]
    target: [DRIVE]
    seed: [0]
"""
PLANTED = {"100_left": (0, 90), "100_right": (1, 60), "103_left": (2, 75), "103_right": (3, 40)}


def plant(data: Path) -> None:
    """Images of DRIVE among those of EyePACS, recompressed, the second one mirrored; one twice in DRIVE."""
    drive = sorted(data.glob("DRIVE/t*/images/[0-9]*.tif"))
    for name, (number, quality) in PLANTED.items():
        pixels = np.asarray(Image.open(drive[number]).convert("RGB"))
        image = Image.fromarray(np.ascontiguousarray(pixels[:, ::-1] if number == 1 else pixels))
        image.save(data / "EyePACS" / "train" / f"{name}.jpeg", quality=quality)
    table = data / "EyePACS" / "trainLabels.csv"
    table.write_text(
        table.read_text().rstrip() + "".join(f"\n{name},{n % 2}" for n, name in enumerate(PLANTED))
    )
    test, train = (sorted(data.glob(f"DRIVE/{part}/images/[0-9]*.tif"))[0] for part in ("test", "training"))
    train.write_bytes(test.read_bytes())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("leaks") / "data"
    phantom.write("EyePACS", folder / "EyePACS", train=24, size=64)
    phantom.write("MESSIDOR", folder / "MESSIDOR", train=12, size=64)
    phantom.write("DRIVE", folder / "DRIVE", train=6, test=4, size=64)
    plant(folder)
    return folder


@pytest.fixture(scope="module")
def out(data: Path) -> Path:
    serial.run(tiny.written(data.parent, SPACE, "leaks"), data, data.parent / "out")
    return data.parent / "out"


def marker(out: Path, label: str) -> dict[str, Any]:
    (found,) = [facts for facts in tiny.markers(out).values() if facts["label"] == label]
    return found


def artifact(out: Path, label: str, name: str) -> Any:
    return json.loads((out / "units" / marker(out, label)["digest"] / name).read_text())


def trained_on(out: Path, label: str) -> int:
    record = artifact(out, label, "record.json")
    return int(record["train_images"] + record["val_images"])


COMMON, FOR_DRIVE, FOR_MESSIDOR = (
    f"EyePACS{more} · shufflenet_v2" for more in ("", " for DRIVE", " for MESSIDOR")
)


def test_planted_copies_are_excluded_for_their_target_alone(out: Path) -> None:
    index = read_index(Store(out).folder(marker(out, "EyePACS")["digest"]))
    training = index.ids[index.rows("train")].tolist()
    planted = sorted(name for name in training if Path(name).stem in PLANTED)
    assert len(planted) >= 2
    (pair,) = artifact(out, FOR_DRIVE, "leaks.json")["pairs"]
    assert [(leak["id"], leak["kind"]) for leak in pair["found"]] == [(name, "near") for name in planted]
    assert {Path(leak["id"]).stem: leak["turned"] for leak in pair["found"]}.get("100_right", 4) == 4
    assert (pair["images"], pair["against"]) == (len(training), 10)
    assert marker(out, FOR_DRIVE)["metrics"]["leaked_images"] == len(planted)
    assert trained_on(out, FOR_DRIVE) == len(training) - len(planted)
    assert trained_on(out, COMMON) == len(training)


def test_where_nothing_is_shared_the_common_result_is_taken(out: Path) -> None:
    common, taken, guarded = (
        marker(out, label)["artifacts"]["best.safetensors"] for label in (COMMON, FOR_MESSIDOR, FOR_DRIVE)
    )
    assert common == taken != guarded
    assert marker(out, FOR_MESSIDOR)["metrics"] == marker(out, COMMON)["metrics"] | {"leaked_images": 0.0}
    assert artifact(out, FOR_MESSIDOR, "leaks.json")["pairs"][0]["found"] == []


def test_self_supervision_does_not_see_its_target_s_test_images(out: Path) -> None:
    (pair,) = artifact(out, "SS-Jigsaw on DRIVE · shufflenet_v2", "leaks.json")["pairs"]
    assert [leak["kind"] for leak in pair["found"]] == ["identical"]
    assert trained_on(out, "SS-Jigsaw on DRIVE · shufflenet_v2") == 5


def test_report_lists_the_copies_and_names_them_where_images_may_be_shown(out: Path) -> None:
    hidden = (out / "reports" / "leaks" / "index.html").read_text()
    assert "<td>EyePACS</td><td>DRIVE</td>" in hidden
    assert "_left" not in hidden
    page = build("leaks", out, images=True).read_text()
    section = page.split('id="leaks"')[1].split("</section>")[0]
    assert "100_left" in section or "103_left" in section
    assert "EyePACS for DRIVE:" in section
    assert "EyePACS for MESSIDOR:" not in section
    assert "every grade of diabetic retinopathy" in section
