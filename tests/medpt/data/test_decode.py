"""Image files of every kind that the datasets hold, and broken ones."""

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from medpt.data import decode
from medpt.data.decode import opencv, read_grey, read_image
from medpt.data.masks import read_ids
from medpt.errors import InputError

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (24, 40, 3), np.uint8)
GREY = RNG.integers(0, 256, (24, 40), np.uint8)


def encoded(image: Image.Image, file_format: str, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, file_format, **options)
    return content.getvalue()


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
@pytest.mark.parametrize("pixels", [COLOUR, GREY], ids=["colour", "grey"])
def test_lossless_files_come_back_as_they_were(file_format: str, pixels: np.ndarray) -> None:
    assert np.array_equal(read_image(encoded(Image.fromarray(pixels), file_format)), pixels)


def test_jpeg_is_rgb_and_agrees_with_opencv() -> None:
    smooth = opencv().resize(COLOUR[:4, :6], (40, 24), interpolation=opencv().INTER_CUBIC)
    data = encoded(Image.fromarray(smooth), "JPEG", quality=95)
    other = opencv().imdecode(np.frombuffer(data, np.uint8), opencv().IMREAD_COLOR)[:, :, ::-1]
    assert np.abs(read_image(data).astype(int) - other).max() <= 3
    assert np.abs(read_image(data).astype(int) - smooth).mean() < 4


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)], ids=["grey", "colour"])
def test_sixteen_bits_are_divided_by_257_and_rounded(shape: tuple[int, ...]) -> None:
    deep = RNG.integers(0, 65536, shape, np.uint16)
    deep.flat[:4] = 0, 128, 129, 65535
    ok, data = opencv().imencode(".png", deep if deep.ndim == 2 else deep[:, :, ::-1])
    assert ok
    assert np.array_equal(read_image(data.tobytes()), np.rint(deep / 257).astype(np.uint8))


def test_sixteen_bit_tiff() -> None:
    deep = RNG.integers(0, 65536, (5, 7), np.uint16)
    assert np.array_equal(read_image(encoded(Image.fromarray(deep), "TIFF")), np.rint(deep / 257))


def test_cmyk_alpha_and_palette_become_rgb_or_grey() -> None:
    red = Image.new("RGB", (8, 8), (200, 30, 30))
    assert np.abs(read_image(encoded(red.convert("CMYK"), "JPEG")).astype(int) - (200, 30, 30)).max() < 6
    clear = red.convert("RGBA")
    clear.putalpha(0)
    assert np.array_equal(read_image(encoded(clear, "PNG")), np.asarray(red))
    assert read_image(encoded(Image.new("LA", (8, 6), (9, 0)), "PNG")).shape == (6, 8)
    assert np.array_equal(
        read_image(encoded(red.convert("P", palette=Image.Palette.ADAPTIVE), "PNG")), np.asarray(red)
    )


def test_palette_gif_is_read_by_colour_as_grey_and_by_index_as_ids() -> None:
    mask = Image.fromarray((GREY > 127).astype(np.uint8), "P")
    mask.putpalette([0, 0, 0, 255, 255, 255])
    data = encoded(mask, "PNG")
    assert np.array_equal(read_grey(data), np.where(GREY > 127, 255, 0))
    assert np.array_equal(read_ids(data), GREY > 127)
    assert set(np.unique(read_grey(encoded(mask, "GIF")))) == {0, 255}


