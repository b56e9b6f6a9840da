"""Fields of the training protocol as factors of a block: which trials and units they make."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from grid.plan.initialization import space_datasets
from grid.plan.planner import build_plan
from grid.space import load
from grid.space.filters import parse_filters, select_trials
from grid.space.protocols import (
    PROTOCOL_FIELDS,
    describe_difference,
    protocol_fields,
    protocol_values,
)
from grid.space.trials import Space
from medpt.data.preprocess import output_size
from medpt.errors import InputError
from medpt.protocol import TrainingProtocol
from medpt.specs import Finetune

BLOCK = """
phantom: {{}}
finetune: {{patience: 3}}
experiments:
  - initialization: [random]
    target: [{target}]
    seed: [0]
    factors: {factors}
"""


def loaded(folder: Path, factors: str, target: str = "DRIVE") -> Space:
    path = folder / "space.yaml"
    path.write_text(BLOCK.format(factors=factors, target=target))
    return load(str(path))


def refusals(folder: Path, factors: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        loaded(folder, factors, "ChestXRay2017")
    return [text.partition(": ")[2] for text in caught.value.problems]


def fields_of(space: Space) -> list[Mapping[str, Any]]:
    return [protocol_fields(protocol_values(trial)) for trial in space.trials]


def finetunings(space: Space) -> list[tuple[Finetune, int]]:
    """The specifications of all fine-tunings, each with the side of the images that it is prepared from."""
    plan = build_plan(space, {name: f"print of {name}" for name in space_datasets(space)}, {})
    specs = [unit.spec for unit in plan.units.values() if isinstance(unit.spec, Finetune)]
    return [(spec, output_size(plan.units[spec.data].spec.pipeline)) for spec in specs]  # type: ignore[attr-defined]


def test_each_combination_of_fields_is_a_trial_and_a_unit_of_its_own(tmp_path: Path) -> None:
    space = loaded(tmp_path, "{learning_rate: [1e-4, 1e-3], size: [64, 128], weighting: none}")
    expected = [(rate, side) for rate in (1e-4, 1e-3) for side in (64, 128)]
    assert [(each["learning_rate"], each["size"]) for each in fields_of(space)] == expected
    found = [(spec.protocol.learning_rate, side) for spec, side in finetunings(space)]
    assert found == expected
    assert {(spec.protocol.weighting, spec.protocol.patience) for spec, _ in finetunings(space)} == {
        ("none", 3)
    }
    assert (
        len({trial.protocol for trial in space.trials}) == len({s.digest for s, _ in finetunings(space)}) == 4
    )


def test_default_written_as_a_factor_is_the_same_work(tmp_path: Path) -> None:
    plain, written = loaded(tmp_path, "{}"), loaded(tmp_path, "{learning_rate: [1e-4], size: 256}")
    assert plain.trials == written.trials
    assert finetunings(plain) == finetunings(written)


def test_fields_are_those_of_the_protocol_with_the_mode_and_the_size_of_images() -> None:
    training = {item.name for item in fields(TrainingProtocol)} - {"weight_clip"}
    assert {*PROTOCOL_FIELDS} == {"mode", "size"} | training


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        ("{learning_rate: [1e-4, 20]}", "`learning_rate` is 20; a number above 0, below 10 is accepted"),
        ("{learning_rate: [1e-3, 0.001]}", "`learning_rate` names 0.001 twice; keep one"),
        ("{size: 65}", "`size` is 65; a multiple of 32 from 32 to 1024 is accepted"),
        ("{min_steps: [1, 40000]}", "`min_steps` is 40000; at most max_steps, 30000, is accepted"),
        (
            "{loss: [ce, dice_ce]}",
            "`loss` of ChestXRay2017 by classifier is dice_ce; accepted: balanced_ce, ce",
        ),
        ("{mode: [finetune, probe]}", "`mode` is 'probe'; accepted: finetune, linear_probe, knn"),
        ("{rate: 1}", "unknown key `rate`; known: mode, size, learning_rate"),
    ],
)
def test_unfit_value_is_refused(tmp_path: Path, factors: str, message: str) -> None:
    (text,) = refusals(tmp_path, factors)
    assert text.startswith(message)


@pytest.mark.parametrize(
    ("target", "architecture", "mode", "message"),
    [
        ("DRIVE", "unet", "knn", "is knn; accepted for segmentation: finetune, linear_probe"),
        ("TCGA-LGG", "cox", "linear_probe", "is linear_probe; accepted for survival: finetune"),
    ],
)
def test_mode_that_a_task_does_not_have_is_refused(
    tmp_path: Path, target: str, architecture: str, mode: str, message: str
) -> None:
    path = tmp_path / "space.yaml"
    block = BLOCK.replace("[random]", "[none]") if architecture == "cox" else BLOCK
    block = block.format(factors=f"{{mode: [finetune, {mode}]}}", target=target)
    path.write_text(f"{block}    architecture: [{architecture}]\n")
    with pytest.raises(InputError) as caught:
        load(str(path))
    (text,) = caught.value.problems
    assert text.endswith(f"`mode` of {target} {message}")


def test_fields_without_meaning_in_a_mode_are_none(tmp_path: Path) -> None:
    space = loaded(tmp_path, "{mode: [finetune, knn], learning_rate: [1e-4, 1e-3]}", "ChestXRay2017")
    *trained, frozen = fields_of(space)
    assert [(each["mode"], each["learning_rate"]) for each in trained] == [
        ("finetune", r) for r in (1e-4, 1e-3)
    ]
    used = {name: value for name, value in frozen.items() if value is not None}
    assert used == {"mode": "knn", "size": 256, "validation_fraction": 0.1, "precision": "fp32"}


def test_protocols_differ_by_their_mode_and_by_what_both_have(tmp_path: Path) -> None:
    space = loaded(tmp_path, "{mode: [finetune, knn], learning_rate: [1e-4, 1e-3]}", "ChestXRay2017")
    protocols = {trial.protocol: protocol_values(trial) for trial in space.trials}
    assert list(describe_difference(protocols, protocols).values()) == [
        "mode finetune, learning_rate 0.0001",
        "mode finetune, learning_rate 0.001",
        "mode knn",
    ]


def test_filter_takes_a_mode_and_names_known_ones(tmp_path: Path) -> None:
    space = loaded(tmp_path, "{mode: [finetune, knn], learning_rate: [1e-4, 1e-3]}", "ChestXRay2017")
    assert len(select_trials(space, parse_filters("mode=knn"), None).trials) == 1
    with pytest.raises(InputError, match="--filter mode=kn: no trial has it; did you mean knn"):
        select_trials(space, parse_filters("mode=kn"), None)


def test_mode_cannot_be_selected(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text("select: {mode: validation}\n" + BLOCK.format(factors="{}", target="DRIVE"))
    with pytest.raises(InputError, match="mode"):
        load(str(path))


def test_unknown_word_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    (text,) = refusals(tmp_path, "{weighting: [none, balanced]}")
    assert "`weighting` is 'balanced'" in text
    assert "inverse_frequency, sqrt_inverse_frequency, log_inverse, none" in text


@pytest.mark.parametrize("written", ["1e-3", "0.001", "1.0e-3"])
def test_filter_takes_a_number_however_it_is_written(tmp_path: Path, written: str) -> None:
    space = loaded(tmp_path, "{learning_rate: [1e-4, 1e-3], batch_size: [8, 16]}")
    kept = select_trials(space, parse_filters(f"learning_rate={written},batch_size=8"), None)
    assert [(each["learning_rate"], each["batch_size"]) for each in fields_of(kept)] == [(1e-3, 8)]


def test_default_that_is_stored_as_none_is_named_and_is_the_same_work(tmp_path: Path) -> None:
    space = loaded(tmp_path, "{optimizer: [adam, sgd], loss: [ce, dice_ce]}")
    found = [(each["optimizer"], each["loss"]) for each in fields_of(space)]
    assert found == [(name, loss) for name in ("adam", "sgd") for loss in ("ce", "dice_ce")]
    (spec, _), *_ = finetunings(space)
    assert "optimizer" not in spec.to_json()["protocol"]
    assert len(select_trials(space, parse_filters("optimizer=adam"), None).trials) == 2


def test_loss_that_ignores_class_weights_is_one_trial_for_all_weightings(tmp_path: Path) -> None:
    space = loaded(tmp_path, "{loss: [ce, focal], weighting: [none, inverse_frequency]}")
    assert [each["loss"] for each in fields_of(space)] == ["ce", "focal", "focal"]


@pytest.mark.parametrize("field", ["loss: focal", "freeze: encoder"])
def test_pretraining_refuses_what_is_of_fine_tunings_alone(tmp_path: Path, field: str) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(f"pretrain: {{{field}}}\n" + BLOCK.format(factors="{}", target="DRIVE"))
    with pytest.raises(InputError, match="of fine-tunings alone; move it to `finetune`"):
        load(str(path))


def test_frozen_trials_without_other_test_sets_are_noted(tmp_path: Path) -> None:
    text = BLOCK.format(factors="{mode: [finetune, knn]}", target="ChestXRay2017")
    path = tmp_path / "space.yaml"
    path.write_text(
        text.replace("phantom: {}", "phantom: {}\ndatasets: {ChestXRay2017: {corruptions: [blur]}}")
    )
    (note,) = load(str(path)).notes
    assert note.startswith("ChestXRay2017: linear_probe and knn keep no network to test by")
    path.write_text(text)
    assert load(str(path)).notes == ()
