"""Fixtures of the deployment tests."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.fixture
def gpus() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpus", DEPLOY / "gpus.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
