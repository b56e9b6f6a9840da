import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from medpt.cli import INTERRUPTED, bypass_proxy_for_loopback, console, run_command
from medpt.errors import InputError, printable


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
    assert f"MB free in {folder}; free some disk space and run the same command to resume" in printed


@pytest.mark.parametrize(
    "number", [errno.EACCES, errno.EROFS, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ENOENT]
)
def test_run_command_names_a_path_that_cannot_be_used(
    number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(lambda: failing(OSError(number, os.strerror(number), "/results/\x1bdone"))) == 2
    lines = capsys.readouterr().err
    assert (
        lines == f"/results/\\x1bdone: {os.strerror(number)}; name a path that this user can read and write\n"
    )


@pytest.mark.parametrize(
    ("number", "remedy"),
    [(errno.EISDIR, "move the folder away"), (errno.ELOOP, "leads to itself; remove it")],
)
def test_run_command_names_what_lies_in_place_of_a_file(
    number: int, remedy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(lambda: failing(OSError(number, os.strerror(number), "done/X.json"))) == 2
    assert remedy in capsys.readouterr().err


def test_run_command_that_is_interrupted_says_how_to_repeat_it(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    assert run_command(interrupted) == 130
    assert capsys.readouterr().err == INTERRUPTED + "\n"


def test_run_command_raises_other_errors() -> None:
    with pytest.raises(PermissionError):
        run_command(lambda: failing(PermissionError(errno.EACCES, "denied")))


PRINTS = r"""
import sys
from medpt.cli import console, run_command
sys.exit(run_command(lambda: console().print("82.13 \u00b1 1.40 \u2013 CE-Net")))
"""


@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "iso-8859-1"},
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_terminal_without_unicode_gets_the_numbers(variables: dict[str, str]) -> None:
    done = subprocess.run([sys.executable, "-c", PRINTS], capture_output=True, env=os.environ | variables)
    assert done.returncode == 0, done.stderr
    assert b"82.13" in done.stdout
    assert b"1.40" in done.stdout


def test_output_that_is_closed_is_no_error() -> None:
    many = PRINTS.replace('"82.13', '"82.13" * 200_000 + "')
    process = subprocess.Popen(
        [sys.executable, "-c", many], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout
    process.stdout.close()
    assert process.stderr
    assert process.stderr.read() == ""
    assert process.wait() == 141
    closed = subprocess.run(["/bin/sh", "-c", f"{sys.executable} -c '{PRINTS}' >&- 2>&-"])
    assert closed.returncode == 0


def test_console_shows_brackets_and_escapes_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    console().print("the [x-ray] grid, see [/x-ray] \x1b[31mred\x1b[0m \x9b2J")
    assert capsys.readouterr().out == "the [x-ray] grid, see [/x-ray] \\x1b[31mred\\x1b[0m \\x9b2J\n"


def test_printable_keeps_letters_of_every_script_and_line_ends() -> None:
    assert printable("Zürich 東京 ±\n\tx\r\u202e") == "Zürich 東京 ±\n\tx\\r\\u202e"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "127.0.0.1,localhost,::1"),
        ({"NO_PROXY": "a.example, localhost"}, "a.example,localhost,127.0.0.1,::1"),
        ({"no_proxy": "*"}, "*"),
    ],
)
def test_loopback_is_never_asked_for_through_a_proxy(given: dict[str, str], expected: str) -> None:
    environment = dict(given)
    bypass_proxy_for_loopback(environment)
    assert environment["no_proxy"] == expected


def test_file_where_a_folder_belongs_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.touch()
    assert run_command(lambda: file.mkdir(parents=True, exist_ok=True)) == 2
    assert capsys.readouterr().err == f"{file}: File exists; a folder belongs there; move the file away\n"
