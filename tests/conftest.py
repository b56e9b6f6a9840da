"""Fixtures that any test may ask for."""

import logging
import os
from pathlib import Path

import pytest
import tiny
from hypothesis import settings

settings.register_profile("patient", deadline=None)  # a busy machine is no failure
settings.load_profile("patient")


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real images; tests that ask for it are skipped where it is absent."""
    folder = Path(os.environ.get("MEDPT_REAL") or Path(__file__).parents[2] / "shared" / "real")
    if not folder.is_dir():
        pytest.skip(f"no real images at {folder}")
    return folder


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tiny.Run:
    """The smallest grid, run once for all tests that hold another run against it. Nobody writes to it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    data, space, out = tiny.data(folder / "data"), tiny.written(folder), folder / "out"
    return tiny.Run(data, space, out, tiny.run(space, data, out))


@pytest.fixture(autouse=True)
def propagating_loggers() -> None:
    """Let the project's loggers reach pytest: libraries that other tests load may have disabled them."""
    for name, logger in logging.root.manager.loggerDict.items():
        if isinstance(logger, logging.Logger) and name.split(".")[0] in ("grid", "medpt"):
            logger.disabled, logger.propagate = False, True
