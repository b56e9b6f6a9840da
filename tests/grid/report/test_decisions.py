"""Decisions are read from the fields that hold them, with the values of the space."""

import importlib
from dataclasses import MISSING, fields
from pathlib import Path

import made_paper
import made_space
import pytest

from grid.plan.plan import Plan
from grid.report import decisions
from grid.report.decisions import HOLDERS, MODELS
from grid.results.stored_space import StoredSpace
from grid.store.store import Store
from medpt.survival.registry import SURVIVAL_MODELS

SOURCES = [(file, name) for _, file, name, _ in HOLDERS.values()] + [
    (f"medpt/survival/{module}.py", "Options") for parts in MODELS.values() for _, module in parts
]


def evidence(plan: Plan, out: Path) -> StoredSpace:
    return StoredSpace(plan, Store(out))


@pytest.mark.parametrize(("file", "name"), sorted(set(SOURCES)))
def test_defaults_are_those_of_the_class(file: str, name: str) -> None:
    holder = getattr(importlib.import_module(file.removesuffix(".py").replace("/", ".")), name)
    defaults = {field.name: field.default for field in fields(holder)}
    parsed = {field: default for field, default, _ in decisions.fields(file, name)}
    assert list(parsed) == list(defaults)
    for field, text in parsed.items():
        if text.isidentifier() and text not in ("True", "False", "None"):
            continue  # a name of the module
        assert (eval(text) if text else MISSING) == defaults[field]  # noqa: S307 - our own source


def test_every_survival_model_has_its_decisions() -> None:
    assert set(MODELS) == set(SURVIVAL_MODELS)


def test_values_of_the_space_stand_beside_the_default(tmp_path: Path) -> None:
    text = made_paper.SPACE + "survival: {km: {k: 3}}\n"
    groups = {
        group.title: group for group in decisions.groups(evidence(made_space.plan(tmp_path, text), tmp_path))
    }
    assert {"Distances of datasets", "SVCCA", "Patches of slides", "Clustered patches", "Cox"} == set(groups)
    clusters = {entry.name: entry for entry in groups["Clustered patches"].decisions}
    assert (clusters["k"].default, clusters["k"].used, clusters["k"].reason) == ("6", "3", "paper, Table 5")
    assert clusters["learning_rate"].used == ""
    distances = {entry.name: entry for entry in groups["Distances of datasets"].decisions}
    assert distances["scaling"].reason == 'only that gives "the same magnitude"'
