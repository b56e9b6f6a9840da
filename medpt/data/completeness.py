"""Whether an image file is complete, as far as its format can tell and its decoders do not.

Pillow fills the rest of a PNG whose compressed data end early, reads an uncompressed TIFF without looking at
its list of strips, and libjpeg takes a progressive JPEG without its last scans for a blurred image. BMP, PPM
and WebP have nothing more to look at than their decoders do.
"""

import logging
import re
import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from math import prod
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

CHUNK = 1 << 20  # bytes that are decompressed at a time
PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by the colour type
ADAM7 = (  # left, top, step to the right, step down of each pass of an interlaced PNG
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)
UNCOMPRESSED, OLD_JPEG = 1, 6  # compressions of TIFF
BYTE_COUNTS = (279, 325)  # TIFF tags, of strips and of tiles
START_OF_SCAN, END_OF_IMAGE, COEFFICIENTS = 0xDA, 0xD9, 64
MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")  # of a JPEG, with a length behind it

logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what it logs of a damaged file is checked here


def check_complete(file: "Image", data: bytes) -> None:
    """Raise ValueError for a PNG, TIFF or JPEG of which a part is missing. `file` is opened, not decoded."""
    if file.format == "PNG":
        _check_png(data)
    elif file.format == "TIFF":
        _check_tiff(data)
    elif file.info.get("progressive"):
        _check_scans(data)


def _check_png(data: bytes) -> None:
    """The chunks may be sound where one of them is missing: the compressed stream has its own checksum.

    A stream that ends well may still have fewer rows than the header says. Of a longer one no more than a
    CHUNK is decompressed, as decoders pass over it.
    """
    stream, expected, found = zlib.decompressobj(), _png_bytes(data), 0
    for part in _image_chunks(data):
        while part and not stream.eof and found <= expected:
            found += len(stream.decompress(part, CHUNK))
            part = stream.unconsumed_tail
    if found < expected:
        raise ValueError(f"the compressed pixels end early: {found:,} of {expected:,} bytes")
    if not stream.eof and found <= expected:
        raise ValueError("the compressed pixels end early")


def _png_bytes(data: bytes) -> int:
    """The bytes of all rows, each with its filter, of a PNG as its header describes it."""
    width, height, depth, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    sizes = [
        (-(-max(0, width - left) // across), -(-max(0, height - top) // down))
        for left, top, across, down in (ADAM7 if interlaced else ((0, 0, 1, 1),))
    ]
    bits = depth * PNG_CHANNELS[colour]
    return sum(rows * (1 + (columns * bits + 7) // 8) for columns, rows in sizes if columns)


def _image_chunks(data: bytes) -> Iterator[bytes]:
    at = 8
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IDAT":
            yield data[at + 8 : at + 8 + length]
        at += 12 + length


def _check_tiff(data: bytes) -> None:
    import tifffile

    with tifffile.TiffFile(BytesIO(data)) as file:
        page = file.pages.first
    if page.compression == OLD_JPEG or not any(tag in page.tags for tag in BYTE_COUNTS):
        return  # both are older than TIFF 6
    expected = prod(page.chunked)
    listed = min(len(page.dataoffsets), len(page.databytecounts))
    if listed < expected:
        raise ValueError(f"{listed} of {expected} strips or tiles are listed")
    offsets, counts = (np.array(column[:expected]) for column in (page.dataoffsets, page.databytecounts))
    if (offsets <= 0).any() or (counts <= 0).any() or (offsets + counts > len(data)).any():
        raise ValueError("strips or tiles are empty or lie outside the file")
    pixels = page.imagelength * (page.imagewidth * page.bitspersample * page.samplesperpixel // 8)
    if page.compression == UNCOMPRESSED and counts.sum() < pixels:
        raise ValueError(f"{counts.sum():,} of {pixels:,} bytes of pixels are listed")


def _check_scans(data: bytes) -> None:
    """Each coefficient has to come down to its last bit: ITU-T T.81, G.1.1.1."""
    missing: dict[int, list[int]] = {}  # of each component: the bits that each coefficient lacks
    at = 2
    while found := MARKER.search(data, at):
        at = found.start() + 2
        if data[at - 1] == END_OF_IMAGE:  # what follows is not part of it
            break
        if data[at - 1] == START_OF_SCAN:
            count = data[at + 2]
            first, last, bits = data[at + 3 + 2 * count : at + 6 + 2 * count]
            for number in range(count):
                lacking = missing.setdefault(data[at + 3 + 2 * number], [COEFFICIENTS] * COEFFICIENTS)
                lacking[first : last + 1] = [bits & 15] * (last + 1 - first)
        at += int.from_bytes(data[at : at + 2])
    if not missing or any(any(lacking) for lacking in missing.values()):
        raise ValueError("a progressive JPEG without its last scans")
