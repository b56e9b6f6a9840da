"""Excel files of one sheet, the same bytes for the same rows: nothing here asks what time it is.

`.xls` is a BIFF8 stream in a compound file ([MS-XLS], [MS-CFB]), `.xlsx` is OOXML with strings in place.
"""

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

Cell = str | int | float
SECTOR = 512
FREE, CHAIN_END, FAT_SECTOR = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"


def write_xls(path: Path, sheet: str, rows: Iterable[Sequence[Cell]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_compound("Workbook", _workbook(sheet, rows)))


def _workbook(sheet: str, rows: Iterable[Sequence[Cell]]) -> bytes:
    name = struct.pack("<BB", len(sheet), 0) + sheet.encode("latin-1")
    head = _bof(0x0005) + _record(0x0042, struct.pack("<H", 1200))
    start = len(head) + 4 + 6 + len(name) + 4
    table = _record(0x0085, struct.pack("<IBB", start, 0, 0) + name)
    cells = [_cell(r, c, cell) for r, row in enumerate(rows) for c, cell in enumerate(row)]
    return head + table + _record(0x000A) + _bof(0x0010) + b"".join(cells) + _record(0x000A)


def _record(kind: int, content: bytes = b"") -> bytes:
    return struct.pack("<HH", kind, len(content)) + content


def _bof(kind: int) -> bytes:
    return _record(0x0809, struct.pack("<HHHHII", 0x0600, kind, 0x0DBB, 0x07CC, 0, 6))


def _cell(row: int, column: int, value: Cell) -> bytes:
    place = struct.pack("<HHH", row, column, 0)
    if isinstance(value, str):
        text = value.encode("utf-16-le")
        return _record(0x0204, place + struct.pack("<HB", len(text) // 2, 1) + text)
    return _record(0x0203, place + struct.pack("<d", value))


def _compound(name: str, stream: bytes) -> bytes:
    """A compound file of one stream: header, one FAT sector, one directory sector, the stream."""
    size = max(-(-len(stream) // SECTOR) * SECTOR, 4096)  # shorter ones would live in the mini stream
    count = size // SECTOR
    fat = [FAT_SECTOR, CHAIN_END, *range(3, count + 2), CHAIN_END]
    if len(fat) > SECTOR // 4:
        raise ValueError(f"{len(stream)} bytes do not fit into one sector of the allocation table")
    fat += [FREE] * (SECTOR // 4 - len(fat))
    header = bytes.fromhex("D0CF11E0A1B11AE1") + bytes(16)
    header += struct.pack(
        "<HHHHH6xIIIIIIIII", 0x3E, 3, 0xFFFE, 9, 6, 0, 1, 1, 0, 4096, CHAIN_END, 0, CHAIN_END, 0
    )
    header += struct.pack("<109I", 0, *[FREE] * 108)
    entries = _entry("Root Entry", 5, FREE, 1, CHAIN_END, 0) + _entry(name, 2, FREE, FREE, 2, size)
    return (
        header
        + struct.pack("<128I", *fat)
        + (entries + _entry("", 0, FREE, FREE, 0, 0) * 2)
        + stream.ljust(size, b"\0")
    )


def _entry(name: str, kind: int, sibling: int, inside: int, start: int, size: int) -> bytes:
    text = (name + "\0").encode("utf-16-le") if name else b""
    black = 1
    head = text.ljust(64, b"\0") + struct.pack("<HBBIII", len(text), kind, black, sibling, sibling, inside)
    return head + bytes(36) + struct.pack("<IQ", start, size)


def write_xlsx(path: Path, rows: Iterable[Sequence[Cell]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with ZipFile(path, "w") as file:
        for name, text in _parts(rows).items():
            info = ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.compress_type = ZIP_DEFLATED
            file.writestr(info, f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n{text}')


def _parts(rows: Iterable[Sequence[Cell]]) -> dict[str, str]:
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    body = "".join(f"<row>{''.join(map(_inline, row))}</row>" for row in rows)
    return {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{kind}.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}">'
        '<sheets><sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{OFFICE}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{MAIN}"><sheetData>{body}</sheetData></worksheet>',
    }


def _inline(value: Cell) -> str:
    from xml.sax.saxutils import escape

    if isinstance(value, str):
        return f'<c t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>'
    return f"<c><v>{value}</v></c>"
