"""Odd files of a user's own dataset, each as the table in docs/own-data.md says."""

import io
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medpt.data import open_dataset, open_with_problems, preprocess
from medpt.data.check import check
from medpt.data.decode import FORMATS, MAX_PIXELS, opencv
from medpt.data.preprocess import pipeline_of
from medpt.errors import InputError

PAGE = Path(__file__).parents[3] / "docs" / "own-data.md"
RED = np.full((16, 24, 3), (200, 30, 40), np.uint8)
CARD = "name: Odd\nmodality: natural\ntask: classification\nclasses: [a, b]\nimages: .\nlabels: labels.csv\n"


def dataset(folder: Path, name: str) -> Path:
    (folder / "dataset.yaml").write_text(CARD)
    (folder / "labels.csv").write_text(f"image,label\n{name},a\nother.png,b\n")
    Image.fromarray(255 - RED).save(folder / "other.png")
    return folder / name


def image(folder: Path) -> np.ndarray:
    found = open_dataset("Odd", folder)
    pixels = found.image(found.records[0])
    assert preprocess(pixels, pipeline_of(found.info, 8)).shape == (8, 8, 3)
    return pixels


def deep(path: Path) -> np.ndarray:
    pixels = np.linspace(0, 65535, 16 * 24).astype(np.uint16).reshape(16, 24)
    opencv().imwrite(str(path), pixels)
    return np.rint(pixels / 257)


def cmyk(path: Path) -> np.ndarray:
    Image.fromarray(RED).convert("CMYK").save(path, quality=95)
    return RED


def turned(path: Path) -> np.ndarray:
    """Stored lying, to be shown upright: the camera was turned by a quarter."""
    lying = RED.copy()
    lying[:, :8] = 0
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(lying).save(path, exif=exif, quality=95)
    return np.rot90(lying, 3)


def broken_exif(path: Path) -> np.ndarray:
    content = io.BytesIO()
    Image.fromarray(RED).save(content, "JPEG", quality=95, exif=b"Exif\0\0" + b"\xff" * 40)
    path.write_bytes(content.getvalue())
    return RED


def clear(path: Path) -> np.ndarray:
    picture = Image.fromarray(RED)
    picture.putalpha(0)
    picture.save(path)
    return RED


def palette(path: Path) -> np.ndarray:
    Image.fromarray(RED).quantize(2).save(path)
    return RED


READ: dict[str, tuple[str, Callable[[Path], np.ndarray]]] = {
    "16-bit PNG or TIFF as a picture": ("deep.png", deep),
    "CMYK JPEG": ("print.jpg", cmyk),
    "JPEG rotated by EXIF": ("phone.jpg", turned),
    "transparency": ("clear.png", clear),
    "palette": ("palette.png", palette),
}


def test_page_lists_what_is_tested_here() -> None:
    rows = [line.split("|")[1].strip() for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    assert set(READ) <= set(rows)


@pytest.mark.parametrize("kind", READ)
def test_odd_but_sound_files_are_read(kind: str, tmp_path: Path) -> None:
    name, write = READ[kind]
    expected = write(dataset(tmp_path, name))
    found = image(tmp_path)
    assert found.dtype == np.uint8
    assert found.shape == expected.shape
    tolerance = 8 if name.endswith(".jpg") else 0
    inner = (slice(1, -1), slice(1, -1))  # the edge in the turned JPEG rings
    difference = np.abs(found[inner].astype(float) - expected[inner])
    assert np.median(difference) <= tolerance
    assert difference.mean() <= tolerance


def test_sixteen_bit_tiff_and_unreadable_exif(tmp_path: Path) -> None:
    expected = deep(dataset(tmp_path, "deep.tif"))
    assert np.array_equal(image(tmp_path), expected)
    expected = broken_exif(dataset(tmp_path, "phone.jpg"))
    (tmp_path / "deep.tif").unlink()
    assert np.abs(image(tmp_path).astype(int) - expected).max() <= 8


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def bomb(width: int, height: int) -> bytes:
    """A PNG of one colour whose pixels, decoded, are a thousand times its size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    row = b"\0" * (1 + width * 3)
    pixels = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


@pytest.mark.parametrize("size", [(9_500, 9_500), (20_000, 10_000)])
@pytest.mark.filterwarnings("error")
def test_bomb_takes_neither_memory_nor_time(size: tuple[int, int], tmp_path: Path) -> None:
    """One above the limit, and one above twice the limit, where Pillow has an error of its own."""
    path = dataset(tmp_path, "bomb.png")
    path.write_bytes(bomb(*size))
    before, start = resident(), time.process_time()
    found = open_with_problems("Odd", tmp_path)
    with pytest.raises(InputError, match=rf"bomb\.png: .*more than {MAX_PIXELS:,} pixels"):
        found.image(found.records[0])
    assert time.process_time() - start < 0.5
    assert resident() - before < 30 * 2**20
    assert path.stat().st_size < size[0] * size[1] * 3 / 500


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty file (0 bytes)"),
        (b"<html>", f"not an image that can be read (a web page); accepted: {', '.join(FORMATS)}"),
        (b"\xff\xd8\xff\xe0", f"not an image that can be read; accepted: {', '.join(FORMATS)}"),
    ],
)
def test_unreadable_file_is_refused_by_name(content: bytes, message: str, tmp_path: Path) -> None:
    path = dataset(tmp_path, "odd.jpg")
    path.write_bytes(content)
    found = check(open_with_problems("Odd", tmp_path), io.StringIO())
    assert found.problems == [f"{path}: {message}"]


def test_truncated_file_and_32_bits_are_refused_by_name(tmp_path: Path) -> None:
    path = dataset(tmp_path, "odd.tif")
    Image.fromarray(np.ones((4, 4), np.float32)).save(path)
    (problem,) = check(open_with_problems("Odd", tmp_path), io.StringIO()).problems
    assert problem.startswith(f"{path}: 32-bit or signed pixels; accepted: 8 or 16 bits a channel")
    Image.fromarray(RED).save(path)
    path.write_bytes(path.read_bytes()[:-100])
    (problem,) = check(open_with_problems("Odd", tmp_path), io.StringIO()).problems
    assert problem.startswith(f"{path}: ")
