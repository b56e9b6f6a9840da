"""Tables and volumes as hospitals have them: each is read, or refused in one line that says what to do."""

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import openpyxl
import pytest
from user_data import CLASSIFIED, MASKED, write_card, write_picture

from medpt.data.__main__ import main

HEADER = "image,label,patient"
ROWS = [f"{n}.png,{('healthy', 'glaucoma')[n % 2]},p{n}" for n in range(6)]
CT = CLASSIFIED | {"modality": "ct"}
VOXELS = np.zeros((8, 8, 4), np.int16)


def table(*rows: str, header: str = HEADER) -> str:
    return "".join(f"{row}\n" for row in (header, *rows))


def pictured(folder: Path, facts: dict[str, str] = CLASSIFIED, text: str = "") -> Path:
    for number in range(6):
        write_picture(folder / "images" / f"{number}.png")
    return write_card(folder, facts, text)


def utf16(folder: Path) -> None:
    pictured(folder)
    (folder / "labels.csv").write_bytes(table(*ROWS).encode("utf-16"))


def excel(folder: Path, content: bytes) -> None:
    pictured(folder, CLASSIFIED | {"labels": "labels.xlsx"})
    (folder / "labels.xlsx").write_bytes(content)


def renamed_excel(folder: Path) -> None:
    pictured(folder)
    book = openpyxl.Workbook()
    for row in (HEADER, *ROWS):
        book.active.append(row.split(","))
    book.save(folder / "book.xlsx")
    (folder / "book.xlsx").rename(folder / "labels.csv")


def volumes(folder: Path, content: bytes, suffix: str = ".nii") -> None:
    write_card(folder, CT, table("0,healthy,a", "1,glaucoma,b"))
    for number in range(2):
        (folder / "images" / f"{number}{suffix}").write_bytes(content)


def nifti(**bytes_at: bytes) -> bytes:
    """A sound file with other bytes at offsets of its header, such as _280 (sform)."""
    content = bytearray(nibabel.Nifti1Image(VOXELS, np.eye(4)).to_bytes())  # type: ignore[no-untyped-call]
    for place, value in bytes_at.items():
        start = int(place[1:])
        content[start : start + len(value)] = value
    return bytes(content)


def frames(folder: Path) -> None:
    image = nibabel.Nifti1Image(np.zeros((4, 4, 4, 3), np.int16), np.eye(4))  # type: ignore[no-untyped-call]
    volumes(folder, image.to_bytes())  # type: ignore[no-untyped-call]


def larger_masks(folder: Path) -> None:
    pictured(folder, MASKED)
    for number in range(6):
        write_picture(folder / "masks" / f"{number}.png", np.eye(12, 16, dtype=np.uint8))


def other_format(folder: Path) -> None:
    pictured(folder, text=table(*ROWS))
    for path in (folder / "images").iterdir():
        path.rename(path.with_suffix(".heic"))


def two_of_one_name(folder: Path) -> None:
    for part in "ab":
        write_picture(folder / "images" / part / "9.png")
    pictured(folder, text=table(*ROWS, "9.png,healthy,p9"))


SOUND: dict[str, str] = {
    "empty cells behind the header": table(*(f"{row},," for row in ROWS), ",,,,"),
    "a line break within quotes": table('"0.png","healthy","p\n0"', *ROWS[1:]),
    "semicolons, and commas within cells": table(
        *(row.replace(",", ";") + ";a, b" for row in ROWS), header="image;label;patient;remark"
    ),
}
REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "UTF-16": (utf16, "labels.csv: UTF-16 text; save it as UTF-8 (in Excel: CSV UTF-8)"),
    "Excel named .csv": (renamed_excel, "labels.csv, line 1: byte 0x"),
    "an empty Excel file": (lambda folder: excel(folder, b""), "labels.xlsx: empty file (0 bytes)"),
    "a damaged Excel file": (
        lambda folder: excel(folder, b"PK\3\4" + bytes(500)),
        "labels.xlsx: not an Excel file that can be read",
    ),
    "another header": (
        lambda folder: pictured(folder, text=table(*ROWS, header=" Image , Label,Patient ")),
        "line 1: no column image, label; found: Image,Label,Patient",
    ),
    "a column there twice": (
        lambda folder: pictured(
            folder, text=table(*(f"{r},healthy" for r in ROWS), header=f"{HEADER},label")
        ),
        "line 1: the column label is there twice",
    ),
    "patients as numbers of Excel": (
        lambda folder: pictured(
            folder, text=table(*(f"{r[:-2]}{n // 2}{'.0' * (n % 2)}" for n, r in enumerate(ROWS)))
        ),
        "'0' and '0.0' look like one patient; spell it in one way",
    ),
    "a volume of terabytes": (
        lambda folder: volumes(folder, nifti(_42=np.array([30_000] * 3, "<i2").tobytes())),
        "0.nii: 30000 x 30000 x 30000 values of 2 bytes; accepted: 1 to 1,073,741,824 bytes in all",
    ),
    "a volume of several times": (frames, "0.nii: an array of 4 dimensions; accepted: 3"),
    "a cut volume": (
        lambda folder: volumes(folder, nifti()[:400]),
        "0.nii: not a NIfTI file that can be read",
    ),
    "a grid that is no number": (
        lambda folder: volumes(folder, nifti(_280=np.float32(np.nan).tobytes())),
        "0.nii: not a NIfTI file that can be read",
    ),
    "a grid without axes": (
        lambda folder: volumes(folder, nifti(_280=bytes(48))),
        "0.nii: not a NIfTI file that can be read",
    ),
    "no gzip file": (
        lambda folder: volumes(folder, nifti(), ".nii.gz"),
        "0.nii.gz: not a gzip file that can be read",
    ),
    "masks of another size": (larger_masks, "masks/0.png: shape (12, 16) for an image of shape (6, 8)"),
    "images of a phone": (other_format, "found there: 0.heic"),
    "a name in two folders": (two_of_one_name, "9.png is a/9.png or b/9.png; use the whole name"),
    "findings that nobody has": (
        lambda folder: pictured(
            folder,
            CLASSIFIED | {"task": "multilabel"},
            table(*(f"{n},0,0" for n in range(6)), header="image,healthy,glaucoma"),
        ),
        "class `healthy` has no image",
    ),
}


@pytest.mark.parametrize("name", SOUND)
def test_tables_as_programs_write_them_are_sound(name: str, tmp_path: Path) -> None:
    pictured(tmp_path, text=SOUND[name])
    assert main(["check", "Clinic", str(tmp_path)]) == 0


@pytest.mark.parametrize("name", REFUSED)
def test_files_that_cannot_be_meant_are_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write, message = REFUSED[name]
    write(tmp_path)
    assert main(["check", "Clinic", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err
