"""Masks: the numbers or colours that a file stores, never what an image decoder makes of them.

Nothing is scaled, converted, smoothed or guessed. What an image may lose without harm (transparency, 16 bits,
an orientation) would change the class of a pixel here, so it is kept or refused.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medpt.data.card import FILE, UNLABELLED, Value
from medpt.data.dataset import IGNORE
from medpt.data.decode import content, decode_jpeg, open_image, orientation_of, turned
from medpt.data.image_headers import (
    DEEP,
    JPEG,
    highest_sample,
    is_lossy,
    is_png16,
    is_white_zero,
    orientation,
)
from medpt.data.reading import reading
from medpt.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

TRANSPARENT = ("LA", "La", "PA", "RGBA", "RGBa")
APART = 16  # grey levels: what lossy formats add to values this far apart is seen as values of no class
SHOWN = 3  # values in a message


def read_ids(source: Path | bytes) -> NDArray[np.uint8]:
    """Return uint8 (H, W) of class numbers: the stored numbers, of palette images the indices.

    Raises InputError as `read_values` does, for colour and for numbers above 255.
    """
    stored = read_values(source, palette_colours=False)
    name = "<bytes>" if isinstance(source, bytes) else str(source)
    if stored.ndim != 2:
        raise InputError(
            f"{name}: a mask in colour; accepted: one channel of class numbers, or `values` in the card"
        )
    if stored.dtype != np.uint8 and not 0 <= stored.min() <= stored.max() <= 255:
        raise InputError(
            f"{name}: numbers from {stored.min():,} to {stored.max():,}; accepted: classes 0 to 255"
        )
    return stored.astype(np.uint8)


def read_values(
    source: Path | bytes, palette_colours: bool = True, nearest: int | None = None
) -> NDArray[Any]:
    """Return the stored values: (H, W) uint8, uint16 or int32, or (H, W, 3) uint8 of a mask in colour.

    A palette image gives its colours, or its indices; one bit gives 0 and 255, or 0 and 1; 2 and 4 bits and
    other ranges of a PGM give the stored numbers. EXIF turns the mask as it turns an image (see
    `check_turned_alike`).
    `nearest` is the least difference of two values that stand for classes (none known: 1 of indices).
    Raises InputError naming the file for what `open_image` refuses, for fractions, for a TIFF whose 0 is
    white, for a mask whose transparency says more than its colours, and for a lossy format, such as JPEG,
    where it could turn one class into another unseen.
    """
    data, name = content(source)
    nearest = nearest if nearest is not None else APART if palette_colours else 1
    with reading(name, "a mask"):
        file = open_image(data, name)
        if is_white_zero(file):
            raise InputError(
                f"{name}: a TIFF whose 0 is white; accepted: masks whose 0 is black (BlackIsZero)"
            )
        turn = orientation(file) if file.format != "TIFF" else 1  # Pillow turns TIFF while it decodes
        if nearest < APART and is_lossy(file, data):
            kind = "JPEG" if data.startswith(JPEG) else f"{file.format} that is lossy"
            raise InputError(
                f"{name}: class numbers in a {kind}, which puts other classes at edges; accepted: PNG, or a "
                "TIFF without JPEG"
            )
        if data.startswith(JPEG):
            return turned(decode_jpeg(file, data), turn)
        highest = highest_sample(file, data)
        file.load()
        _check_mode(file, data, name)
        stored = _stored(file, name, palette_colours)
        return turned(_unscaled(stored, highest) if file.mode in ("L", "I") else stored, turn)


def read_coded(path: Path, values: Mapping[str, Value], classes: tuple[str, ...]) -> NDArray[np.uint8]:
    """Return uint8 (H, W) of class numbers of a mask that shows classes as grey values or colours.

    Raises InputError as `read_values` does, and for values that no class has.
    """
    return class_numbers(read_values(path, nearest=_nearest(values)), values, classes, path)


def class_numbers(
    stored: NDArray[Any], values: Mapping[str, Value], classes: tuple[str, ...], path: Path
) -> NDArray[np.uint8]:
    """Return uint8 (H, W) of class numbers for stored grey values or colours.

    Raises InputError naming `path` for values that no class has.
    """
    colour = not isinstance(next(iter(values.values())), int)
    codes = _codes(stored, colour, path)
    order = sorted((_code(value), name) for name, value in values.items())
    known = np.array([code for code, _ in order])
    ids = np.array([IGNORE if name == UNLABELLED else classes.index(name) for _, name in order], np.uint8)
    at = np.searchsorted(known, codes).clip(max=len(known) - 1)
    strange = np.unique(codes[known[at] != codes])
    if strange.size:
        shown = ", ".join(_shown(int(code), colour) for code in strange[:SHOWN])
        accepted = ", ".join(_shown(code, colour) for code, _ in order)
        raise InputError(
            f"{path}: {strange.size} values that no class has, such as {shown}; accepted: {accepted}"
        )
    return ids[at]


def _nearest(values: Mapping[str, Value]) -> int:
    """The least difference of two values, in the channel in which they differ most."""
    levels = [np.ravel(value) for value in values.values()]
    return min((int(np.abs(a - b).max()) for n, a in enumerate(levels) for b in levels[:n]), default=APART)


def check_turned_alike(image: Path, mask: Path) -> None:
    """Raise InputError where EXIF turns one of image and mask alone: on which of the two was it drawn?"""
    first, second = orientation_of(image), orientation_of(mask)
    if first != second:
        raise InputError(
            f"{mask}: its EXIF orientation is {second}, that of {image} is {first}; "
            "accepted: the same in both, best both upright (1)"
        )


def _check_mode(file: "Image", data: bytes, name: str) -> None:
    deep_colour = is_png16(data) and file.mode != "I;16"
    known = (*TRANSPARENT, "1", "L", "P", "RGB", "I")
    if deep_colour or not (file.mode in known or file.mode.startswith("I;16")):
        mode = "16-bit colour or transparency" if deep_colour else f"mode {file.mode}"
        raise InputError(
            f"{name}: a mask of {mode}; accepted: whole numbers of one channel, or 8-bit colours"
        )


def _stored(file: "Image", name: str, palette_colours: bool) -> NDArray[Any]:
    if file.mode == "1":
        return np.array(file).astype(np.uint8) * np.uint8(255 if palette_colours else 1)
    if file.mode == "P" and not palette_colours:
        return np.array(file)
    if file.mode in TRANSPARENT or "transparency" in file.info:
        _check_transparency(np.array(file.convert("RGBA")), name)
    if file.mode in ("LA", "La"):
        return np.array(file)[:, :, 0]
    return np.array(file.convert("RGB") if file.mode in (*TRANSPARENT, "P") else file)


def _unscaled(pixels: NDArray[Any], highest: int) -> NDArray[Any]:
    """Undo what Pillow does to samples of 2 and 4 bits and of PGM: white becomes 255, or 65535."""
    if pixels.dtype == np.uint8 and highest < 255:
        return np.rint(pixels * (highest / 255)).astype(np.uint8)
    if 255 < highest < DEEP:
        return np.rint(pixels * (highest / DEEP)).astype(np.int32)
    return pixels


def _check_transparency(pixels: NDArray[np.uint8], name: str) -> None:
    """Raise InputError where two pixels of one colour differ in transparency: the mask is drawn in it."""
    red, green, blue, alpha = np.moveaxis(pixels.astype(np.int64), 2, 0)
    colours = red << 16 | green << 8 | blue
    if len(np.unique(colours)) != len(np.unique(colours << 8 | alpha)):
        raise InputError(
            f"{name}: drawn in its transparency (one colour occurs with transparency {alpha.min()} and "
            f"{alpha.max()}), which is not read; accepted: grey values or colours without transparency"
        )


def _codes(stored: NDArray[Any], colour: bool, path: Path) -> NDArray[np.int32]:
    """(H, W): the grey value, or red, green and blue in one number."""
    wide = stored.astype(np.int32)
    if colour:
        red, green, blue = (wide, wide, wide) if wide.ndim == 2 else np.moveaxis(wide, 2, 0)
        return red << 16 | green << 8 | blue
    if wide.ndim == 2:
        return wide
    if (wide != wide[:, :, :1]).any():
        raise InputError(f"{path}: a mask in colour; accepted: grey, as the `values` of {FILE} are")
    return wide[:, :, 0]


def _code(value: Value) -> int:
    return value if isinstance(value, int) else value[0] << 16 | value[1] << 8 | value[2]


def _shown(code: int, colour: bool) -> str:
    return str([code >> 16, code >> 8 & 255, code & 255]) if colour else str(code)
