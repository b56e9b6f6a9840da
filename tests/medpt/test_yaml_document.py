"""YAML documents: values with their lines, and the files that are refused."""

from pathlib import Path

import pytest

from medpt.errors import InputError
from medpt.yaml_document import Document


def document(folder: Path, text: str | bytes) -> Document:
    path = folder / "file.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return Document(path)


def test_document_has_values_and_lines(tmp_path: Path) -> None:
    read = document(tmp_path, "a: 1\nb:\n  - x: yes\n  - [p, 'q']\nc: null\n")
    assert read.data == {"a": 1, "b": [{"x": True}, ["p", "q"]], "c": None}
    assert [read.where(path).rpartition(":")[2] for path in [("b",), ("b", 0, "x"), ("b", 1, 1), ("c",)]] == [
        "2",
        "3",
        "4",
        "5",
    ]
    assert read.where(("b", 1, "unknown", 7)) == f"{tmp_path}/file.yaml:4"


def test_document_of_an_empty_file_is_an_empty_mapping(tmp_path: Path) -> None:
    assert document(tmp_path, "# nothing\n").data == {}


def test_document_reads_exponents_as_numbers_unless_quoted(tmp_path: Path) -> None:
    assert document(tmp_path, "[1e-4, -2E3, '1e-4', 1-2, 2020_a]").data == [
        1e-4,
        -2e3,
        "1e-4",
        "1-2",
        "2020_a",
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1_000", 1000),
        ("+5", 5),
        ("-0.5", -0.5),
        (".5", 0.5),
        ("1E3", 1000.0),
        ("OFF", False),
        ("~", None),
        ("y", "y"),
        ("2021-13-45", "2021-13-45"),
        ("12:30:45", "12:30:45"),
        (".inf", ".inf"),
        ("1e999", "1e999"),
        ("9" * 5_000, "9" * 5_000),
    ],
    ids=lambda value: str(value)[:12],
)
def test_scalar_is_read_without_surprises(tmp_path: Path, text: str, value: object) -> None:
    assert repr(document(tmp_path, f"a: {text}").data["a"]) == repr(value)


@pytest.mark.parametrize("text", ["007", "0x1F", "0x_", "0b11", "0o17", "-01", "0_1"])
def test_numbers_of_several_meanings_are_refused_with_a_hint(tmp_path: Path, text: str) -> None:
    (problem,) = document(tmp_path, f"b: 1\na: {text}").located()
    assert problem.startswith(
        f"{tmp_path}/file.yaml:2: `a` is {text}, which YAML readers take for different numbers"
    )
    assert f'write "{text}" for text' in problem
    assert document(tmp_path, f"a: '{text}'").located() == []


def test_document_reports_its_own_problem_of_a_value_alone(tmp_path: Path) -> None:
    read = document(tmp_path, "a: 007\nb: 1")
    messages = read.located([(("b",), "two"), (("a",), "one")])
    assert [text.partition(": ")[2][:9] for text in messages] == [
        "`a` is 00",
        "two",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [b", "not YAML"),
        ("\ta: b", "file.yaml:1: not YAML"),
        ("a: \x01", "not YAML"),
        (
            "a: !!python/object:os.system x",
            "file.yaml:1: the tag `!!python/object:os.system` is not accepted",
        ),
        ("a: 1\nb: 2\na: 3", "file.yaml:3: the key `a` is given twice; keep one"),
        (b"a: \xff", "not UTF-8 text at byte 3"),
        ("a: " + "x" * 5_000_001, "at most 5,000,000 bytes are accepted"),
        ("a:\n  " + "[" * 100_000 + "]" * 100_000, "file.yaml:2: values are nested more than 50 levels deep"),
        ("a: &a [*a]", "file.yaml:1: values are nested more than 50 levels deep"),
        ("[" + "0," * 250_000 + "0]", "more than 250,000 values"),
        ("? [a]\n: b", "file.yaml:1: a key is a list or a mapping"),
        (r'a: "\ud800"', "file.yaml:1: not YAML"),
        (r'a: [1, "b\0"]', "file.yaml:1: a value has the character NUL"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_document_is_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        raise InputError(document(tmp_path, text).located())
    assert message in str(caught.value)


def test_document_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        Document(tmp_path / "absent.yaml")


def test_control_character_is_reported_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text("title: \u00e9\nname: a\x07b\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"file.yaml:2: not YAML: unacceptable character"):
        Document(path)
