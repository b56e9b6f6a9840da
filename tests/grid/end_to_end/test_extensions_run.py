"""Networks and a method from outside: through a whole run, and each way in which they can be wrong."""

from pathlib import Path
from typing import Any

import pytest
import serial
import tiny
from installed import EXAMPLE, SPACE, example, installed, project

from medpt.errors import InputError
from medpt.models.registry import ARCHITECTURES, build_classifier, build_encoder, build_segmenter
from medpt.specs import Pretrain


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example extension, installed for this process."""
    monkeypatch.syspath_prepend(EXAMPLE)
    monkeypatch.syspath_prepend(installed(tmp_path / "installed", example()))
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, folders: list[Path], *arguments: Any, code: int = 0) -> str:
    for folder in (EXAMPLE, *folders):
        monkeypatch.syspath_prepend(folder)
    return serial.run(*arguments, code=code)


def test_run_with_networks_and_a_method_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, out = tiny.data(tmp_path / "data"), tmp_path / "out"
    path = tiny.written(tmp_path, SPACE.replace("[fcn, unet]", "[fcn]").replace(", ChestXRay2017", ""))
    output = run(monkeypatch, [installed(tmp_path / "installed", example())], path, data, out)
    assert "report:" in output
    markers = {marker["label"]: marker for marker in tiny.markers(out).values()}
    assert len(markers) == 1 + 1 + 2
    pretrained = markers["SS-denoising on DRIVE · five_blocks"]
    assert pretrained["metrics"]["val_mse"] > 0
    assert pretrained["spec"]["extensions"]["method denoising"] == "example-nets 0.1"
    transferred = markers["SS-denoising → DRIVE · fcn/five_blocks · 0"]
    assert transferred["spec"]["weights"] == pretrained["digest"]
    assert 0 <= transferred["metrics"]["miou"] <= 1
    (report,) = out.rglob("*.html")
    assert "fcn / five_blocks" in report.read_text()


BROKEN = {
    "absent": (
        "no_such_module:build",
        "does not load: ModuleNotFoundError: No module named 'no_such_module'",
    ),
    "nameless": ("example_nets:Six", "does not load: AttributeError: module 'example_nets' has no attribute"),
    "constant": ("example_denoising:NOISE", "is float; a function is accepted"),
    "narrow": ("wrong_nets:narrow", "`channels` is (3,); the widths of five maps are accepted"),
    "coarse": ("wrong_nets:coarse", "gives [(2, 16, 32, 32), (2, 24, 16, 16), (2, 32, 8, 8), (2, 48, 4, 4)"),
    "failing": ("wrong_nets:failing", "ZeroDivisionError: integer division or modulo by zero"),
}
WRONG = """
from example_nets import FiveBlocks

def narrow(output_stride):
    network = FiveBlocks(output_stride)
    network.channels = (3,)
    return network

def coarse(output_stride):
    network = FiveBlocks(output_stride)
    network.forward = lambda images: FiveBlocks.forward(network, images.repeat(1, 1, 2, 2))
    return network

def failing(output_stride):
    return 1 // 0
"""


def test_broken_entry_points_are_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All in one pass, a line each, exit code 2."""
    points = {name: value for name, (value, _) in BROKEN.items()}
    broken = project("broken-nets", "backbones", **points)
    broken["entry-points"]["medpt.methods"] = {"lost": "no_such_module:method"}
    folder = installed(tmp_path / "installed", broken)
    (folder / "wrong_nets.py").write_text(WRONG)
    data, out = tiny.data(tmp_path / "data"), tmp_path / "out"
    text = SPACE.replace("five_blocks", ", ".join(points)).replace("[fcn, unet]", "[unet]")
    path = tiny.written(tmp_path, text.replace("SS-denoising", "SS-lost"))
    output = run(monkeypatch, [folder], path, data, out, code=2)
    assert "Traceback" not in output
    for name, (value, problem) in BROKEN.items():
        (line,) = (line for line in output.splitlines() if f"backbone '{name}'" in line)
        assert line.startswith(f"backbone '{name}' ({value} of broken-nets 1.0)")
        assert problem in line
    lost = "method 'lost' (no_such_module:method of broken-nets 1.0) does not load: ModuleNotFoundError"
    assert output.count(lost) == 1
    assert not list((out / "done").glob("*"))


def test_backbone_of_an_extension_fits_every_architecture(here: Path) -> None:
    import torch

    images, deepest = torch.zeros(2, 3, 64, 64), {32: 2, 16: 4, 8: 8}
    assert build_classifier("five_blocks", 5)(images).shape == (2, 5)
    assert build_segmenter("cenet", "five_blocks", 5)(torch.zeros(2, 3, 192, 192)).shape == (2, 5, 192, 192)
    for stride, side in deepest.items():
        encoder = build_encoder("five_blocks", stride)
        assert encoder(images)[-1].shape == (2, encoder.channels[-1], side, side)


def test_segmentation_network_is_checked_against_its_contract(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medpt.models.contract import segmenter_problems

    assert segmenter_problems("fcn", "five_blocks", 32) == []
    assert segmenter_problems("fcn", "resnet18", 32) == []
    for architecture in set(ARCHITECTURES) - {"cenet"}:
        assert segmenter_problems(architecture, "five_blocks", 64) == []
    wrong = (
        "from example_nets import FCN\n\ndef build(backbone, n):\n    return FCN('shufflenet_v2', n + 1)\n"
    )
    folder = installed(here / "more", project("more", "architectures", wrong="wrong_head:build"))
    (folder / "wrong_head.py").write_text(wrong)
    monkeypatch.syspath_prepend(folder)
    problems = segmenter_problems("wrong", "five_blocks", 32)
    name = "architecture 'wrong' (wrong_head:build of more 1.0) on backbone 'five_blocks'"
    assert all(line.startswith(name) for line in problems)
    assert any("missing tensor encoder.blocks.0.0.weight" in line for line in problems)
    assert any("gives [(2, 4, 32, 32)] for 2 images of 32 pixels and 3 classes" in line for line in problems)


def test_method_that_trains_another_encoder_is_refused(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from medpt.units.pretrain import set_up

    folder = installed(here / "more", project("more", "methods", wrong="wrong_method:build"))
    (folder / "wrong_method.py").write_text(
        "import dataclasses\nfrom torch import nn\n"
        "def build(spec, feeds):\n    return type('Work', (), {'model': nn.Linear(1, 1)})\n"
    )
    monkeypatch.syspath_prepend(folder)
    with pytest.raises(
        InputError, match=r"method 'wrong' \(wrong_method:build of more 1.0\): missing tensor"
    ):
        set_up(Pretrain(("DRIVE",), ("d",), "five_blocks", "classifier", "wrong"), [])
    with pytest.raises(InputError, match="method: no 'wrongs'; did you mean wrong"):
        set_up(Pretrain(("DRIVE",), ("d",), "five_blocks", "classifier", "wrongs"), [])
