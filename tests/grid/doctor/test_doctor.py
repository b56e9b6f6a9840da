"""grid.doctor: what a run would use and need, beside a slow count of bytes; the command."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import published
import pytest
import tiny

from grid.doctor import __main__ as doctor
from grid.doctor import checks, disk_usage
from grid.doctor.checks import GIB, Finding
from grid.options import parse_options
from grid.plan import datasets
from grid.space import reader
from medpt import cli
from medpt.models.footprint import footprint

TEXT = """
title: one source, one target
size: 64
pretrain: {min_steps: 0, max_steps: 8, evaluate_every: 2}
finetune: {min_steps: 0, max_steps: 8, evaluate_every: 2}
experiments:
  - initialization: [random, ISIC2019]
    backbone: [resnet18]
    target: [DRIVE]
    architecture: [unet]
    seed: [0, 1]
"""


def planned(folder: Path, text: str = TEXT, *more: str) -> doctor.PlannedRun:
    path = folder / "small.yaml"
    path.write_text(text)
    options = parse_options(["--space", str(path), "--out", str(folder / "out"), *more])
    return doctor.PlannedRun(options, reader.load(str(path)))


# --- the disk -----------------------------------------------------------------------------------------------


def test_need_is_that_of_the_arrays(tmp_path: Path) -> None:
    """Oracle: the arrays that the cache will hold and the tensors that the files will, counted one by one."""
    from medpt.models.registry import build_classifier

    looked = planned(tmp_path)
    need = disk_usage.estimate(looked.plan.units.values(), looked.plan.sizes, looked.images, 32 * GIB, 2)
    skin = np.empty((25331, 64, 64, 3), np.uint8)
    vessels = [np.empty((40, 64, 64, channels), np.uint8) for channels in (3, 1)]
    assert need["caches"] == skin.nbytes + sum(part.nbytes for part in vessels)
    assert need["shards"] == pytest.approx(0.7 * need["caches"])
    state = build_classifier("resnet18", 8).state_dict().values()
    tensors = sum(tensor.numel() * tensor.element_size() for tensor in state)
    assert need["results"] == pytest.approx(2 * tensors + disk_usage.SMALL * len(looked.plan.units), rel=0.02)
    assert need["checkpoints"] == 3 * 2 * footprint("unet", "resnet18").megabytes * 1e6


def test_subsets_and_streamed_sets_need_less(tmp_path: Path) -> None:
    part = planned(tmp_path, TEXT.replace("backbone: [", "sample_size: [5000]\n    backbone: ["))
    need = disk_usage.estimate(part.plan.units.values(), part.plan.sizes, part.images, 32 * GIB, 1)
    rows = [(5000, 3), (40, 4)]
    assert need["caches"] == sum(count * 64 * 64 * channels for count, channels in rows)
    streamed = disk_usage.estimate(part.plan.units.values(), part.plan.sizes, part.images, 2**20, 1)
    assert streamed["caches"] == 40 * 64 * 64 * 4
    assert streamed["shards"] == need["shards"]


def test_what_is_finished_needs_nothing(tmp_path: Path) -> None:
    looked = planned(tmp_path)
    before = sum(looked.disk_usage().values())
    for name in looked.plan.units:
        marker = looked.out / "done" / f"{name}.json"
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.write_text("{}")
    assert before > 100e6
    assert sum(looked.disk_usage().values()) == 0


def test_synthetic_data_are_counted_as_drawn(tmp_path: Path) -> None:
    looked = planned(tmp_path, TEXT + "phantom: {train: 12, test: 4}\n")
    assert looked.disk_usage()["caches"] == 16 * 64 * 64 * 3 + 16 * 64 * 64 * 4


# --- the space ----------------------------------------------------------------------------------------------


def test_datasets_that_are_absent_are_named(tmp_path: Path) -> None:
    (tmp_path / "data" / "DRIVE").mkdir(parents=True)
    ok, text = doctor.check_datasets(planned(tmp_path, TEXT, "--data", str(tmp_path / "data")))
    assert not ok
    assert "ISIC2019: no folder" in text
    assert "DRIVE" not in text
    (tmp_path / "data" / "ISIC2019").mkdir()
    ok, text = doctor.check_datasets(planned(tmp_path, TEXT, "--data", str(tmp_path / "data")))
    assert not ok  # the folders are empty
    assert "ISIC_2019_Training_GroundTruth.csv" in text
    tiny.data(tmp_path / "whole")
    assert doctor.check_datasets(planned(tmp_path, TEXT, "--data", str(tmp_path / "whole"))).ok
    assert not doctor.check_datasets(planned(tmp_path)).ok
    assert doctor.check_datasets(planned(tmp_path, TEXT + "phantom: {train: 12, test: 4}\n")).ok


def test_imagenet_weights_that_are_absent_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    text = TEXT.replace("[random, ISIC2019]", '[random, "imagenet*"]')
    name = datasets.published_name("resnet18")
    found = doctor.check_weights(planned(tmp_path, text))
    assert not found.ok
    assert name in found.text
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / name).write_bytes(b"")
    assert doctor.check_weights(planned(tmp_path, text)).ok
    (tmp_path / "other").mkdir()
    assert not doctor.check_weights(planned(tmp_path, text, "--imagenet-weights", str(tmp_path / "other"))).ok
    assert doctor.check_weights(planned(tmp_path)).text == "no trial starts from ImageNet weights"


def test_published_weights_are_checked_as_before_a_run(tmp_path: Path) -> None:
    assert doctor.check_published_weights(planned(tmp_path)).ok
    published.describe(tmp_path, "mine", backbone="resnet18")
    text = TEXT.replace("[random, ISIC2019]", "[random, mine]")
    assert doctor.check_published_weights(planned(tmp_path, text)).text == "1 complete: mine"
    (tmp_path / "initializations" / "mine.pth").unlink()
    found = doctor.check_published_weights(planned(tmp_path, text))
    assert not found.ok
    assert "mine.pth: no such file" in found.text


# --- the command --------------------------------------------------------------------------------------------


def test_line_a_check_and_the_count(capsys: pytest.CaptureFixture[str]) -> None:
    console = cli.console()
    good, bad = Finding(True, "fine"), Finding(False, "[do] this")
    assert doctor.print_findings({"one": lambda: good, "two": lambda: bad}, console) == 1
    assert capsys.readouterr().out.splitlines() == [
        "ok     one        fine",
        "FAILED two        [do] this",
        "1 of 2 checks failed",
    ]
    assert doctor.print_findings({"one": lambda: good}, console) == 0
    assert capsys.readouterr().out.endswith("ready\n")


def test_cluster_is_asked_other_things(tmp_path: Path) -> None:
    here, there = (
        set(doctor.checks_of(planned(tmp_path, TEXT, *more))) for more in ([], ["--address", "a:1"])
    )
    assert there - here == {"shared", "cluster", "token"}
    assert here - there == {"GPUs", "CPUs", "shm", "temporary", "sockets"}


def test_bad_space_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(TEXT.replace("resnet18", "resnet81"))
    assert doctor.main(["--space", str(path)]) == 2


def test_command_writes_nothing_and_starts_no_ray(tmp_path: Path) -> None:
    program = (
        "import sys, json; from grid.doctor import __main__ as doctor;"
        f"code = doctor.main(['--space', 'demo', '--out', {str(tmp_path / 'out')!r}]);"
        "heavy = [name for name in ('ray', 'mlflow', 'pandas', 'cv2') if name in sys.modules];"
        "print(json.dumps([code, heavy]))"
    )
    lines = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=checks.LOCK.parent
    ).stdout.splitlines()
    code, heavy = json.loads(lines[-1])
    lines_of_checks = [line for line in lines[:-1] if line.startswith(("ok", "FAILED"))]
    assert heavy == []
    assert code == (1 if any(line.startswith("FAILED") for line in lines_of_checks) else 0)
    assert len(lines_of_checks) == len(doctor.checks_of(planned(tmp_path)))
    assert not (tmp_path / "out").exists()
