"""Synthetic copies of the datasets, to read and to spoil."""

import shutil
from pathlib import Path

import pytest
from reader_copies import SMALL

from medpt import phantom


@pytest.fixture(scope="session")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantom")
    for name, sizes in SMALL.items():
        phantom.write(name, folder / name, **sizes)
    return folder


@pytest.fixture
def copy(copies: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A copy that the test may spoil; indirect parameter: the dataset."""
    target = tmp_path / request.param
    shutil.copytree(copies / request.param, target)
    return target