@pytest.mark.parametrize(("orientation", "turn"), [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_exif_orientation_is_applied(orientation: int, turn: int) -> None:
    steps = np.repeat(np.repeat(np.array([[0, 80], [160, 240]], np.uint8), 16, 0), 24, 1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = read_image(encoded(Image.fromarray(steps), "JPEG", exif=exif, quality=95))
    expected = np.rot90(steps, turn)
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).mean() < 3


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "TIFF", "GIF"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_truncated_files_are_refused_by_name(tmp_path: Path, file_format: str, part: float) -> None:
    data = encoded(Image.fromarray(COLOUR), file_format)
    path = tmp_path / "cut.bin"
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(InputError, match=r"cut\.bin"):
        read_image(path)


@pytest.mark.parametrize(
    "content", [b"", b"not an image", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n" + b"\0" * 40]
)
def test_input_that_is_no_image_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "strange.png"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"strange\.png"):
        read_image(path)


def test_absent_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_image(tmp_path / "absent.png")
    with pytest.raises(InputError, match="directory"):
        read_image(tmp_path)


def test_size_is_limited_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "MAX_PIXELS", 24 * 40 - 1)
    with pytest.raises(InputError, match="40x24 is more than 959 pixels"):
        read_image(encoded(Image.fromarray(GREY), "PNG"))


def test_32_bit_and_colour_masks_are_refused() -> None:
    with pytest.raises(InputError, match="32-bit"):
        read_image(encoded(Image.fromarray(GREY.astype(np.float32)), "TIFF"))
    with pytest.raises(InputError, match="a mask in colour; accepted: one channel of class numbers"):
        read_ids(encoded(Image.fromarray(COLOUR), "PNG"))


def eight_and_sixteen(suffix: str, white_is_zero: bool, orientation: int, folder: Path) -> list[np.ndarray]:
    """One image stored with 8 and with 16 bits, under one photometric interpretation and orientation."""
    grey = np.linspace(0, 255, 24 * 40).astype(np.uint8).reshape(24, 40)
    found = []
    for pixels in (grey, grey.astype(np.uint16) * 257):
        path = folder / f"{pixels.dtype}.{suffix}"
        exif = Image.Exif()
        exif[0x0112] = orientation
        if suffix == "tif":
            kind, turn = ("miniswhite" if white_is_zero else "minisblack"), (274, 3, 1, orientation, True)
            tifffile.imwrite(path, pixels, photometric=kind, extratags=[turn])
        else:
            Image.fromarray(pixels).save(path, exif=exif)
        found.append(read_image(path))
    return found


@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize(("suffix", "white_is_zero"), [("tif", False), ("tif", True), ("png", False)])
def test_headers_mean_the_same_at_every_depth(
    suffix: str, white_is_zero: bool, orientation: int, tmp_path: Path
) -> None:
    eight, sixteen = eight_and_sixteen(suffix, white_is_zero, orientation, tmp_path)
    assert eight.shape == ((24, 40) if orientation < 5 else (40, 24))
    assert np.array_equal(eight, sixteen)


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_unused_bits_are_reported_with_the_range_found(bits: int, file_format: str) -> None:
    pixels = np.linspace(1, 2**bits - 1, 24 * 40).astype(np.uint16).reshape(24, 40)
    data = encoded(Image.fromarray(pixels), file_format)
    with pytest.raises(InputError, match=rf"from 1 to {2**bits - 1:,} of 65,535: .* `bits: {bits}`"):
        read_image(data)
    assert read_image(data, bits=bits).max() == 255
    assert read_image(data, bits=16).max() == round((2**bits - 1) / 257)
    with pytest.raises(InputError, match=rf"more than `bits: {bits - 1}` says"):
        read_image(data, bits=bits - 1)


@pytest.mark.parametrize("size", [(70_000, 1), (1, 17_000), (400, 12), (33, 1)])
def test_extreme_sides_are_refused_by_the_header(size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=f"{size[0]}x{size[1]} is"):
        read_image(encoded(Image.new("L", size), "PNG"))


@pytest.mark.parametrize(
    "content",
    [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"%PDF-1.7\n", b"\xc5\xd0\xd3\xc6" + bytes(40)],
)
def test_formats_that_start_programs_are_never_tried(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("a program was started"))
    with pytest.raises(InputError, match=r"PostScript or PDF\); accepted: PNG, JPEG"):
        read_image(content)


def test_icons_and_other_formats_of_pillow_are_not_read() -> None:
    for file_format in ("ICO", "TGA", "SGI", "ICNS"):
        with pytest.raises(InputError, match="accepted: PNG"):
            read_image(encoded(Image.fromarray(COLOUR), file_format))


@pytest.mark.parametrize("file_format", ["TIFF", "GIF", "WEBP", "PNG"])
def test_several_images_in_one_file_are_refused(file_format: str) -> None:
    first, second = Image.fromarray(COLOUR), Image.fromarray(255 - COLOUR)
    data = encoded(first, file_format, save_all=True, append_images=[second])
    with pytest.raises(InputError, match="several images in one file"):
        read_image(data)


@pytest.mark.parametrize("channels", [2, 5])
def test_tiff_of_other_channels_is_refused(channels: int, tmp_path: Path) -> None:
    pixels = RNG.integers(0, 256, (24, 40, channels), np.uint8)
    tifffile.imwrite(tmp_path / "c.tif", pixels, photometric="minisblack", planarconfig="contig")
    with pytest.raises(InputError, match=r"c\.tif: (2 channels; accepted|not an image that can be read)"):
        read_image(tmp_path / "c.tif")


def smooth_jpeg(**options: object) -> bytes:
    small = Image.fromarray(RNG.integers(0, 256, (9, 9, 3), np.uint8))
    return encoded(small.resize((200, 160), Image.Resampling.BICUBIC), "JPEG", **options)


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"quality": 95}], ids=["usual", "progressive", "fine"]
)
@pytest.mark.parametrize("damage", ["cut", "zeros", "gap", "noise"])
def test_damaged_jpeg_is_refused_and_read_where_the_card_accepts_it(
    damage: str, options: dict[str, object]
) -> None:
    data = smooth_jpeg(**options)
    start, stop = 2 * len(data) // 5, 3 * len(data) // 5
    broken = {
        "cut": data[: len(data) // 2] + b"\xff\xd9",
        "zeros": data[:start] + bytes(stop - start) + data[stop:],
        "gap": data[:start] + data[stop:],
        "noise": data[:start] + RNG.bytes(stop - start).replace(b"\xff", b"\0") + data[stop:],
    }[damage]
    with pytest.raises(InputError, match=r"Corrupt JPEG data|not an image"):
        read_image(broken)
    assert read_image(data).shape == (160, 200, 3)
    if damage == "cut":
        assert read_image(broken, strict=False).shape == (160, 200, 3)


@pytest.mark.parametrize("at", [0.3, 0.5, 0.8])
def test_png_with_a_changed_byte_is_refused(at: float) -> None:
    data = bytearray(encoded(Image.fromarray(COLOUR), "PNG"))
    data[int(at * len(data))] ^= 8
    with pytest.raises(InputError, match="not an image"):
        read_image(bytes(data))
