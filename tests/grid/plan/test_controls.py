"""Which controls a space has, and what they depend on."""

from dataclasses import replace
from pathlib import Path

import pytest

from grid.plan.initialization import space_datasets
from grid.plan.plan import Plan
from grid.plan.planner import build_plan
from grid.space import reader as spaces
from medpt.specs import Finetune, ImageFree, Probe

TRAINED = (Finetune, ImageFree, Probe)
BLOCK = """
experiments:
  - initialization: [random, ISIC2019]
    backbone: [resnet18, shufflenet_v2]
    target: [ChestXRay2017, DRIVE]
    seed: [0, 1]
"""


def _plan(folder: Path, text: str) -> Plan:
    path = folder / "trial.yaml"
    path.write_text(text)
    space = spaces.load(str(path))
    return build_plan(space, {name: f"print of {name}" for name in space_datasets(space)}, {})


def test_target_has_one_unit_without_images_and_one_of_random_networks_a_backbone(
    tmp_path: Path,
) -> None:
    plan = _plan(tmp_path, BLOCK)
    specs = [plan.units[digest].spec for digest in plan.controls]
    assert [spec.dataset for spec in specs if isinstance(spec, ImageFree)] == ["ChestXRay2017", "DRIVE"]
    found = {(s.dataset, s.backbone): s.networks for s in specs if isinstance(s, Probe)}
    assert found == {
        ("ChestXRay2017", "resnet18"): 20,
        ("ChestXRay2017", "shufflenet_v2"): 20,
        ("DRIVE", "resnet18"): 5,
        ("DRIVE", "shufflenet_v2"): 5,
    }
    data = {plan.units[digest].spec.data for _, digest in plan.trials}
    assert {spec.data for spec in specs} == data
    assert set(plan.controls) <= plan.results


def test_probes_come_first_and_random_networks_last(tmp_path: Path) -> None:
    """Of a space with probes: whatever ends a run early, the initializations are compared before controls."""
    plan = _plan(tmp_path, "probes: true\nrandom_networks: 7" + BLOCK)
    kinds = [unit.spec.kind for unit in plan.units.values() if isinstance(unit.spec, TRAINED)]
    runs, probes = 16, 4
    assert kinds == [
        *["probe"] * probes,
        *["finetune"] * 8,
        *["image_free"] * 2,
        *["finetune"] * 8,
        *["probe"] * 4,
    ]
    assert len(plan.trials) == runs
    assert {spec.networks for spec in probes_of(plan)} == {1, 7}


def probes_of(plan: Plan) -> list[Probe]:
    return [unit.spec for unit in plan.units.values() if isinstance(unit.spec, Probe)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("", True), ("controls: false", False), ("phantom: {}", False), ("phantom: {}\ncontrols: true", True)],
)
def test_controls_are_on_for_real_data_unless_the_space_says_otherwise(
    text: str, wanted: bool, tmp_path: Path
) -> None:
    assert bool(_plan(tmp_path, text + BLOCK).controls) == wanted


def test_controls_change_no_other_unit(tmp_path: Path) -> None:
    plan, without = _plan(tmp_path, BLOCK), _plan(tmp_path, "controls: false" + BLOCK)
    assert plan.trials == without.trials
    assert {name: unit for name, unit in plan.units.items() if name not in plan.controls} == without.units


def test_paper_has_no_controls() -> None:
    space = spaces.load("paper")
    prints = {name: f"print of {name}" for name in space_datasets(space)}
    weights = dict.fromkeys(("resnet18", "shufflenet_v2", "densenet121"), "hash")
    assert build_plan(space, prints, weights).controls == ()


def test_plan_with_controls_round_trips_through_json(tmp_path: Path) -> None:
    plan = _plan(tmp_path, BLOCK)
    parsed = Plan.from_json(plan.to_json())
    assert parsed.controls == plan.controls
    assert replace(plan, controls=()).to_json().keys() == plan.to_json().keys() - {"controls"}


SLIDES = """
experiments:
  - initialization: [random, "imagenet*"]
    backbone: [resnet18]
    architecture: [km, deepattnmisl]
    target: [TCGA-LGG]
    seed: [0, 2]
"""


def test_slides_have_controls_on_the_splits_of_all_seeds(tmp_path: Path) -> None:
    path = tmp_path / "trial.yaml"
    path.write_text(SLIDES)
    space = spaces.load(str(path))
    plan = build_plan(space, {"TCGA-LGG": "print"}, {"resnet18": "weights"})
    without, networks = (plan.units[digest].spec for digest in plan.controls)
    assert isinstance(without, ImageFree)
    assert isinstance(networks, Probe)
    (data,) = {getattr(plan.units[digest].spec, "data", "") for _, digest in plan.trials}
    assert (without.data, without.splits) == (data, (0, 2))
    assert (networks.data, networks.splits, networks.networks) == (data, (0, 2), 5)
    assert plan.units[networks.digest].needs == (data,)
