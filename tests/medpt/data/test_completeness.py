"""Files of which a part is missing: each is refused, and complete files of every kind are read."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from medpt.data.decode import opencv, read_image
from medpt.errors import InputError

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (60, 50, 3), np.uint8)
SMOOTH = opencv().resize(PIXELS[:6, :5], (50, 60), interpolation=opencv().INTER_CUBIC)


def encoded(file_format: str, pixels: np.ndarray = SMOOTH, **options: object) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, file_format, **options)
    return content.getvalue()


def tiff(**options: object) -> bytes:
    content = io.BytesIO()
    tifffile.imwrite(content, PIXELS, **options)
    return content.getvalue()


def changed(data: bytes, tag: int, entry: int, value: int) -> bytes:
    """A little-endian TIFF with the number of values (`entry` 4) of a tag, or its last value, replaced."""
    content = bytearray(data)
    start = struct.unpack_from("<I", data, 4)[0]
    for number in range(struct.unpack_from("<H", data, start)[0]):
        at = start + 2 + 12 * number
        found, kind, count, place = struct.unpack_from("<HHII", data, at)
        if found == tag and entry == 4:
            struct.pack_into("<I", content, at + 4, value)
        elif found == tag:
            width, code = (2, "<H") if kind == 3 else (4, "<I")
            struct.pack_into(code, content, place + width * (count - 1), value)
    return bytes(content)


def png(deflated: bytes, depth: int = 8, interlaced: int = 0) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 50, 60, depth, 2, 0, 0, interlaced))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", deflated) + chunk(b"IEND", b"")


def deflated(pixels: np.ndarray = PIXELS) -> bytes:
    return zlib.compress(b"".join(b"\0" + row.tobytes() for row in pixels))


def scans(data: bytes, kept: int) -> bytes:
    """A progressive JPEG with its first scans alone, and an end marker."""
    starts = [at for at in range(len(data) - 1) if data[at : at + 2] == b"\xff\xda"]
    return data[: starts[kept]] + b"\xff\xd9"


def interlaced(last: int = 7) -> bytes:
    """The stream of an interlaced PNG with its first `last` passes."""
    starts = ((0, 0), (4, 0), (0, 4), (2, 0), (0, 2), (1, 0), (0, 1))  # left, top
    steps = ((8, 8), (8, 8), (4, 8), (4, 4), (2, 4), (2, 2), (1, 2))  # to the right, down
    passes = [PIXELS[y::down, x::across] for (x, y), (across, down) in zip(starts, steps, strict=True)]
    return zlib.compress(b"".join(b"\0" + row.tobytes() for part in passes[:last] for row in part))


STREAM = deflated()
STRIPS = tiff(rowsperstrip=10)
PROGRESSIVE = encoded("JPEG", progressive=True)
INCOMPLETE = {
    "PNG without the end of its data": png(STREAM[: len(STREAM) * 2 // 3]),
    "PNG without its middle": png(STREAM[:2000] + STREAM[5000:]),
    "PNG with another checksum of its pixels": png(STREAM[:-4] + b"abcd"),
    "PNG whose stream ends well after half of its rows": png(deflated(PIXELS[:30])),
    "interlaced PNG without its last pass": png(interlaced(6), interlaced=1),
    "PNG of 16 bits without its end": png(deflated(PIXELS.astype(">u2"))[:9000], depth=16),
    "TIFF with fewer strips": changed(changed(STRIPS, 273, 4, 3), 279, 4, 3),
    "TIFF with an empty strip": changed(STRIPS, 279, 8, 0),
    "TIFF with a strip at 0": changed(STRIPS, 273, 8, 0),
    "TIFF with a strip behind its end": changed(STRIPS, 273, 8, 10**6),
    "TIFF with a short strip": changed(STRIPS, 279, 8, 9),
    "TIFF with a tile at 0": changed(tiff(tile=(16, 16)), 324, 8, 0),
    **{f"JPEG with {kept} scans": scans(PROGRESSIVE, kept) for kept in (1, 3, 6, 9)},
    "JPEG cut within a scan": PROGRESSIVE[: len(PROGRESSIVE) // 2] + b"\xff\xd9",
    "JPEG in grey without its last scan": scans(encoded("JPEG", SMOOTH[:, :, 0], progressive=True), 5),
    "WebP cut short": encoded("WEBP")[:-100],
    "lossless WebP cut short": encoded("WEBP", PIXELS, lossless=True)[:-300],
    "GIF cut short": encoded("GIF", PIXELS[:, :, 0])[:-500] + b"\0;",
}


@pytest.mark.parametrize("name", INCOMPLETE)
def test_files_without_a_part_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"not an image that can be read|cannot be read"):
        read_image(INCOMPLETE[name])


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("options", [{}, {"rowsperstrip": 7}, {"tile": (16, 32)}], ids=str)
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_complete_tiff_is_read(options: dict[str, object], compression: str | None, byteorder: str) -> None:
    data = tiff(compression=compression, byteorder=byteorder, **options)
    assert np.array_equal(read_image(data), PIXELS)


def test_tiff_without_byte_counts_is_read(caplog: pytest.LogCaptureFixture) -> None:
    content = bytearray(tiff())
    start = struct.unpack_from("<I", content, 4)[0]
    entries = [start + 2 + 12 * number for number in range(struct.unpack_from("<H", content, start)[0])]
    (at,) = (at for at in entries if struct.unpack_from("<H", content, at)[0] == 279)
    struct.pack_into("<H", content, at, 65000)  # a tag that nobody reads
    assert np.array_equal(read_image(bytes(content)), PIXELS)
    assert not caplog.records


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0"])
@pytest.mark.parametrize("quality", [5, 75, 100])
@pytest.mark.parametrize("shape", [(60, 50, 3), (60, 50), (1, 1, 3), (7, 9)], ids=str)
def test_complete_progressive_jpeg_is_read(shape: tuple[int, ...], quality: int, subsampling: str) -> None:
    pixels = PIXELS[: shape[0], : shape[1]] if len(shape) == 3 else PIXELS[: shape[0], : shape[1], 0]
    both = (
        encoded("JPEG", pixels, progressive=progressive, quality=quality, subsampling=subsampling)
        for progressive in (False, True)
    )
    plain, progressive = map(read_image, both)
    assert np.array_equal(plain, progressive)


def test_complete_png_is_read() -> None:
    cv2 = opencv()
    ok, data = cv2.imencode(".png", PIXELS, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert ok
    assert np.array_equal(read_image(data.tobytes()), PIXELS[:, :, ::-1])
    assert np.array_equal(read_image(png(STREAM)), PIXELS)
    assert np.array_equal(read_image(png(interlaced(), interlaced=1)), PIXELS)
    assert np.array_equal(read_image(png(deflated(np.concatenate([PIXELS, PIXELS])))), PIXELS)


def test_damaged_progressive_jpeg_is_read_where_the_card_accepts_it() -> None:
    assert read_image(scans(PROGRESSIVE, 6), strict=False).shape == SMOOTH.shape
