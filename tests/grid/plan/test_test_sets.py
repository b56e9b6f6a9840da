"""Which tests on other images a space plans, and that they leave everything else as it is."""

from pathlib import Path

import pytest

from grid.plan.initialization import space_datasets
from grid.plan.plan import Plan, merge
from grid.plan.planner import build_plan
from grid.space import reader as spaces
from medpt.errors import InputError
from medpt.specs import Evaluate, Finetune, Prepare

BLOCK = """
experiments:
  - initialization: [random, EyePACS-1k, ISIC2019-1k]
    backbone: [resnet18]
    target: [DRIVE]
    seed: [0, 1]
"""


def planned(folder: Path, entry: str = "") -> Plan:
    path = folder / "trial.yaml"
    path.write_text((f"datasets: {{DRIVE: {{{entry}}}}}" if entry else "") + BLOCK)
    space = spaces.load(str(path))
    return build_plan(space, {name: f"print of {name}" for name in space_datasets(space)}, {})


def refusal(folder: Path, datasets: str) -> str:
    path = folder / "trial.yaml"
    path.write_text(f"datasets: {{{datasets}}}{BLOCK}")
    with pytest.raises(InputError) as caught:
        spaces.load(str(path))
    return "\n".join(caught.value.problems)


def evaluations(plan: Plan) -> list[Evaluate]:
    return [unit.spec for unit in plan.units.values() if isinstance(unit.spec, Evaluate)]


def test_each_network_is_tested_on_each_test_set(tmp_path: Path) -> None:
    plan = planned(tmp_path, "test_also: [HRF], corruptions: [blur, jpeg]")
    names = [f"{kind}-{strength}" for kind in ("blur", "jpeg") for strength in (1, 2, 3)]
    trials = {digest for _, digest in plan.trials}
    assert len(trials) == 6
    assert {(test.name, test.trial) for test in plan.tests} == {
        (n, t) for n in ["HRF", *names] for t in trials
    }
    for test in plan.tests:
        assert set(plan.units[test.digest].needs) >= {test.trial}
        assert test.digest in plan.results


def test_all_corruptions_are_five_kinds_at_three_strengths(tmp_path: Path) -> None:
    assert len({test.name for test in planned(tmp_path, "corruptions: true").tests}) == 15


def test_added_test_sets_leave_all_other_digests(tmp_path: Path) -> None:
    before, after = (
        planned(tmp_path),
        planned(tmp_path, "test_also: [HRF], corruptions: true, subgroup: camera"),
    )
    added = {u.kind for name, u in after.units.items() if name not in before.units}
    assert added == {"evaluate", "prepare"}
    assert before.units.keys() < after.units.keys()
    assert before.trials == after.trials


def test_external_images_are_all_prepared_as_those_of_a_source(tmp_path: Path) -> None:
    plan = planned(tmp_path, "test_also: [HRF]")
    (data,) = {spec.data for spec in evaluations(plan)}
    prepared = plan.units[data].spec
    assert isinstance(prepared, Prepare)
    assert (prepared.dataset, prepared.split, prepared.sample_size) == ("HRF", "all", None)


def test_external_set_is_compared_with_what_the_network_was_trained_on(tmp_path: Path) -> None:
    """The target, and a source of its modality."""
    plan = planned(tmp_path, "test_also: [HRF]")
    for spec in evaluations(plan):
        trained = plan.units[spec.network].spec
        assert isinstance(trained, Finetune)
        assert spec.target_data == trained.data
        sources = [getattr(plan.units[data].spec, "dataset", "") for data in spec.source_data]
        assert sources == (["EyePACS"] if "EyePACS" in trained.initialization else [])


def test_plan_with_tests_is_read_back(tmp_path: Path) -> None:
    plan = planned(tmp_path, "test_also: [HRF], subgroup: camera")
    read = Plan.from_json(plan.to_json())
    assert (read.tests, read.subgroups) == (plan.tests, plan.subgroups)
    assert list(plan.subgroups.values()) == ["camera"]
    assert read.digest == plan.digest


def test_merged_plan_has_the_tests_of_both(tmp_path: Path) -> None:
    first, second = planned(tmp_path, "corruptions: [blur]"), planned(tmp_path, "corruptions: [noise]")
    merged = merge([first, second])
    assert {test.name[:-2] for test in merged.tests} == {"blur", "noise"}
    assert {test.digest for test in merged.tests} <= merged.units.keys()


def test_other_classes_are_refused_with_both_lists(tmp_path: Path) -> None:
    text = refusal(tmp_path, "DRIVE: {test_also: [REFUGE-OD]}")
    assert "trial.yaml" in text
    assert "REFUGE-OD has the classes background, disc" in text.replace("optic ", "")
    assert "DRIVE has background, vessel" in text


def test_test_sets_need_kept_weights_but_subgroups_do_not(tmp_path: Path) -> None:
    path = tmp_path / "trial.yaml"
    path.write_text(f"keep: none\ndatasets: {{DRIVE: {{subgroup: camera, test_also: [HRF]}}}}{BLOCK}")
    with pytest.raises(InputError) as caught:
        spaces.load(str(path))
    (problem,) = caught.value.problems
    assert "`test_also` needs the weights of fine-tunings, and `keep` is none" in problem


@pytest.mark.parametrize(
    ("datasets", "words"),
    [
        ("DRIVE: {test_also: [EyePACS]}", "EyePACS has the task classification, DRIVE segmentation"),
        ("CHAOS-CT: {test_also: [CHAOS-MRI]}", "CHAOS-MRI has the modality mri, CHAOS-CT ct"),
        ("DRIVE: {test_also: [DRIVE]}", "`DRIVE` is the target itself"),
        ("HRF: {subgroup: camera}", "`subgroup` of HRF, which is no target in this file; accepted: DRIVE"),
        ("DRIVE: {test_also: [HFR]}", "HRF"),
        ("DRIVE: {corruptions: [fog]}", "accepted: blur, noise, jpeg, contrast, brightness"),
        ("TCGA-LGG: {corruptions: true}", "`corruptions` of TCGA-LGG: slides have no other test sets"),
    ],
)
def test_unfit_test_set_is_refused(tmp_path: Path, datasets: str, words: str) -> None:
    assert words in refusal(tmp_path, datasets)


@pytest.mark.parametrize(
    ("keep", "tests", "refused"),
    [
        ("none", "corruptions: true", True),
        ("best", "corruptions: true", False),
        ("none", "subgroup: camera", False),
    ],
)
def test_included_test_sets_need_kept_weights(tmp_path: Path, keep: str, tests: str, refused: bool) -> None:
    inner, outer = tmp_path / "inner.yaml", tmp_path / "outer.yaml"
    inner.write_text(f"datasets: {{DRIVE: {{{tests}}}}}{BLOCK}")
    outer.write_text(f"keep: {keep}\ninclude: [{inner}]\n")
    if not refused:
        assert len(spaces.load(str(outer)).trials) == 6
        return
    with pytest.raises(InputError) as caught:
        spaces.load(str(outer))
    (problem,) = caught.value.problems
    assert f"{outer}:1: `keep` is none, and the included space `inner` tests networks of DRIVE by" in problem


def test_file_without_trials_may_describe_datasets_of_included_spaces(tmp_path: Path) -> None:
    inner, outer = tmp_path / "inner.yaml", tmp_path / "outer.yaml"
    inner.write_text(BLOCK)
    outer.write_text(f"datasets: {{HRF: {{subgroup: camera}}}}\ninclude: [{inner}]\n")
    assert len(spaces.load(str(outer)).trials) == 6
