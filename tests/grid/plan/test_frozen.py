"""Trials that train no network: which units they plan, and what they share."""

from collections import Counter
from pathlib import Path
from typing import Any

from grid.plan.cost import CPU, DataSizes, Files, seconds
from grid.plan.initialization import space_datasets
from grid.plan.plan import Plan
from grid.plan.planner import build_plan
from grid.space import load
from medpt.models.footprint import footprint
from medpt.specs import Finetune, Frozen, ImageFeatures

BLOCK = """
phantom: {{}}
experiments:
  - initialization: [{initialization}]
    target: [{target}]
    target_size: [1.0, 0.5]
    seed: [0, 1]
    factors: {factors}
"""


def planned(
    folder: Path, factors: str, target: str = "ChestXRay2017", initialization: str = "ISIC2019"
) -> Plan:
    path = folder / "space.yaml"
    path.write_text(BLOCK.format(factors=factors, target=target, initialization=initialization))
    space = load(str(path))
    return build_plan(space, {name: f"print of {name}" for name in space_datasets(space)}, {})


def specs(plan: Plan, kind: type) -> list[Any]:
    return [unit.spec for unit in plan.units.values() if isinstance(unit.spec, kind)]


def test_modes_sizes_and_seeds_share_the_features_of_given_weights(tmp_path: Path) -> None:
    plan = planned(tmp_path, "{mode: [finetune, linear_probe, knn]}")
    assert len(plan.trials) == 3 * 2 * 2
    (features,) = specs(plan, ImageFeatures)
    frozen = specs(plan, Frozen)
    assert Counter((spec.mode, spec.target_size, spec.seed) for spec in frozen) == Counter(
        (mode, size, seed) for mode in ("linear_probe", "knn") for size in (1.0, 0.5) for seed in (0, 1)
    )
    assert {spec.features for spec in frozen} == {features.digest}
    assert {spec.weights for spec in frozen} == {features.weights} != {None}
    assert {plan.units[spec.digest].needs for spec in frozen} == {(features.data, features.digest)}
    assert plan.units[features.digest].needs == (features.data, features.weights)


def test_random_networks_have_features_for_each_seed(tmp_path: Path) -> None:
    plan = planned(tmp_path, "{mode: [linear_probe, knn]}", initialization="random")
    assert [spec.seed for spec in specs(plan, ImageFeatures)] == [0, 1]
    seeds = {spec.digest: spec.seed for spec in specs(plan, ImageFeatures)}
    assert all(seeds[spec.features] == spec.seed for spec in specs(plan, Frozen))


def test_learning_rates_of_a_frozen_encoder_are_one_trial(tmp_path: Path) -> None:
    plan = planned(tmp_path, "{mode: [finetune, linear_probe], learning_rate: [1e-4, 1e-3]}")
    assert len(specs(plan, Finetune)) == 2 * 4
    assert len(specs(plan, Frozen)) == 4
    assert len(plan.trials) == 3 * 4
    assert len({trial.protocol for trial, _ in plan.trials}) == 3


def test_precision_and_size_have_a_meaning_in_every_mode(tmp_path: Path) -> None:
    plan = planned(tmp_path, "{mode: knn, precision: [fp32, bf16], size: [64, 128], patience: [1, 2]}")
    assert [(spec.precision, plan.sizes[spec.data]) for spec in specs(plan, ImageFeatures)] == [
        (None, 64),
        (None, 128),
        ("bf16", 64),
        ("bf16", 128),
    ]


def test_segmentation_trains_a_decoder_on_a_frozen_encoder(tmp_path: Path) -> None:
    plan = planned(tmp_path, "{mode: linear_probe, learning_rate: [1e-4, 1e-3]}", target="DRIVE")
    found = specs(plan, Finetune)
    assert len(found) == 2 * 4
    assert {spec.protocol.freeze for spec in found} == {"encoder"}
    assert not specs(plan, Frozen)
    same = planned(tmp_path, "{freeze: encoder, learning_rate: [1e-4, 1e-3]}", target="DRIVE")
    assert {spec.digest for spec in specs(same, Finetune)} == {spec.digest for spec in found}
    assert {t.protocol for t, _ in same.trials}.isdisjoint({t.protocol for t, _ in plan.trials})


def test_features_cost_one_forward_pass_of_each_image(tmp_path: Path) -> None:
    plan = planned(tmp_path, "{mode: knn}")
    (features,) = specs(plan, ImageFeatures)
    sizes = DataSizes({features.data: 128}, {"ChestXRay2017": Files(1_000, 1e6)})
    expected = 1_000 * 2 * footprint("classifier", "resnet18").gmacs / 4 / 40
    assert abs(seconds(plan.units[features.digest], sizes, CPU) - expected) < 1e-9
