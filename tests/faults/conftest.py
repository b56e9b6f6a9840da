"""One small space, its data, and a run of it that nothing disturbed."""

from pathlib import Path

import pytest
import tiny


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="session")
def data(undisturbed: tiny.Run) -> Path:
    return undisturbed.data


@pytest.fixture(scope="session")
def space(undisturbed: tiny.Run) -> Path:
    return undisturbed.space


@pytest.fixture(scope="session")
def reference(undisturbed: tiny.Run) -> Path:
    return undisturbed.out
