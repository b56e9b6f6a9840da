"""One small space, its data, and a run of it that nothing disturbed."""

from pathlib import Path

import oracle
import pytest
import tiny


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="session")
def data(folder: Path) -> Path:
    return tiny.data(folder / "data")


@pytest.fixture(scope="session")
def space(folder: Path) -> Path:
    return tiny.written(folder)


@pytest.fixture(scope="session")
def reference(folder: Path, data: Path, space: Path) -> Path:
    with oracle.place() as place:
        out = folder / "reference"
        process = place.start(tiny.command(space, data, out))
        assert process.wait(timeout=900) == 0, place.output()
    return out
