"""Tables beside the images: csv and Excel sheets as rows, with complaints that name file and line."""

import csv
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from medpt.errors import InputError

Row = dict[str, Any]


def csv_rows(
    path: Path, columns: Sequence[str], problems: list[str]
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """(line, the cells of `columns`, in their order), cells stripped; other columns are ignored.

    Adds to `problems`: the file or a column is missing, a line has fewer cells than the header.
    """
    if not path.is_file():
        problems.append(f"{path}: no such file")
        return
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            yield from _csv_rows(path, csv.reader(file), columns, problems)
    except UnicodeDecodeError:
        problems.append(f"{path}: not UTF-8 text")
    except csv.Error as error:
        problems.append(f"{path}: not a csv that can be read: {error}")


def _csv_rows(
    path: Path, lines: Iterator[list[str]], columns: Sequence[str], problems: list[str]
) -> Iterator[tuple[int, tuple[str, ...]]]:
    header = [name.strip() for name in next(lines, [])]
    missing = [name for name in columns if name not in header]
    if missing:
        found = f"found: {','.join(header) or 'nothing'}" + (
            " (commas separate)" if ";" in str(header) else ""
        )
        accepted = f"accepted: {','.join(columns)}"
        problems.append(f"{path}, line 1: no column {', '.join(missing)}; {found}; {accepted}")
        return
    at = [header.index(name) for name in columns]
    for line, cells in enumerate(lines, 2):
        if len(cells) >= len(header):
            yield line, tuple([cells[n].strip() for n in at])
        elif cells:
            problems.append(f"{path}, line {line}: {len(cells)} cells; the header has {len(header)}")


def sheet_rows(path: Path, columns: Sequence[str], problems: list[str]) -> Iterator[tuple[int, Row]]:
    """(row as Excel counts, cells by header) of the first sheet of an .xls or .xlsx, headers stripped.

    Empty rows are skipped. Adds to `problems`: no Excel file, or a column is missing.
    """
    try:
        rows = _xls(path) if path.suffix.lower() == ".xls" else _xlsx(path)
    except InputError as error:
        problems += error.problems
        return
    header = [str(name or "").strip() for name in (rows[0] if rows else [])]
    missing = [name for name in columns if name not in header]
    if missing:
        problems.append(f"{path}, row 1: no column {', '.join(missing)}; accepted: {', '.join(columns)}")
        return
    for number, cells in enumerate(rows[1:], 2):
        if any(cell not in (None, "") for cell in cells):
            yield number, dict(zip(header, cells, strict=False))


def whole(value: Any) -> int | None:
    """The whole number in a cell (3, 3.0, '3'), or None: Excel keeps numbers as floats."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return int(number) if number.is_integer() else None


def _xls(path: Path) -> list[list[Any]]:
    import xlrd

    try:
        sheet = xlrd.open_workbook(path).sheet_by_index(0)
        return [sheet.row_values(n) for n in range(sheet.nrows)]
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except (
        xlrd.XLRDError,
        xlrd.compdoc.CompDocError,
        struct.error,
        ValueError,
        LookupError,
        AssertionError,
        TypeError,
    ) as error:
        raise InputError(f"{path}: not an Excel file that can be read: {error}") from None


def _xlsx(path: Path) -> list[list[Any]]:
    from zipfile import BadZipFile

    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        try:
            return [list(row) for row in book.worksheets[0].iter_rows(values_only=True)]
        finally:
            book.close()
    except (BadZipFile, InvalidFileException, KeyError, ValueError, LookupError) as error:
        raise InputError(f"{path}: not an Excel file that can be read: {error}") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
