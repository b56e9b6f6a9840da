"""Networks and methods from outside: found, named, refused, run; versions are part of a result's name."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
from installed import EXAMPLE, SPACE, environment, example, installed, project

from grid.claims import published
from grid.execution import allocation
from grid.plan.initialization import space_datasets
from grid.plan.plan import Plan
from grid.plan.planner import build_plan
from grid.results.display import network_name
from grid.space import reader, trials
from medpt import extensions
from medpt.errors import InputError
from medpt.models.registry import ARCHITECTURES, BACKBONES, architectures, backbones
from medpt.specs import Finetune

DOCS = Path(__file__).parents[3] / "docs" / "extending.md"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example extension, installed for this process."""
    monkeypatch.syspath_prepend(EXAMPLE)
    monkeypatch.syspath_prepend(installed(tmp_path / "installed", example()))
    return tmp_path


def planned(path: Path) -> Plan:
    found = reader.load(str(path))
    return build_plan(found, dict.fromkeys(space_datasets(found), "print"), {})


def test_names_of_extensions_follow_the_built_in_ones(here: Path) -> None:
    assert backbones() == (*BACKBONES, "five_blocks")
    assert architectures() == (*ARCHITECTURES, "fcn")
    assert trials.self_supervised() == trials.SELF_SUPERVISED | {"SS-denoising": "denoising"}


def test_without_extensions_there_are_the_built_in_ones_alone() -> None:
    assert (backbones(), architectures()) == (BACKBONES, ARCHITECTURES)
    assert trials.self_supervised() == trials.SELF_SUPERVISED


def test_light_list_of_methods_is_that_of_the_code() -> None:
    from medpt.units import pretrain

    assert tuple(pretrain.METHODS) == trials.METHODS


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
def test_name_that_is_taken_is_refused(
    here: Path, monkeypatch: pytest.MonkeyPatch, group: str, name: str, told: str
) -> None:
    other = installed(here / "other", project("other-nets", group, **{name: "other:build"}))
    monkeypatch.syspath_prepend(other)
    with pytest.raises(InputError, match=told):
        reader.load(str(tiny.written(here, SPACE)))


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
def test_mistake_in_a_space_is_reported_with_the_names_of_extensions(
    here: Path, old: str, new: str, told: str
) -> None:
    path = tiny.written(here, SPACE.replace(old, new))
    with pytest.raises(InputError) as caught:
        reader.load(str(path))
    (problem,) = caught.value.problems
    assert told in problem
    assert f"{path}:" in problem


def test_version_is_part_of_the_name_of_what_uses_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
        assert type(unit.spec).from_json(json.loads(json.dumps(unit.spec.to_json()))) == unit.spec


def test_machine_with_another_version_refuses_the_unit(here: Path) -> None:
    extensions.require({"backbone five_blocks": "example-nets 0.1"})
    with pytest.raises(InputError) as caught:
        extensions.require({"backbone five_blocks": "example-nets 0.2", "method mine": "other 1.0"})
    assert caught.value.problems == [
        "backbone five_blocks: example-nets 0.2 is planned, example-nets 0.1 is installed on this machine",
        "method mine: other 1.0 is planned, nothing is installed on this machine",
    ]


def test_extensions_have_a_share_and_a_name() -> None:
    spec = Finetune("random", None, "DRIVE", "d", "mine", "unet", extensions={"backbone mine": "x 1"})
    assert allocation.gpu_share(spec) == 1.0
    assert allocation.gpu_share(replace(spec, architecture="classifier")) == 0.5
    assert network_name("classifier", "mine") == "mine"
    assert network_name("own", "mine") == "own / mine"


@pytest.mark.parametrize(
    ("name", "built_in", "target"),
    [
        ({"backbone": "DenseNet-121"}, {"backbone": "densenet121"}, "HRF"),
        ({"architecture": "DeepLabV3+"}, {"architecture": "deeplabv3plus"}, "CardiacMRI"),
    ],
)
def test_extension_never_fills_a_cell_of_the_paper(
    name: dict[str, str], built_in: dict[str, str], target: str
) -> None:
    trial = trials.Trial("0", "random", None, "resnet18", "unet", target, 1.0, 0)
    assert published.key_of_trial(replace(trial, **built_in)) in published.cells()  # type: ignore[arg-type]
    assert published.key_of_trial(replace(trial, **name)) not in published.cells()  # type: ignore[arg-type]


def test_dry_run_knows_extensions_and_imports_none(tmp_path: Path) -> None:
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
    assert "6 trials, 10 units" in done.stdout


def test_distribution_without_a_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = installed(tmp_path / "installed", example())
    (info,) = folder.glob("*.dist-info")
    (info / "METADATA").write_text("Metadata-Version: 2.4\nName: example-nets\n")
    monkeypatch.syspath_prepend(folder)
    with pytest.raises(
        InputError, match=r"entry point 'five_blocks' of medpt\.backbones: its distribution has no version"
    ):
        extensions.versions(backbone="five_blocks")


@pytest.mark.parametrize("file", ["pyproject.toml", "example_nets.py", "example_denoising.py"])
def test_documented_example_is_the_one_that_runs(file: str) -> None:
    assert (EXAMPLE / file).read_text().strip() in DOCS.read_text()
