"""Published weights in a plan: what their units are named by, and what they carry."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import published

from grid.plan.initialization import space_datasets
from grid.plan.plan import Plan
from grid.plan.planner import build_plan
from grid.results.display import notes_of
from grid.results.frame import seen_targets
from grid.space import reader
from medpt.normalisation import Normalisation
from medpt.specs import PUBLISHED_WEIGHTS

SPACE = """
size: 32
controls: true
probes: true
experiments:
  - initialization: [random, NAME]
    backbone: shufflenet_v2
    target: ISIC2019
    seed: [0]
  - initialization: NAME
    backbone: shufflenet_v2
    target: TCGA-LGG
    architecture: [deepattnmisl, wsisa-mtlsa]
analysis:
  svcca: {initialization: [NAME], backbone: shufflenet_v2, datasets: [DRIVE]}
  filters: {initialization: [NAME], backbone: shufflenet_v2}
"""


def plan_of(folder: Path, name: str = "mine") -> Plan:
    path = folder / "made.yaml"
    path.write_text(SPACE.replace("NAME", name))
    space = reader.load(str(path))
    return build_plan(space, dict.fromkeys(space_datasets(space), "print"), {})


def described(folder: Path, name: str = "mine", **changes: Any) -> Plan:
    folder.mkdir(exist_ok=True)
    published.describe(folder, name, **changes)
    return plan_of(folder, name)


def test_every_kind_of_unit_starts_from_published_weights(tmp_path: Path) -> None:
    plan = described(tmp_path, mean=[0.5], std=[0.25], value_range=[0, 255])
    units = [
        u.spec for u in plan.units.values() if getattr(u.spec, "initialization", "") == PUBLISHED_WEIGHTS
    ]
    assert {spec.kind for spec in units} == {"finetune", "features", "survive", "svcca", "filters", "probe"}
    assert {plan.initialization_of(spec) for spec in units} == {"mine"}
    assert {spec.weights for spec in units} == {plan.weights[0].identity}  # type: ignore[attr-defined]
    own = Normalisation((0.5,) * 3, (0.25,) * 3, (0.0, 255.0))
    assert {getattr(spec, "normalisation", own) for spec in units} == {own}
    assert not any(set(unit.needs) & {plan.weights[0].identity} for unit in plan.units.values())


def test_digests_are_those_of_content_and_normalisation(tmp_path: Path) -> None:
    first = described(tmp_path / "a")
    renamed = described(tmp_path / "b", "other", file="elsewhere.pth")
    assert renamed.units.keys() == first.units.keys()
    for change in ({"mean": [0.5]}, {"std": [0.5]}, {"value_range": [0, 255]}):
        changed = described(tmp_path / "a", **change)
        same = changed.units.keys() & first.units.keys()
        assert not {n for n in same if getattr(first.units[n].spec, "weights", None)}
        (trial, other) = (next(t for t, _ in plan.trials if t.label == "mine") for plan in (first, changed))
        assert trial.source_protocol != other.source_protocol


def test_imagenet_normalisation_is_not_spelled_out(tmp_path: Path) -> None:
    plan = described(tmp_path)
    assert not any("normalisation" in unit.spec.to_json() for unit in plan.units.values())


def test_plan_round_trips_with_its_weights(tmp_path: Path) -> None:
    plan = described(tmp_path)
    read = Plan.from_json(json.loads(json.dumps(plan.to_json())))
    assert read.weights == plan.weights
    assert read.weights[0].path == "mine.yaml"
    assert replace(read, weights=()).digest != plan.digest


def test_unknown_training_data_and_seen_targets_are_shown(
    tmp_path: Path,
) -> None:
    unknown = described(tmp_path / "a", trained_on="unknown")
    assert notes_of(unknown) == {"mine": "trained on: unknown"}
    assert seen_targets(unknown) == []
    seen = described(tmp_path / "b", trained_on=["RadImageNet", "ISIC 2019"])
    assert notes_of(seen) == {}
    warning = "mine was trained on images of the target ISIC2019: its scores there may be too high"
    assert seen_targets(seen) == [warning]


def test_seen_external_test_set_is_shown(tmp_path: Path) -> None:
    published.describe(tmp_path, "mine", trained_on=["HRF"])
    block = "{initialization: [random, mine], backbone: shufflenet_v2, target: [DRIVE, STARE-SEG]}"
    path = tmp_path / "made.yaml"
    path.write_text(
        f"datasets: {{DRIVE: {{test_also: [HRF], corruptions: [blur]}}}}\nexperiments: [{block}]\n"
    )
    space = reader.load(str(path))
    plan = build_plan(space, dict.fromkeys(space_datasets(space), "print"), {})
    warning = "mine was trained on images of the external test set HRF: its scores there may be too high"
    assert seen_targets(plan) == [warning]
