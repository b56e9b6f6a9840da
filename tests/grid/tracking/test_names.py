"""Names of runs and metrics say what was trained on what, and are read back."""

import made_space
import pytest
from pages import digest_of

from grid.plan.plan import Plan, Unit
from grid.tracking import names


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return made_space.plan(tmp_path_factory.mktemp("names"))


def unit(plan: Plan, label: str) -> Unit:
    return plan.units[digest_of(plan, label)]


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("ISIC2019 → DRIVE · hynet/resnet18 · 1", "hynet/resnet18 · ISIC2019 → DRIVE · seed 1"),
        ("random → ChestXRay2017 · shufflenet_v2 · 0", "shufflenet_v2 · random → ChestXRay2017 · seed 0"),
        ("ADE20K · shufflenet_v2", "shufflenet_v2 · ADE20K · pre-training"),
        ("DRIVE", "DRIVE"),
    ],
)
def test_run_name_begins_with_network_source_target_and_seed(plan: Plan, label: str, name: str) -> None:
    assert names.run_name(unit(plan, label)) == name


def test_run_names_of_a_plan_differ(plan: Plan) -> None:
    assert len({names.run_name(each) for each in plan.units.values()}) == len(plan.units)


def test_scores_of_the_test_set_are_distinguished_from_other_metrics(plan: Plan) -> None:
    trained = unit(plan, "ISIC2019 → DRIVE · hynet/resnet18 · 1")
    found = [names.metric_name(trained, name) for name in ("miou", "val_miou", "steps_to_95", "seconds")]
    assert found == ["test_miou", "result.val_miou", "result.steps_to_95", "result.seconds"]
    assert names.metric_name(unit(plan, "ADE20K · shufflenet_v2"), "steps") == "result.steps"


def test_final_metrics_are_read_as_written_now_and_by_0_3_1() -> None:
    recorded = {"test_auc": 0.8, "result.steps": 30.0, "result.auc_of_a": 0.7, "val_auc": 0.6, "step": 30.0}
    assert names.final_metrics(recorded) == {"auc": 0.8, "steps": 30.0, "auc_of_a": 0.7}
