import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec

import pytest

from grid.__main__ import COMMANDS, main

HEAVY = "print([name for name in ('ray', 'torch', 'mlflow', 'pandas') if name in sys.modules])"


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_overview_names_every_command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert all(f"  {name} " in printed for name in COMMANDS)
    assert all(find_spec(f"grid.{name}") for name in COMMANDS)


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"medpt-grid {version('medpt-grid')}\n"


def test_command_gets_the_other_arguments() -> None:
    done = subprocess.run([sys.executable, "-m", "grid", "query", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.startswith("usage: python -m grid.query")


def test_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rum"]) == 2
    assert capsys.readouterr().err == "medpt-grid: no command `rum`; did you mean run?\n"


def test_overview_imports_nothing_heavy() -> None:
    script = f"import sys; from grid.__main__ import main; main([]); {HEAVY}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", ["run", "run --space demo --bad"])
def test_parsing_of_a_run_imports_no_planning(command: str) -> None:
    """A refused option and --help answer before what a run needs is loaded."""
    module, *options = command.split()
    script = (
        "import runpy, sys\n"
        f"sys.argv = ['grid.{module}', *{options or ['--help']}]\n"
        f"try: runpy.run_module('grid.{module}', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "slow = {'numpy', 'rich', 'yaml', 'pydantic', 'torch', 'ray', 'mlflow', 'pandas', 'scipy'}\n"
        "slow |= {'grid.plan', 'grid.space', 'grid.results', 'grid.claims', 'medpt.data', 'medpt.specs'}\n"
        "print(sorted(slow & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
