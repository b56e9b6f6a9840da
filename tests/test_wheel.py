"""The wheel, built and installed into a new environment, runs the smallest grid from an empty folder."""

import os
import subprocess
import sys
import sysconfig
from importlib.metadata import version
from pathlib import Path

import pytest
import tiny

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder beside `environment`, an environment with the wheel and this one's other packages."""
    made = tmp_path_factory.mktemp("wheel")
    call("-m", "hatchling", "build", "--target", "wheel", "--directory", str(made / "dist"), cwd=ROOT)
    call("-m", "venv", "--without-pip", str(made / "environment"), cwd=made)
    (packages,) = (made / "environment").glob("lib/python*/site-packages")
    (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")  # no .pth of its own is read
    (wheel,) = (made / "dist").glob("*.whl")
    python = str(made / "environment" / "bin" / "python")
    call("-m", "uv", "pip", "install", "--offline", "--no-deps", "--python", python, str(wheel), cwd=made)
    (made / "empty").mkdir()
    return made


def call(*arguments: str, cwd: Path) -> None:
    subprocess.run([sys.executable, *arguments], cwd=cwd, check=True, capture_output=True)


def run(folder: Path, command: str, *arguments: str) -> str:
    """Run a command of the new environment in the empty folder and return what it prints."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    words = [str(folder / "environment" / "bin" / command), *arguments]
    done = subprocess.run(words, cwd=folder / "empty", env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_wheel_is_imported_from_its_environment(folder: Path) -> None:
    for package in ("grid", "medpt"):
        place = run(folder, "python", "-c", f"import {package}; print({package}.__file__)")
        assert Path(place.strip()).is_relative_to(folder / "environment")


def test_wheel_has_commands_and_built_in_data(folder: Path) -> None:
    assert run(folder, "medpt-grid", "--version") == f"medpt-grid {version('medpt-grid')}\n"
    assert "ISIC2019" in run(folder, "medpt-data", "list")
    assert "published cells" in run(folder, "medpt-grid", "run", "--space", "paper", "--dry-run")


def test_wheel_runs_the_smallest_grid(folder: Path) -> None:
    space, data = tiny.written(folder), tiny.data(folder / "data")
    output = run(folder, "medpt-grid", "run", "--space", str(space), "--data", str(data))
    out = folder / "empty" / "runs"
    assert len(tiny.markers(out)) == tiny.UNITS
    assert str(out / "reports" / "tiny" / "index.html") in output
    assert "DRIVE" in run(folder, "medpt-grid", "query", "--space", "tiny", "--metric", "miou")
    (out / "reports" / "tiny" / "index.html").unlink()
    run(folder, "medpt-grid", "report", "--space", "tiny")
    assert (out / "reports" / "tiny" / "index.html").is_file()
