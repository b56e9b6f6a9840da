"""Tables beside the images: CSV files and Excel sheets as rows, with problems that name file and line."""

import csv
import io
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from medpt.data.reading import read_bytes, read_text, reading
from medpt.errors import InputError

MAX_TABLE = 2**28  # bytes, decompressed; train.csv of CheXpert has 25 MB
MAX_CELLS = 5_000_000  # of a sheet
EXCEL = "an Excel file"
SEPARATORS = (",", ";", "\t")  # the first of equals

Row = dict[str, Any]


def csv_rows(
    path: Path, columns: Sequence[str], problems: list[str]
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield (line, the cells of `columns`, in their order), cells stripped; other columns are ignored.

    Adds to `problems`: the file or a column is missing, a column is there twice, a line has fewer cells than
    the header, or more that are not empty (a comma that nobody quoted shifts every cell behind it).
    """
    yield from _select(path, csv_lines(path), columns, problems)


def table_rows(
    path: Path, columns: Sequence[str], problems: list[str]
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield as `csv_rows` does, of a table in any of the forms that `table_lines` reads."""
    yield from _select(path, table_lines(path), columns, problems)


def table_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, stripped cells) of the first sheet of an Excel file, or of text with `,`, `;` or tabs.

    The header says what separates cells: the mark that it has most of. Raises InputError as `csv_lines`.
    """
    if path.suffix.lower() in (".xlsx", ".xls"):
        rows = _xls(path) if path.suffix.lower() == ".xls" else _xlsx(path)
        cells = ((number, [_text(value) for value in row]) for number, row in enumerate(rows, 1))
        yield from ((number, row) for number, row in cells if any(row))
    else:
        header = read_text(path, MAX_TABLE).lstrip("\n\r").partition("\n")[0]
        yield from csv_lines(path, max(SEPARATORS, key=header.count))


def header(path: Path) -> list[str]:
    """Return the names of a table's columns; none where it cannot be read, which its reader reports."""
    try:
        return next(table_lines(path), (1, []))[1]
    except InputError:
        return []


def composed(text: str) -> str:
    """One form of letters with accents, which systems write as one character or as two."""
    return unicodedata.normalize("NFC", text)


def _text(value: Any) -> str:
    """A cell of Excel as a person reads it: 17.0 is 17."""
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def _select(
    path: Path, lines: Iterator[tuple[int, list[str]]], columns: Sequence[str], problems: list[str]
) -> Iterator[tuple[int, tuple[str, ...]]]:
    try:
        header = next(lines, (1, []))[1]
        problem = _header_problem(header, columns)
        if problem:
            problems.append(f"{path}, line 1: {problem}")
            return
        at = [header.index(name) for name in columns]
        for line, cells in lines:
            if len(cells) < len(header) or any(cells[len(header) :]):
                problems.append(f"{path}, line {line}: {len(cells)} cells; the header has {len(header)}")
            else:
                yield line, tuple([cells[n] for n in at])
    except InputError as error:
        problems += error.problems


def csv_lines(path: Path, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Yield (line, stripped cells) of the lines of a UTF-8 table that are not empty.

    Raises InputError naming the file: absent, in another encoding, or no CSV file.
    """
    text = read_text(path, MAX_TABLE)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    while True:
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            raise InputError(
                f"{path}, line {rows.line_num}: not a CSV file that can be read: {error}"
            ) from None
        cells = [cell.strip() for cell in cells]
        if any(cells):
            yield rows.line_num, cells


def sheet_rows(path: Path, columns: Sequence[str], problems: list[str]) -> Iterator[tuple[int, Row]]:
    """Yield (row as Excel counts, cells by header) of the first sheet of an .xls or .xlsx, headers stripped.

    Empty rows are skipped. Adds to `problems`: no Excel file, or a column is missing or there twice.
    """
    try:
        rows = _xls(path) if path.suffix.lower() == ".xls" else _xlsx(path)
    except InputError as error:
        problems += error.problems
        return
    header = [str(name or "").strip() for name in (rows[0] if rows else [])]
    if problem := _header_problem(header, columns):
        problems.append(f"{path}, row 1: {problem}")
        return
    for number, cells in enumerate(rows[1:], 2):
        if any(cell not in (None, "") for cell in cells):
            yield number, dict(zip(header, cells, strict=False))


def whole_number(value: Any) -> int | None:
    """The whole number in a cell (3, 3.0, '3'), or None: Excel keeps numbers as floats."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return int(number) if number.is_integer() else None


def _header_problem(header: list[str], columns: Sequence[str]) -> str:
    """What is wrong with a header, or ""."""
    found = f"found: {','.join(header) or 'nothing'}"
    if missing := [name for name in columns if name not in header]:
        separated = " (commas separate)" if any(mark in str(header) for mark in (";", "\\t")) else ""
        return f"no column {', '.join(missing)}; {found}{separated}; accepted: {','.join(columns)}"
    if twice := [name for name in columns if header.count(name) > 1]:
        return f"the column {', '.join(twice)} is there twice; {found}; accepted: each name once"
    return ""


def _xls(path: Path) -> list[list[Any]]:
    import xlrd

    with reading(path, EXCEL):
        content = read_bytes(path, MAX_TABLE)
        sheet = xlrd.open_workbook(file_contents=content, logfile=io.StringIO()).sheet_by_index(0)
        return _bounded((sheet.row_values(n) for n in range(sheet.nrows)), path)


def _xlsx(path: Path) -> list[list[Any]]:
    import openpyxl

    with reading(path, EXCEL):
        content = io.BytesIO(read_bytes(path, MAX_TABLE))
        with ZipFile(content) as archive:
            if (size := sum(entry.file_size for entry in archive.infolist())) > MAX_TABLE:
                raise InputError(
                    f"{path}: {size:,} bytes once it is decompressed; accepted: up to {MAX_TABLE:,}"
                )
        book = openpyxl.load_workbook(content, read_only=True, data_only=True)
        try:
            sheet = book.worksheets[0]
            sheet.reset_dimensions()  # they may name a million rows
            return _bounded((list(row) for row in sheet.iter_rows(values_only=True)), path)
        finally:
            book.close()


def _bounded(rows: Iterable[list[Any]], path: Path) -> list[list[Any]]:
    """The rows, up to MAX_CELLS cells."""
    kept: list[list[Any]] = []
    cells = 0
    for row in rows:
        cells += len(row) + 1
        if cells > MAX_CELLS:
            raise InputError(f"{path}: more than {MAX_CELLS:,} cells")
        kept.append(row)
    return kept
