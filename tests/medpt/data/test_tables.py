"""Tables beside the images: what was written is read, line by line, by the publishers' headers."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medpt.data.tables import csv_rows, sheet_rows, whole_number
from medpt.phantom.tables import Cell, write_xls, write_xlsx

TEXT = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Zs")), max_size=20)
CELL = st.one_of(
    TEXT, st.integers(-(2**31), 2**31), st.floats(allow_nan=False, allow_infinity=False, width=32)
)


def read(path: Path, *columns: str) -> list[tuple[int, dict[str, object]]]:
    problems: list[str] = []
    rows = list(sheet_rows(path, columns, problems))
    assert problems == []
    return rows


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(st.tuples(CELL, CELL), max_size=30))
def test_sheets_round_trip(rows: list[tuple[Cell, Cell]]) -> None:
    full = [("Image name", "Risk of macular edema "), *rows]
    kept = [(n, row) for n, row in enumerate(rows, 2) if any(cell != "" for cell in row)]
    with TemporaryDirectory() as folder:
        for path in (Path(folder) / "a.xls", Path(folder) / "a.xlsx"):
            (write_xlsx(path, full) if path.suffix == ".xlsx" else write_xls(path, "Feuil1", full))
            found = read(path, "Image name", "Risk of macular edema")
            assert [n for n, _ in found] == [n for n, _ in kept]
            for (_, cells), (_, row) in zip(found, kept, strict=True):
                assert [cell if cell is not None else "" for cell in cells.values()] == list(row)


def test_equal_rows_give_equal_bytes_and_long_tables_are_refused(tmp_path: Path) -> None:
    rows: list[list[Cell]] = [["ImgName", "Label"], ["V0001.jpg", 1]]
    for name in ("a", "b"):
        write_xls(tmp_path / f"{name}.xls", "Feuil1", rows)
        write_xlsx(tmp_path / f"{name}.xlsx", rows)
    for kind in ("xls", "xlsx"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()
    with pytest.raises(ValueError, match="do not fit into one sector"):
        write_xls(tmp_path / "c.xls", "Feuil1", [["x" * 200]] * 400)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (3, 3),
        (3.0, 3),
        ("3", 3),
        ("3.0", 3),
        (2.5, None),
        ("", None),
        (None, None),
        ("x", None),
        ("nan", None),
    ],
)
def test_whole_numbers_of_cells(value: object, number: int | None) -> None:
    assert whole_number(value) == number


def test_csv_columns_by_name_and_short_lines(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('\ufeffb, a ,c\n1, 2 ,3\n\n"x,y",5\n7,8,9, \n7,8,9,10\n,,\n', encoding="utf-8")
    problems: list[str] = []
    assert list(csv_rows(path, ("a", "b"), problems)) == [(2, ("2", "1")), (5, ("8", "7"))]
    assert problems == [f"{path}, line {n}: {c} cells; the header has 3" for n, c in ((4, 2), (6, 4))]
    assert list(csv_rows(path, ("a", "d"), problems)) == []
    assert problems[2] == f"{path}, line 1: no column d; found: b,a,c; accepted: a,d"
    assert list(csv_rows(tmp_path / "absent.csv", ("a",), problems)) == []
    assert problems[3].endswith("absent.csv: No such file or directory")


def test_files_that_are_no_sheets(tmp_path: Path) -> None:
    for name, content in (
        ("a.xls", b"x" * 90),
        ("b.xlsx", b"x" * 90),
        ("c.xls", b""),
        ("d.xlsx", b"PK\x03\x04"),
    ):
        (tmp_path / name).write_bytes(content)
        problems: list[str] = []
        assert list(sheet_rows(tmp_path / name, (), problems)) == []
        assert len(problems) == 1
        assert f"{name}: {'not an Excel file that can be read' if content else 'empty file'}" in problems[0]
    for name in ("absent.xls", "absent.xlsx"):
        problems = []
        assert list(sheet_rows(tmp_path / name, (), problems)) == []
        assert f"{name}: No such file" in problems[0]
