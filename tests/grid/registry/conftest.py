"""Two laboratories with the same data, and what the first one published."""

from pathlib import Path

import laboratories
import pytest
from laboratories import Laboratory

from grid.registry.folder import Registry
from grid.registry.publish import publish


@pytest.fixture
def first(tmp_path: Path) -> Laboratory:
    """A laboratory that has computed everything."""
    lab = laboratories.laboratory(tmp_path / "first")
    laboratories.compute(lab)
    return lab


@pytest.fixture
def second(tmp_path: Path) -> Laboratory:
    """A laboratory with the same data that has computed nothing."""
    return laboratories.laboratory(tmp_path / "second")


@pytest.fixture
def registry(tmp_path: Path, first: Laboratory) -> Registry:
    """What the first laboratory published, with weights."""
    place = Registry(str(tmp_path / "registry"))
    publish(first.plan, first.store, place, "First", with_weights=True)
    return Registry(place.place)
