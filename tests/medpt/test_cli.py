import errno
from pathlib import Path

import pytest

from medpt.cli import run_command
from medpt.errors import InputError


def failing(error: Exception) -> int:
    print("half a table")
    raise error


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (1, 1), (2, 2)])
def test_run_command_returns_the_code_of_the_command(returned: int | None, code: int) -> None:
    assert run_command(lambda: returned) == code


def test_run_command_prints_all_problems_of_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(lambda: failing(InputError(["one", "two"]))) == 2
    assert capsys.readouterr() == ("half a table\n", "one\ntwo\n")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_run_command_reports_a_full_disk_with_its_free_space(
    number: int, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / "not" / "there"
    assert run_command(lambda: failing(OSError(number, "no space")), folder) == 1
    printed = capsys.readouterr().err
    assert "no space" in printed
    assert f"MB free in {folder}; make room and run the same command to resume" in printed


def test_run_command_raises_other_errors() -> None:
    with pytest.raises(PermissionError):
        run_command(lambda: failing(PermissionError(errno.EACCES, "denied")))
