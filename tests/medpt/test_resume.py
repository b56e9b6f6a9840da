import subprocess
import sys
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from training_runs import (
    NOBODY,
    SHORT,
    TRAIN,
    VAL,
    Certain,
    KilledError,
    Mortal,
    assert_same,
    fingerprint,
    network,
    train,
)
from training_sets import shades, squares

from medpt.checkpoint import Checkpoints
from medpt.data.arrays import ArrayLoader
from medpt.tasks.base import TrainingSetup
from medpt.tasks.segment import Segment
from medpt.train import MetricsRow, TrainingResult, fit


@pytest.mark.parametrize("val_rows", [VAL, NOBODY], ids=["best", "last"])
def test_resuming_after_any_step_changes_no_bit(tmp_path: Path, val_rows: np.ndarray) -> None:
    whole = train(val_rows=val_rows)
    for step in range(SHORT.max_steps):
        saved = Checkpoints(tmp_path / str(step))
        with pytest.raises(KilledError):
            train(Mortal(shades(), step), val_rows=val_rows, checkpoints=replace(saved, seconds=0))
        assert (saved.newest() is None) == (step == 0)
        assert_same(train(val_rows=val_rows, checkpoints=saved), whole)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("augment", ["none", "standard"])
def test_resuming_keeps_every_bit_with_each_optimizer_and_a_schedule(
    tmp_path: Path, optimizer: Any, augment: Any
) -> None:
    protocol = replace(SHORT, optimizer=optimizer, schedule="cosine", augment=augment)
    whole = train(protocol=protocol)
    for step in (1, 6, 13):
        saved = Checkpoints(tmp_path / str(step))
        with pytest.raises(KilledError):
            train(Mortal(shades(), step), protocol=protocol, checkpoints=replace(saved, seconds=0))
        assert_same(train(protocol=protocol, checkpoints=saved), whole)


def test_resuming_keeps_every_bit_with_a_frozen_encoder(tmp_path: Path) -> None:
    """The optimizer numbers the weights that are trained, not those of the network."""
    frozen = replace(SHORT, freeze="encoder")

    def run(loader: Any, **options: Any) -> tuple[dict[str, Tensor], TrainingResult]:
        layers = network()
        model = nn.Sequential(OrderedDict(encoder=layers[:3], head=layers[3:]))
        setup = TrainingSetup(model, Certain(torch.ones(2)), loader, TRAIN, VAL)
        result = fit(setup, frozen, 0, **options)
        return model.state_dict(), result

    saved = Checkpoints(tmp_path)
    with pytest.raises(KilledError):
        run(Mortal(shades(), 6), checkpoints=replace(saved, seconds=0))
    assert_same(run(shades(), checkpoints=saved), run(shades()))


def test_many_kills_change_no_bit(tmp_path: Path) -> None:
    saved = Checkpoints(tmp_path)
    for step in (1, 2, 5, 6, 7, 11, 13):
        with pytest.raises(KilledError):
            train(Mortal(shades(), step), checkpoints=replace(saved, seconds=0))
    assert_same(train(checkpoints=saved), train())


@pytest.mark.parametrize(
    "damage", [lambda b: b[: len(b) // 2], lambda b: b[:-1], lambda b: b[:-9] + b"\x7f" + b[-8:]]
)
def test_damaged_checkpoint_costs_time_and_changes_no_bit(tmp_path: Path, damage: Any) -> None:
    saved = Checkpoints(tmp_path)
    with pytest.raises(KilledError):
        train(Mortal(shades(), 8), checkpoints=replace(saved, seconds=0))
    newest = max(tmp_path.glob("*.safetensors"))
    newest.write_bytes(damage(newest.read_bytes()))
    found = saved.newest()
    assert found is not None
    assert found[1]["step"] == 7
    assert_same(train(checkpoints=saved), train())


def test_resuming_a_finished_run_takes_no_step(tmp_path: Path) -> None:
    saved = Checkpoints(tmp_path)
    whole = train(checkpoints=replace(saved, seconds=0))
    assert_same(train(Mortal(shades(), SHORT.max_steps), checkpoints=saved), whole)


def test_resumed_run_reports_all_its_rows(tmp_path: Path) -> None:
    saved, rows = Checkpoints(tmp_path), list[MetricsRow]()
    with pytest.raises(KilledError):
        train(Mortal(shades(), 8), checkpoints=replace(saved, seconds=0))
    _, outcome = train(checkpoints=saved, on_metrics=rows.append)
    assert rows == outcome.history
    assert [row["step"] for row in rows] == [3, 6, 9, 12, 14]


def test_fit_saves_no_checkpoint_before_its_time(tmp_path: Path) -> None:
    train(checkpoints=Checkpoints(tmp_path, 3600))
    assert not list(tmp_path.iterdir())


def test_fit_gives_equal_weights_only_for_equal_seeds() -> None:
    assert_same(train(seed=3), train(seed=3))
    assert not torch.equal(train(seed=3)[0]["0.weight"], train(seed=4)[0]["0.weight"])


PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
absent = "cv2 pyarrow safetensors pandas sklearn scipy pydicom mlflow ray grid"
sys.modules.update(dict.fromkeys(absent.split()))
import torch
import medpt.units.finetune, medpt.units.pretrain
torch.set_num_threads(1)
from training_runs import fingerprint, train
print(fingerprint(train()[0]))
"""


def test_fit_needs_only_torch_and_numpy() -> None:
    command = [sys.executable, "-c", PROGRAM, str(Path(__file__).parents[1] / "support")]
    other = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert other.stdout.strip() == fingerprint(train()[0])


def test_segmentation_resumes_bit_for_bit(tmp_path: Path) -> None:
    def run(loader: Any, **options: Any) -> tuple[dict[str, Tensor], TrainingResult]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))
        task = Segment(torch.tensor([0.6, 3.0]))
        setup = TrainingSetup(model, task, loader, np.arange(6), np.arange(6, 8))
        return model.state_dict(), fit(setup, SHORT, 1, **options)

    saved = Checkpoints(tmp_path)
    with pytest.raises(KilledError):
        run(Mortal(squares(ignored=True), 7), checkpoints=replace(saved, seconds=0))
    assert_same(run(squares(ignored=True), checkpoints=saved), run(squares(ignored=True)))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_fit_on_cuda_resumes_close_to_the_same_weights(tmp_path: Path) -> None:
    saved, loader = Checkpoints(tmp_path), ArrayLoader(shades().arrays, "cuda")
    with pytest.raises(KilledError):
        train(Mortal(loader, 8), device="cuda", checkpoints=replace(saved, seconds=0))
    (resumed, one), (whole, two) = (
        train(loader, device="cuda", checkpoints=saved),
        train(loader, device="cuda"),
    )
    assert all(tensor.is_cuda for tensor in whole.values())
    for name, tensor in whole.items():
        torch.testing.assert_close(resumed[name], tensor, rtol=1e-3, atol=1e-3)
    assert one.best == pytest.approx(two.best, abs=1e-3)
