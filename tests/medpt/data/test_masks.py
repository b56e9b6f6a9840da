"""Masks: stored numbers and colours come back as they are, or the file is refused by name."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from medpt.data.decode import opencv
from medpt.data.masks import check_turned_alike, read_coded, read_ids, read_values
from medpt.errors import InputError

IDS = np.random.default_rng(0).integers(0, 2, (20, 30)).astype(np.uint8)


def saved(path: Path, pixels: np.ndarray, **options: object) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_masks_hold_what_is_stored(suffix: str, tmp_path: Path) -> None:
    path = saved(tmp_path / f"m.{suffix}", IDS.astype(np.uint16))
    assert np.array_equal(read_ids(path), IDS)
    assert np.array_equal(read_coded(path, {"ground": 0, "vessel": 1}, ("ground", "vessel")), IDS)
    path = saved(tmp_path / f"n.{suffix}", IDS.astype(np.uint16) * 257)
    with pytest.raises(InputError, match=rf"n\.{suffix}: 1 values that no class has, such as 257"):
        read_coded(path, {"ground": 0, "vessel": 1}, ("ground", "vessel"))
    with pytest.raises(InputError, match=rf"n\.{suffix}: numbers from 0 to 257; accepted: classes 0 to 255"):
        read_ids(path)


def test_labels_of_32_bits_are_read_and_fractions_refused(tmp_path: Path) -> None:
    assert np.array_equal(read_ids(saved(tmp_path / "m.tif", IDS.astype(np.int32))), IDS)
    with pytest.raises(InputError, match=r"f\.tif: a mask of mode F"):
        read_ids(saved(tmp_path / "f.tif", IDS.astype(np.float32) / 2))


def test_sixteen_bit_colour_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.png"
    opencv().imwrite(str(path), np.dstack([IDS.astype(np.uint16)] * 3))
    with pytest.raises(InputError, match=r"c\.png: a mask of 16-bit colour"):
        read_values(path)


@pytest.mark.parametrize(
    "ground",
    [np.full((20, 30, 3), 255, np.uint8), np.zeros((20, 30, 3), np.uint8), np.zeros((20, 30, 1), np.uint8)],
    ids=["white", "black", "grey"],
)
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_masks_drawn_in_transparency_are_refused(ground: np.ndarray, suffix: str, tmp_path: Path) -> None:
    path = saved(tmp_path / f"m.{suffix}", np.dstack([ground, IDS * 255]))
    with pytest.raises(InputError, match=rf"m\.{suffix}: drawn in its transparency"):
        read_values(path)


def test_transparency_that_follows_the_colours_is_dropped(tmp_path: Path) -> None:
    colour = IDS[:, :, None] * np.array([255, 0, 0], np.uint8)
    for alpha in (np.full_like(IDS, 255), IDS * 255):
        path = saved(tmp_path / "m.png", np.dstack([colour, alpha]))
        assert np.array_equal(read_coded(path, {"a": (0, 0, 0), "b": (255, 0, 0)}, ("a", "b")), IDS)


def test_palettes_of_index_masks_may_be_transparent(tmp_path: Path) -> None:
    image = Image.fromarray(IDS, "P")
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.save(tmp_path / "m.png", transparency=0)
    assert np.array_equal(read_ids(tmp_path / "m.png"), IDS)


def test_exif_turns_image_and_mask_alike_or_the_pair_is_refused(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = saved(tmp_path / "image.png", IDS, exif=exif)
    upright = saved(tmp_path / "mask.png", IDS)
    with pytest.raises(InputError, match=r"mask\.png: its EXIF orientation is 1, that of .*image\.png is 6"):
        check_turned_alike(turned, upright)
    check_turned_alike(turned, turned)
    assert np.array_equal(read_ids(turned), np.rot90(IDS, 3))


def test_white_that_is_zero_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "m.tif", IDS, tiffinfo={262: 0})
    with pytest.raises(InputError, match=r"m\.tif: a TIFF whose 0 is white"):
        read_ids(path)


def packed_png(pixels: np.ndarray, depth: int) -> bytes:
    """A grey PNG of 1, 2 or 4 bits."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    height, width = pixels.shape
    bits = np.unpackbits(pixels[:, :, None], axis=2)[:, :, 8 - depth :].reshape(height, -1)
    rows = b"".join(b"\0" + row.tobytes() for row in np.packbits(bits, axis=1))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_few_bits_hold_what_is_stored(depth: int) -> None:
    stored = np.random.default_rng(1).integers(0, 2**depth, (20, 30)).astype(np.uint8)
    assert np.array_equal(read_ids(packed_png(stored, depth)), stored)
    if depth > 1:
        assert np.array_equal(read_values(packed_png(stored, depth)), stored)


@pytest.mark.parametrize("highest", [1, 2, 3, 7, 100, 254, 300, 4095])
@pytest.mark.parametrize("kind", ["P5", "P2"])
def test_pgm_of_another_range_holds_what_is_stored(kind: str, highest: int) -> None:
    stored = np.random.default_rng(2).integers(0, min(highest, 255) + 1, (20, 30))
    wide = stored.astype(">u2" if highest > 255 else np.uint8)
    content = wide.tobytes() if kind == "P5" else " ".join(map(str, stored.ravel())).encode()
    assert np.array_equal(read_ids(f"{kind} 30 20 {highest}\n".encode() + content), stored)


@pytest.mark.parametrize("quality", [60, 95, 100])
def test_class_numbers_in_a_jpeg_are_refused(quality: int, tmp_path: Path) -> None:
    path = saved(tmp_path / "m.jpg", np.kron(IDS, np.full((4, 4), 2, np.uint8)), quality=quality)
    with pytest.raises(InputError, match=r"m\.jpg: class numbers in a JPEG"):
        read_ids(path)


def test_jpeg_of_levels_is_refused_for_the_values_between_them(tmp_path: Path) -> None:
    path = saved(tmp_path / "m.jpg", IDS * 255, quality=80)
    with pytest.raises(InputError, match=r"m\.jpg: \d+ values that no class has"):
        read_coded(path, {"a": 0, "b": 255}, ("a", "b"))


def test_signed_8_bit_labels_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "m.tif", -IDS.astype(np.int8))
    with pytest.raises(InputError, match=r"m\.tif: 8-bit samples with a sign"):
        read_ids(tmp_path / "m.tif")


LOSSY = {"m.jpg": {}, "m.webp": {"quality": 60}, "m.tif": {"compression": "jpeg"}}


@pytest.mark.parametrize("name", LOSSY)
def test_class_numbers_in_any_lossy_format_are_refused(name: str, tmp_path: Path) -> None:
    pixels = np.kron(IDS, np.ones((4, 4), np.uint8))
    path = saved(tmp_path / name, pixels, **LOSSY[name])
    with pytest.raises(InputError, match=rf"{name}: class numbers in a"):
        read_ids(path)
    with pytest.raises(InputError, match=rf"{name}: class numbers in a"):
        read_coded(path, {"ground": 0, "vessel": 1}, ("ground", "vessel"))


@pytest.mark.parametrize("options", [{"suffix": ".webp", "lossless": True}, {"suffix": ".tif"}])
def test_class_numbers_in_a_lossless_format_are_read(options: dict[str, Any], tmp_path: Path) -> None:
    pixels = np.dstack([IDS] * 3)
    path = saved(tmp_path / f"m{options.pop('suffix')}", pixels, **options)
    assert np.array_equal(read_coded(path, {"ground": 0, "vessel": 1}, ("ground", "vessel")), IDS)
