"""Networks and methods from outside: found, named, refused, run; versions are part of a result's name."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import tiny
from installed import EXAMPLE, example, installed

from grid import cost, plan, published, resources, space, tables
from medpt import extensions
from medpt.errors import InputError
from medpt.models import (
    ARCHITECTURES,
    BACKBONES,
    architectures,
    backbones,
    build_classifier,
    build_encoder,
    build_segmenter,
)
from medpt.spec import Finetune, Pretrain, from_plain

DOCS = Path(__file__).parents[2] / "docs" / "extending.md"
SPACE = """
title: networks and a method of another package
size: 32
pretrain: {min_steps: 0, max_steps: 4, evaluate_every: 2}
finetune: {min_steps: 0, max_steps: 4, evaluate_every: 2}
experiments:
  - initialization: [random, SS-denoising]
    backbone: [five_blocks]
    architecture: [fcn, unet]
    target: [DRIVE, ChestXRay2017]
    seed: [0]
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example extension, installed for this process."""
    monkeypatch.syspath_prepend(EXAMPLE)
    monkeypatch.syspath_prepend(installed(tmp_path / "installed", example()))
    return tmp_path


def environment(*folders: Path) -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join(map(str, (*folders, EXAMPLE)))}


def project(name: str, group: str, **points: str) -> dict[str, Any]:
    return {"name": name, "version": "1.0", "entry-points": {f"medpt.{group}": points}}


def planned(path: Path) -> plan.Plan:
    found = space.load(str(path))
    return plan.build(found, dict.fromkeys(plan.datasets(found), "print"), {})


def test_names_of_extensions_follow_the_built_in_ones(here: Path) -> None:
    assert backbones() == (*BACKBONES, "five_blocks")
    assert architectures() == (*ARCHITECTURES, "fcn")
    assert space.self_supervised() == space.SELF_SUPERVISED | {"SS-denoising": "denoising"}


def test_without_extensions_there_are_the_built_in_ones_alone() -> None:
    assert (backbones(), architectures()) == (BACKBONES, ARCHITECTURES)
    assert space.self_supervised() == space.SELF_SUPERVISED


def test_the_light_list_of_methods_is_that_of_the_code() -> None:
    from medpt import pretrain

    assert tuple(pretrain.METHODS) == space.METHODS


@pytest.mark.parametrize(
    ("group", "name", "told"),
    [
        ("backbones", "resnet18", "backbone 'resnet18' is given by medpt itself and by other-nets 1.0"),
        ("backbones", "ResNet18", "backbone 'ResNet18' is given by medpt itself and by other-nets 1.0"),
        ("architectures", "unet", "architecture 'unet' is given by medpt itself and by other-nets 1.0"),
        ("methods", "jigsaw", "method 'jigsaw' is given by medpt itself and by other-nets 1.0"),
        ("backbones", "Five_Blocks", "is given by other-nets 1.0 and by example-nets 0.1"),
    ],
)
def test_a_name_that_is_taken_is_refused(
    here: Path, monkeypatch: pytest.MonkeyPatch, group: str, name: str, told: str
) -> None:
    other = installed(here / "other", project("other-nets", group, **{name: "other:build"}))
    monkeypatch.syspath_prepend(other)
    with pytest.raises(InputError, match=told):
        space.load(str(tiny.written(here, SPACE)))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("[five_blocks]", "[fiveblocks]", "unknown backbone `fiveblocks`; did you mean five_blocks?"),
        ("[fcn, unet]", "[fcnn]", "unknown architecture `fcnn`; did you mean fcn"),
        ("SS-denoising", "SS-Denoise", "unknown initialization `SS-Denoise`; did you mean SS-denoising"),
        (
            "random, ",
            '"imagenet*", ',
            "no ImageNet weights are published for five_blocks; imagenet* is accepted",
        ),
    ],
)
def test_a_mistake_in_a_space_is_told_with_the_names_of_extensions(
    here: Path, old: str, new: str, told: str
) -> None:
    path = tiny.written(here, SPACE.replace(old, new))
    with pytest.raises(InputError) as caught:
        space.load(str(path))
    (problem,) = caught.value.problems
    assert told in problem
    assert f"{path}:" in problem


def test_the_version_is_part_of_the_name_of_what_uses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tiny.written(tmp_path, SPACE.replace("[five_blocks]", "[five_blocks, resnet18]"))
    made = []
    for version in ("0.1", "0.1.post1", "0.1"):
        with monkeypatch.context() as here:
            here.syspath_prepend(installed(tmp_path / str(len(made)), example(version=version)))
            made.append(planned(path))
    old, new, again = ({unit.label: digest for digest, unit in one.units.items()} for one in made)
    assert old == again
    kept = {label for label in old if old[label] == new[label]}
    assert kept == {
        *("DRIVE", "ChestXRay2017"),
        "random → DRIVE · unet/resnet18 · 0",
        "random → ChestXRay2017 · resnet18 · 0",
    }


def test_specifications_say_which_extensions_they_use(here: Path) -> None:
    five, fcn, method = ({f"{what}": "example-nets 0.1"} for what in
                         ("backbone five_blocks", "architecture fcn", "method denoising"))  # fmt: skip
    units = planned(tiny.written(here, SPACE)).units.values()
    told = {unit.label: unit.spec.extensions for unit in units if not hasattr(unit.spec, "pipeline")}
    assert told["SS-denoising on DRIVE · five_blocks"] == five | method
    assert told["random → DRIVE · fcn/five_blocks · 0"] == five | fcn
    assert told["random → DRIVE · unet/five_blocks · 0"] == five
    assert told["random → ChestXRay2017 · five_blocks · 0"] == five
    for unit in units:
        assert from_plain(unit.kind, json.loads(json.dumps(asdict(unit.spec)))) == unit.spec


def test_a_machine_with_another_version_refuses_the_unit(here: Path) -> None:
    extensions.require({"backbone five_blocks": "example-nets 0.1"})
    with pytest.raises(InputError) as caught:
        extensions.require({"backbone five_blocks": "example-nets 0.2", "method mine": "other 1.0"})
    assert caught.value.problems == [
        "backbone five_blocks: example-nets 0.2 is planned, example-nets 0.1 is installed on this machine",
        "method mine: other 1.0 is planned, nothing is installed on this machine",
    ]


def test_what_nobody_measured_has_a_cost_a_share_and_a_name() -> None:
    assert cost.gmacs("unet", "resnet18") == cost.GMACS["unet", "resnet18"]
    assert cost.gmacs("classifier", "mine") == max(cost.GMACS["classifier", name] for name in BACKBONES)
    assert cost.gmacs("mine", "resnet18") == max(cost.GMACS[name, "resnet18"] for name in ARCHITECTURES)
    assert cost.gmacs("mine", "mine") == max(cost.GMACS.values())
    spec = Finetune("random", None, "DRIVE", "d", "mine", "unet", extensions={"backbone mine": "x 1"})
    assert resources.gpu_share(spec) == 1.0
    assert resources.gpu_share(replace(spec, architecture="classifier")) == 0.5
    assert tables.network("classifier", "mine") == "mine"
    assert tables.network("own", "mine") == "own / mine"


@pytest.mark.parametrize(
    ("name", "built_in", "target"),
    [
        ({"backbone": "DenseNet-121"}, {"backbone": "densenet121"}, "HRF"),
        ({"architecture": "DeepLabV3+"}, {"architecture": "deeplabv3plus"}, "CardiacMRI"),
    ],
)
def test_an_extension_never_fills_a_cell_of_the_paper(
    name: dict[str, str], built_in: dict[str, str], target: str
) -> None:
    trial = space.Trial("0", "random", None, "resnet18", "unet", target, 1.0, 0)
    assert published.key(replace(trial, **built_in)) in published.cells()  # type: ignore[arg-type]
    assert published.key(replace(trial, **name)) not in published.cells()  # type: ignore[arg-type]


def test_a_dry_run_knows_extensions_and_imports_none(tmp_path: Path) -> None:
    script = (
        "import sys; from grid.run import main; code = main(sys.argv[1:]);"
        "assert not {'ray', 'torch', 'mlflow', 'pandas', 'example_nets'} & set(sys.modules); sys.exit(code)"
    )
    arguments = ["--space", str(tiny.written(tmp_path, SPACE)), "--dry-run", "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment(installed(tmp_path / "installed", example())),
    )
    assert done.returncode == 0, done.stderr
    assert "6 trials become 10 units" in done.stdout


def run(monkeypatch: pytest.MonkeyPatch, folders: list[Path], *arguments: Any, code: int = 0) -> str:
    for name, value in environment(*folders).items():
        monkeypatch.setenv(name, value)
    return tiny.run(*arguments, code=code)


def test_a_run_with_networks_and_a_method_from_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = tiny.data(tmp_path / "data"), tmp_path / "out"
    path = tiny.written(tmp_path, SPACE.replace("[fcn, unet]", "[fcn]").replace(", ChestXRay2017", ""))
    told = run(monkeypatch, [installed(tmp_path / "installed", example())], path, data, out)
    assert "report:" in told
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


def test_broken_entry_points_are_told_before_anything_starts(
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
    told = run(monkeypatch, [folder], path, data, out, code=2)
    assert "Traceback" not in told
    for name, (value, problem) in BROKEN.items():
        (line,) = (line for line in told.splitlines() if f"backbone '{name}'" in line)
        assert line.startswith(f"backbone '{name}' ({value} of broken-nets 1.0)")
        assert problem in line
    lost = "method 'lost' (no_such_module:method of broken-nets 1.0) does not load: ModuleNotFoundError"
    assert told.count(lost) == 1
    assert not list((out / "done").glob("*"))


def test_a_backbone_from_outside_stands_under_everything(here: Path) -> None:
    import torch

    images, deepest = torch.zeros(2, 3, 64, 64), {32: 2, 16: 4, 8: 8}
    assert build_classifier("five_blocks", 5)(images).shape == (2, 5)
    assert build_segmenter("cenet", "five_blocks", 5)(torch.zeros(2, 3, 192, 192)).shape == (2, 5, 192, 192)
    for stride, side in deepest.items():
        encoder = build_encoder("five_blocks", stride)
        assert encoder(images)[-1].shape == (2, encoder.channels[-1], side, side)


def test_a_segmentation_network_is_held_to_its_contract(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    told = segmenter_problems("wrong", "five_blocks", 32)
    name = "architecture 'wrong' (wrong_head:build of more 1.0) on backbone 'five_blocks'"
    assert all(line.startswith(name) for line in told)
    assert any("missing tensor encoder.blocks.0.0.weight" in line for line in told)
    assert any("gives [(2, 4, 32, 32)] for 2 images of 32 pixels and 3 classes" in line for line in told)


def test_a_method_that_trains_another_encoder_is_refused(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from medpt.pretrain import prepare

    folder = installed(here / "more", project("more", "methods", wrong="wrong_method:build"))
    (folder / "wrong_method.py").write_text(
        "import dataclasses\nfrom torch import nn\n"
        "def build(spec, feeds):\n    return type('Work', (), {'model': nn.Linear(1, 1)})\n"
    )
    monkeypatch.syspath_prepend(folder)
    with pytest.raises(
        InputError, match=r"method 'wrong' \(wrong_method:build of more 1.0\): missing tensor"
    ):
        prepare(Pretrain(("DRIVE",), ("d",), "five_blocks", "classifier", "wrong"), [])
    with pytest.raises(InputError, match="method: no 'wrongs'; did you mean wrong"):
        prepare(Pretrain(("DRIVE",), ("d",), "five_blocks", "classifier", "wrongs"), [])


def test_a_distribution_without_a_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = installed(tmp_path / "installed", example())
    (info,) = folder.glob("*.dist-info")
    (info / "METADATA").write_text("Metadata-Version: 2.4\nName: example-nets\n")
    monkeypatch.syspath_prepend(folder)
    with pytest.raises(
        InputError, match=r"entry point 'five_blocks' of medpt\.backbones: its distribution gives"
    ):
        extensions.versions(backbone="five_blocks")


@pytest.mark.parametrize("file", ["pyproject.toml", "example_nets.py", "example_denoising.py"])
def test_the_documented_example_is_the_one_that_runs(file: str) -> None:
    assert (EXAMPLE / file).read_text().strip() in DOCS.read_text()
