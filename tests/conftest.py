"""Fixtures that any test may ask for."""

import fcntl
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

# Before NumPy and torch are imported: small networks wait for threads longer than they compute
os.environ["OMP_NUM_THREADS"] = "1"

import exposure
import pytest
import tiny
from hypothesis import settings

from grid.tracking import client
from medpt import files

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
def observed(tmp_path_factory: pytest.TempPathFactory) -> tuple[tiny.Run, exposure.Exposure]:
    """The smallest grid, run with secrets in its environment, and what other users could see of it.

    It runs once for all processes of pytest-xdist: the first one that asks runs it, the others wait.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "undisturbed"
    folder.mkdir(exist_ok=True)
    data, space, out, done = folder / "data", folder / "tiny.yaml", folder / "out", folder / "done.json"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            tiny.data(data)
            tiny.written(folder)
            process, seen = exposure.watch(tiny.command(space, data, out), out)
            assert process.returncode == 0, process.stdout
            done.write_text(json.dumps([process.stdout, asdict(seen)], default=sorted))
    output, found = json.loads(done.read_text())
    looks = found.pop("looks")
    seen = exposure.Exposure(**{name: set(names) for name, names in found.items()}, looks=looks)
    return tiny.Run(data, space, out, output), seen


@pytest.fixture(scope="session")
def undisturbed(observed: tuple[tiny.Run, exposure.Exposure]) -> tiny.Run:
    """The smallest grid, run once for all tests that compare another run with it. Nobody writes to it."""
    return observed[0]


@pytest.fixture(scope="session", autouse=True)
def create_schema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], None]]:
    """Let clients of this process copy MLflow's schema into new SQLite files: creating it takes seconds.

    Yield the function that creates it, for the tests of that.
    """
    create = client.create_schema
    template = tmp_path_factory.mktemp("schema") / "mlflow.db"

    def copy(path: Path) -> None:
        if path.is_file() and path.stat().st_size:
            return
        create(template)
        with files.replacing(path) as temporary:
            shutil.copy(template, temporary)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "create_schema", copy)
        yield create


@pytest.fixture(autouse=True)
def propagating_loggers() -> None:
    """Let the project's loggers reach pytest: libraries that other tests load may have disabled them."""
    for name, logger in logging.root.manager.loggerDict.items():
        if isinstance(logger, logging.Logger) and name.split(".")[0] in ("grid", "medpt"):
            logger.disabled, logger.propagate = False, True
