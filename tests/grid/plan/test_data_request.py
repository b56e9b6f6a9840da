"""Which images sources and targets are prepared from."""

from pathlib import Path

import pytest

from grid.plan.initialization import space_datasets
from grid.plan.plan import Plan
from grid.plan.planner import build_plan
from grid.space import reader as spaces
from medpt.specs import Finetune, Prepare, Pretrain

SPACE = """
controls: false
datasets:
  DRISHTI-GS: {{roi: 640}}
  REFUGE-OD: {{{entry}}}
experiments:
  - initialization: [REFUGE-OD, M6-SEG]
    backbone: [resnet18]
    architecture: [unet]
    target: [DRISHTI-GS]
    seed: [0]
"""


def plan_of(folder: Path, entry: str) -> Plan:
    path = folder / "trial.yaml"
    path.write_text(SPACE.format(entry=entry))
    space = spaces.load(str(path))
    return build_plan(space, {name: f"print of {name}" for name in space_datasets(space)}, {})


def refuge_of(plan: Plan, pretraining: str) -> Prepare:
    spec = plan.units[pretraining].spec
    assert isinstance(spec, Pretrain)
    (data,) = (one for one in (plan.units[d].spec for d in spec.data) if one.dataset == "REFUGE-OD")
    assert isinstance(data, Prepare)
    return data


def test_refuge_is_cut_as_a_source_and_its_detector_sees_whole_photographs(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "roi: 512")
    (target,) = (u.spec for u in plan.units.values() if isinstance(u.spec, Prepare) and u.spec.detector)
    detector = refuge_of(plan, target.detector or "")
    assert not detector.pipeline.startswith("roi")
    for _, digest in plan.trials:
        trained = plan.units[digest].spec
        assert isinstance(trained, Finetune)
        guarded = plan.units[trained.weights or ""].spec
        assert isinstance(guarded, Pretrain)
        source = refuge_of(plan, guarded.digest)
        assert source.pipeline == "roi(512)|resize(256)|clahe(2,8)"
        assert (source.detector, source.split) == (None, "all")
    labels = [unit.label for unit in plan.units.values()]
    assert len(set(labels)) == len(labels)
    assert "REFUGE-OD (whole frames) · unet/resnet18" in labels


def test_without_roi_the_detector_is_the_source(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "")
    pretrained = [u.spec for u in plan.units.values() if isinstance(u.spec, Pretrain)]
    assert [s.datasets for s in pretrained if not s.guards].count(("REFUGE-OD",)) == 1


@pytest.mark.parametrize("side", [256, 512])
def test_source_protocol_names_how_refuge_is_cut(tmp_path: Path, side: int) -> None:
    plan = plan_of(tmp_path, f"roi: {side}")
    assert {plan.protocols[trial.source_protocol]["roi"] for trial, _ in plan.trials} == {side}
