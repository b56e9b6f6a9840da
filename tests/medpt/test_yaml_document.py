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
    ("text", "message"),
    [
        ("a: [b", "not YAML"),
        ("\ta: b", "file.yaml:1: not YAML"),
        ("a: \x01", "not YAML"),
        ("a: !!python/object:os.system x", "file.yaml:1: not YAML"),
        ("a: 1\nb: 2\na: 3", "file.yaml:3: the key `a` is given twice; keep one"),
        (b"a: \xff", "not UTF-8 text at byte 3"),
        ("a: " + "x" * 1_000_001, "at most 1,000,000 are accepted"),
        ("a:\n  " + "[" * 100_000 + "]" * 100_000, "file.yaml:2: values are nested more than 50 levels deep"),
        ("a: &a [*a]", "file.yaml:1: values are nested more than 50 levels deep"),
        ("[" + "0," * 100_000 + "0]", "more than 100,000 values"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_document_is_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        document(tmp_path, text)
    assert message in str(caught.value)


def test_document_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        Document(tmp_path / "absent.yaml")
