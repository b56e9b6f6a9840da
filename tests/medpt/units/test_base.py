"""A kind of unit is a specification and a module of its name; images are sampled by name."""

import inspect
from importlib import import_module

import numpy as np
import pytest
from memory_inputs import MemoryInputs, job_in
from training_sets import shades

from medpt.specs import SPECS
from medpt.units.base import run_unit, sample_training_images

TRIALS = [kind for kind, spec in SPECS.items() if not spec.makes_data]


@pytest.mark.parametrize("kind", TRIALS)
def test_module_of_a_kind_runs_its_specification(kind: str) -> None:
    run = import_module(f"medpt.units.{kind}").run
    parameters = inspect.signature(run).parameters
    assert list(parameters) == ["spec", "inputs", "job"]
    assert parameters["spec"].annotation is SPECS[kind]


def test_run_unit_calls_the_module_of_the_kind(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    from medpt.specs import Filters
    from medpt.units import filters

    spec, inputs, job = Filters("source", "w", "resnet18"), MemoryInputs(), job_in(tmp_path)
    monkeypatch.setattr(filters, "run", lambda *given: {"same": float(given == (spec, inputs, job))})
    assert run_unit(spec, inputs, job) == {"same": 1.0}


def test_sample_is_drawn_by_its_names() -> None:
    loader = shades(train=12)
    some, same, other = (sample_training_images(loader, 5, name) for name in ("a", "a", "b"))
    assert len(some) == 5
    assert np.array_equal(some, same)
    assert not np.array_equal(some, other)
