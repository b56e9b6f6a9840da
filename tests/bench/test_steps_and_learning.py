"""The scripts about training: a table of ratios at tiny sizes, real images learnt by heart."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from bench import learning, step
from bench.learning import free_logits
from bench.step import BASELINE, build, loss, row, training_step
from medpt.tasks.segment import Segment

Command = Callable[..., int | None]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """Call the main function of a script with arguments, in this process."""

    def call(main: Callable[[], int | None], *arguments: str) -> int | None:
        monkeypatch.setattr(sys, "argv", ["bench", *arguments])
        return main()

    threads = torch.get_num_threads()
    yield call
    torch.set_num_threads(threads)


def test_row_for_each_network(run: Command, capsys: pytest.CaptureFixture[str]) -> None:
    networks = ("classifier/resnet18", "etnet/shufflenet_v2")
    run(step.main, "--networks", *networks, "--size=32", "--batch=2", "--steps=1")
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [line.split()[1] for line in rows] == list(networks)
    assert all(re.search(r"\| 32 \| [\d.e+]+ \|( [\d.]+ \|){3} - \|$", line) for line in rows)


def test_ratios_are_to_the_baseline() -> None:
    rates = {BASELINE: 10.0, "channels_last": 20.0, "bf16": 5.0, "fused": 10.0}
    assert row("unet/resnet18", 64, rates) == "| unet/resnet18 | 64 | 10 | 2.00 | 0.50 | 1.00 | - |"


@pytest.mark.parametrize(("switch", "least"), [("channels_last", 0.9999), ("fused", 0.9999), ("bf16", 0.9)])
def test_switch_changes_the_gradient_by_rounding_alone(
    switch: str, least: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cosine to the baseline's; batch norm over few values enlarges bf16's rounding in the deep layers."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(8, 3, 64, 64, generator=generator)
    targets = torch.randint(2, (8,), dtype=torch.uint8, generator=generator)
    gradients = []
    for name in (BASELINE, switch):
        model = build("classifier/resnet18")
        monkeypatch.setattr("bench.step.build", lambda network, model=model: model)
        training_step("classifier/resnet18", name, images, targets)()
        monkeypatch.undo()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    assert torch.cosine_similarity(gradients[0], gradients[1], 0) > least
    assert switch != "bf16" or not torch.equal(gradients[0], gradients[1])


def test_step_lowers_the_loss() -> None:
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([0, 1, 0, 1], dtype=torch.uint8)
    model = build("classifier/resnet18")
    before = loss(model(images), targets).item()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.step.build", lambda network: model)
        training_step("classifier/resnet18", BASELINE, images, targets)()
    assert loss(model(images), targets).item() < before


def test_no_network_draws_thin_lines_from_a_quarter_of_the_side() -> None:
    task = Segment(torch.ones(2))
    stripes = np.zeros((1, 32, 32), np.uint8)
    stripes[:, :, ::4] = 1
    half = np.zeros((1, 32, 32), np.uint8)
    half[:, :, 16:] = 1
    assert free_logits(half, task) > 0.99
    assert free_logits(stripes, task) < 0.6


@pytest.mark.real
def test_network_learns_four_real_images(
    real: Path, run: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--data", str(real), "--networks", "etnet", "--size", "64", "--steps", "120")
    assert run(learning.main, *options) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["dataset"] == "DRIVE"
    assert result["miou"] >= 0.85 > result["background_miou"]


def test_learning_refuses_a_folder_without_the_dataset(
    tmp_path: Path, run: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(learning.main, "--data", str(tmp_path), "--networks", "unet") == 2
    assert "DRIVE: no folder DRIVE in" in capsys.readouterr().err
