"""Samples of other depths, signs and channels: each means what the file says, or the file is refused."""

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from medpt.data.decode import opencv, read_image
from medpt.errors import InputError

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (24, 40, 3), np.uint8)
GREY = RNG.integers(0, 256, (24, 40), np.uint8)


def encoded(image: Image.Image, file_format: str) -> bytes:
    content = io.BytesIO()
    image.save(content, file_format)
    return content.getvalue()


def deep(file_format: str, pixels: np.ndarray) -> bytes:
    """16-bit colours in a format of which Pillow keeps the high byte alone."""
    if file_format == "PPM":
        return b"P6 40 24 65535\n" + pixels.astype(">u2").tobytes()
    content = io.BytesIO()
    tifffile.imwrite(content, pixels, photometric="rgb", byteorder="<" if file_format == "TIFF" else ">")
    return content.getvalue()


@pytest.mark.parametrize("file_format", ["TIFF", "big-endian TIFF", "PPM"])
def test_sixteen_bit_colours_are_scaled_and_rounded(file_format: str) -> None:
    pixels = RNG.integers(0, 65536, (24, 40, 3), np.uint16)
    assert np.array_equal(read_image(deep(file_format, pixels)), np.rint(pixels / 257))


@pytest.mark.parametrize("file_format", ["TIFF", "big-endian TIFF", "PPM"])
def test_sixteen_bit_colours_of_twelve_bits_are_refused(file_format: str) -> None:
    data = deep(file_format, COLOUR.astype(np.uint16) * 16)
    with pytest.raises(InputError, match=r"nearly black, as 12 bits stored in 16 are; write `bits: 12`"):
        read_image(data)
    assert np.abs(read_image(data, bits=12).astype(int) - COLOUR).max() <= 1


def test_ppm_of_another_range_is_scaled_by_it() -> None:
    data = b"P6 40 24 4095\n" + (COLOUR.astype(np.uint16) * 16).astype(">u2").tobytes()
    assert np.abs(read_image(data).astype(int) - COLOUR).max() <= 1


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_bright_marker_does_not_hide_twelve_bits(file_format: str) -> None:
    pixels = GREY.astype(np.uint16) * 16
    pixels[:2, :3] = 65535
    with pytest.raises(InputError, match=r"12 bits with a brighter marker\?"):
        read_image(encoded(Image.fromarray(pixels), file_format))


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_pictures_drawn_in_transparency_are_refused(mode: str) -> None:
    picture = Image.new(mode, (40, 24))
    picture.putalpha(Image.fromarray(GREY))
    for file_format in ("PNG", "TIFF"):
        with pytest.raises(InputError, match="one colour, drawn in its transparency"):
            read_image(encoded(picture, file_format))
    cv2 = opencv()
    content = cv2.imencode(".png", np.dstack([np.zeros((24, 40, 3)), GREY * 257.0]).astype(np.uint16))[1]
    with pytest.raises(InputError, match="one colour, drawn in its transparency"):
        read_image(content.tobytes())


@pytest.mark.parametrize(
    ("pixels", "options", "message"),
    [
        (GREY.astype(np.int8), {}, "8-bit samples with a sign"),
        (GREY.astype(np.int16), {}, "32-bit or signed pixels"),
        (np.full((24, 40), np.nan, np.float32), {}, "32-bit or signed pixels"),
        (
            np.moveaxis(COLOUR.astype(np.uint16) * 257, 2, 0),
            {"photometric": "rgb", "planarconfig": "separate"},
            "16-bit colours in separate planes",
        ),
    ],
    ids=["int8", "int16", "nan", "planes"],
)
def test_tiff_of_other_numbers_is_refused(
    pixels: np.ndarray, options: dict[str, object], message: str, tmp_path: Path
) -> None:
    tifffile.imwrite(tmp_path / "odd.tif", pixels, **options)
    with pytest.raises(InputError, match=rf"odd\.tif: {message}"):
        read_image(tmp_path / "odd.tif")


def test_many_frames_take_no_time() -> None:
    frame = b"\x2c" + bytes(4) + b"\1\0\1\0\0\2\2\x44\1\0"
    screen = b"GIF89a\1\0\1\0\x80\0\0" + bytes(3) + b"\xff\xff\xff"
    with pytest.raises(InputError, match="several images in one file"):
        read_image(screen + frame * 400_000 + b";")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "a pointer of Git LFS"),
        (b"/annex/objects/SHA256E-s100--00.png\n", "a pointer of git-annex"),
        (b"<!DOCTYPE html><html>404</html>", "a web page"),
        (b"<html>Please log in</html>", "a web page"),
    ],
)
def test_file_that_is_no_image_is_named(content: bytes, found: str) -> None:
    with pytest.raises(InputError, match=rf"not an image that can be read \({found}"):
        read_image(content)
