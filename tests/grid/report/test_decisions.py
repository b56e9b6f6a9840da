"""The report's decisions: fields with a reason, and the values of the space beside their defaults."""

from dataclasses import fields
from pathlib import Path

import made_paper
import made_space
import pytest

from grid.report import decisions
from grid.report.decisions import HOLDERS, MODEL_TITLES
from grid.results.stored_space import StoredSpace
from grid.store.store import Store
from medpt.protocol import TrainingProtocol
from medpt.survival.registry import SURVIVAL_MODELS

CLASSES = (
    [holder for _, holder, _ in HOLDERS.values()]
    + [f"medpt.survival.options.{model.options_type.__name__}" for model in SURVIVAL_MODELS.values()]
    + ["medpt.survival.mtlsa.Options"]
)


@pytest.mark.parametrize("holder", sorted(set(CLASSES)))
def test_decided_finds_reasons_in_every_class(holder: str) -> None:
    found = decisions.decided(holder)
    assert found
    assert all(item.metadata["reason"] for item in found)


def test_every_survival_model_has_its_decisions() -> None:
    assert {model.module for model in SURVIVAL_MODELS.values()} <= set(MODEL_TITLES)


def test_every_field_of_the_training_protocol_has_a_reason() -> None:
    assert all(item.metadata["reason"] for item in fields(TrainingProtocol))


def test_groups_show_values_of_the_space_beside_the_default(tmp_path: Path) -> None:
    plan = made_space.plan(tmp_path, made_paper.SPACE + "survival: {km: {k: 3}}\n")
    groups = {group.title: group for group in decisions.groups(StoredSpace(plan, Store(tmp_path)))}
    assert {"Distances of datasets", "SVCCA", "Patches of slides", "Clustered patches", "Cox"} == set(groups)
    clusters = {entry.name: entry for entry in groups["Clustered patches"].decisions}
    assert (clusters["k"].default, clusters["k"].used, clusters["k"].reason) == ("6", "3", "paper, Table 5")
    assert clusters["learning_rate"].used == ""
    distances = {entry.name: entry for entry in groups["Distances of datasets"].decisions}
    assert distances["scaling"].reason == 'only that gives "the same magnitude"'
