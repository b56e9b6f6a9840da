"""Arguments of commands: given once, and refused with what is accepted."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpt.arguments import ArgumentParser, name_list, number, path, program, whole_number


def parser() -> ArgumentParser:
    result = ArgumentParser(prog="program")
    commands = result.add_subparsers(required=True)
    command = commands.add_parser("list")
    command.add_argument("names", nargs="*")
    command.add_argument_group("group").add_argument("--size", type=whole_number(1, 64), default=32)
    command.add_argument("--share", type=number(0, 1))
    command.add_argument("--to", type=path)
    command.add_argument("--by", type=name_list)
    command.add_argument("--metric")
    return result


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit, match="2"):
        parser().parse_args(["list", *arguments])
    return capsys.readouterr().err.splitlines()[-1]


def test_options_of_subcommands_and_groups_are_given_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert vars(parser().parse_args(["list", "a", "b", "--size", "7"]))["size"] == 7
    assert "argument --size: given twice" in refused(["--size", "7", "--size=7"], capsys)


@pytest.mark.parametrize("text", ["", " ", "\t"])
def test_empty_text_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "text that is not empty is accepted" in refused(["--metric", text], capsys)
    assert "text that is not empty is accepted" in refused(["a", text], capsys)


@pytest.mark.parametrize("text", ["", ",", "a,", "a,,b", "a,b, a"])
def test_list_of_names_has_each_once(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert parser().parse_args(["list", "--by", "a, b"]).by == ("a", "b")
    assert f"`{text}`: names with a comma" in refused([f"--by={text}"], capsys)


@pytest.mark.parametrize(
    ("started", "module", "program_name"),
    [
        (["python", "/bin/medpt-grid", "query"], "grid.query", "medpt-grid query"),
        (["python", "/bin/medpt-data", "list"], "medpt.data", "medpt-data"),
        (["python", "-m", "grid.query"], "grid.query", "python -m grid.query"),
    ],
)
def test_help_names_the_command_that_was_typed(
    started: list[str], module: str, program_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.orig_argv", started)
    assert program(module) == program_name


@pytest.mark.parametrize("text", ["0", "65", "-1", "1.0", "", " 7", "²", "9" * 5000, "1_0", "x"])
def test_whole_number_names_the_limits(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    message = f"`{text}`: a whole number from 1 to 64 is accepted"
    assert refused([f"--size={text}"], capsys).endswith(message[-900:])  # a longer value is shortened


@given(value=st.floats())
def test_number_is_within_its_limits(value: float) -> None:
    try:
        found = parser().parse_args(["list", f"--share={value!r}"]).share
    except SystemExit:
        found = None
    assert found == (value if not math.isnan(value) and 0 <= value <= 1 else None)


@pytest.mark.parametrize("text", ["", " "])
def test_empty_path_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "a path is accepted" in refused(["--to", text], capsys)
