"""Image files to uint8 pixels, complete or not at all.

The formats are those of FORMATS, known by content; no other is tried, because some formats of Pillow start
programs. simplejpeg decodes JPEG, because it refuses damaged data that libjpeg fills with grey; OpenCV
decodes PNG and colour of 16 bits, which Pillow cuts to the high byte; Pillow decodes the rest. Photometric
interpretation and orientation mean the same in every format and bit depth. Colour profiles are not applied.
An unreadable EXIF block counts as upright, because the pixels beside it are sound. Masks are read by
medpt.data.masks.
"""

from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medpt.data.completeness import check_complete
from medpt.data.image_headers import (
    DEEP,
    JPEG,
    PNG,
    bits_a_sample,
    check_channels,
    has_several,
    highest_sample,
    is_png16,
    is_white_zero,
    orientation,
)
from medpt.data.reading import check_content, read_bytes, reading
from medpt.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "PPM", "WEBP")
MAX_PIXELS = 89_478_485  # Pillow's limit: 256 MiB of RGB; the largest image of the paper has 12 million
MAX_SIDE, MAX_ASPECT = 16_384, 32  # crop_fundus pads to a square, which takes the square of the longer side
USED = 4  # a 16-bit image that uses no more than a fourth of its range is refused
DARK, BRIGHT_SHARE = 4095, 0.01  # also one of 12 bits and of a few brighter pixels, such as a marker
UNLIKE = {  # what lies in the place of images
    **dict.fromkeys((b"%!PS", b"%PDF", b"\xc5\xd0\xd3\xc6"), "PostScript or PDF"),
    b"version https://git-lfs": "a pointer of Git LFS; `git lfs pull` fetches the image",
    b"/annex/objects/": "a pointer of git-annex; `git annex get` or `datalad get` fetches the image",
    b"<!DOCTYPE html": "a web page",
    b"<html": "a web page",
}

TURNED: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    2: np.fliplr,
    3: lambda pixels: np.rot90(pixels, 2),
    4: np.flipud,
    5: lambda pixels: np.swapaxes(pixels, 0, 1),
    6: lambda pixels: np.rot90(pixels, 3),
    7: lambda pixels: np.swapaxes(np.rot90(pixels, 2), 0, 1),
    8: lambda pixels: np.rot90(pixels, 1),
}


@cache
def opencv() -> ModuleType:
    """cv2 on one thread, since processes are the parallelism here, and without messages on damaged files."""
    import cv2

    cv2.setNumThreads(1)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    return cv2


def read_image(source: Path | bytes, bits: int | None = None, strict: bool = True) -> NDArray[np.uint8]:
    """Return uint8 (H, W, 3) RGB, or (H, W) of a grey file, upright after EXIF, without alpha.

    Samples of 16 bits are scaled by 255 / 65535 and rounded. `bits` says how many of them are used (12: 0 to
    4095); without it an image that uses less than a fourth of the range is refused. CMYK becomes RGB. Without
    `strict` a JPEG with damaged data is read as far as libjpeg can.
    Raises InputError naming the file: absent, empty, damaged, of another format, of several images, drawn in
    its transparency alone, or of a size that `check_size` refuses.
    """
    data, name = content(source)
    with reading(name, "an image"):
        file = open_image(data, name, strict)
        turn = orientation(file)
        if data.startswith(JPEG):
            pixels = decode_jpeg(file, data, strict)
        elif _is_deep(file, data):
            pixels = _eight_bits(_deep(data, name), highest_sample(file, data), bits, name)
        else:
            pixels = _decoded(file, bits, name)
    return turned(pixels, turn if file.format != "TIFF" else 1)  # Pillow turns TIFF while it decodes


def read_grey(source: Path | bytes) -> NDArray[np.uint8]:
    """uint8 (H, W): as `read_image`, colour reduced to ITU-R 601 luma."""
    pixels = read_image(source)
    return pixels if pixels.ndim == 2 else opencv().cvtColor(pixels, opencv().COLOR_RGB2GRAY)


def read_numbers(path: Path) -> NDArray[Any]:
    """Return (H, W) uint16, int32 or float32 of one channel as stored, such as a TIFF of Hounsfield units.

    Raises InputError as `read_image` does, for 8 bits, for colour and for values that are not finite.
    """
    data, name = content(path)
    with reading(name, "an image"):
        file = open_image(data, name)
        if file.mode not in ("I", "F") and not file.mode.startswith("I;16"):
            raise InputError(f"{name}: pixels of mode {file.mode}; accepted: one channel of 16 or 32 bits")
        if is_white_zero(file):
            raise InputError(f"{name}: 0 is white in it; accepted: numbers whose 0 is black")
        pixels = np.array(file)
    if not np.isfinite(pixels).all():
        raise InputError(f"{name}: values that are no number; accepted: finite values")
    return pixels


def content(source: Path | bytes) -> tuple[bytes, str]:
    """The bytes of an image or mask, and the name that messages use."""
    if isinstance(source, bytes):
        return check_content("<bytes>", source), "<bytes>"
    return read_bytes(source), str(source)


def open_image(data: bytes, name: str, strict: bool = True) -> "Image":
    """Open an image of FORMATS by its header, and refuse what no reader here takes. Nothing is decoded yet.

    Raises InputError for another format, a refused size, several images in one file, channels that are
    neither colour nor transparency, samples with a sign, a PNG whose checksums do not fit, and an incomplete
    file, see `check_complete`. Without `strict` an incomplete JPEG is accepted.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        file = Image.open(BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        found = next((f" ({what})" for start, what in UNLIKE.items() if data.startswith(start)), "")
        raise InputError(
            f"{name}: not an image that can be read{found}; accepted: {', '.join(FORMATS)}"
        ) from None
    except Image.DecompressionBombError:
        raise InputError(f"{name}: more than {MAX_PIXELS:,} pixels") from None
    check_size(*file.size, name)
    if file.format == "TIFF":
        check_channels(file, name)
    if not data.startswith(JPEG) and has_several(file):
        raise InputError(f"{name}: several images in one file; accepted: one image a file")
    if data.startswith(PNG):
        Image.open(BytesIO(data), formats=("PNG",)).verify()
    if strict or not data.startswith(JPEG):
        check_complete(file, data)
    return file


def check_size(width: int, height: int, name: Path | str) -> None:
    """Raise InputError for sizes that would take gigabytes, here or where an image is padded to a square."""
    size = f"{name}: {width}x{height} is"
    if width < 1 or height < 1:
        raise InputError(f"{size} no size of an image")
    if width * height > MAX_PIXELS:
        raise InputError(f"{size} more than {MAX_PIXELS:,} pixels")
    if max(width, height) > MAX_SIDE:
        raise InputError(f"{size} more than {MAX_SIDE:,} pixels on a side")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise InputError(f"{size} a strip; accepted: sides of a ratio up to {MAX_ASPECT}")


def orientation_of(path: Path) -> int:
    """The EXIF orientation of an image file, from its header alone."""
    from PIL import Image

    with reading(path, "an image"), Image.open(path, formats=FORMATS) as file:
        return orientation(file)


def turned(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn (H, W, ...) pixels upright from an EXIF orientation."""
    return np.ascontiguousarray(TURNED[orientation](pixels)) if orientation != 1 else pixels


def decode_jpeg(file: "Image", data: bytes, strict: bool = True) -> NDArray[np.uint8]:
    """Decode an opened JPEG to RGB or grey. `strict` refuses every file that libjpeg warns of."""
    import simplejpeg

    if file.mode == "CMYK":  # Pillow knows that Adobe writes it inverted
        simplejpeg.decode_jpeg(data, "CMYK", strict=strict)
        return np.array(file.convert("RGB"))
    if file.mode == "L":
        return simplejpeg.decode_jpeg(data, "GRAY", strict=strict)[:, :, 0]
    return simplejpeg.decode_jpeg(data, "RGB", strict=strict)


def _decoded(file: "Image", bits: int | None, name: str) -> NDArray[np.uint8]:
    """By Pillow, which inverts WhiteIsZero of up to 8 bits by itself and not of 16."""
    white_zero = is_white_zero(file)
    full = DEEP if file.format == "PPM" else 2 ** bits_a_sample(file) - 1  # Pillow scales PPM
    file.load()
    if file.mode.startswith("I;16") or (file.mode == "I" and file.format == "PPM"):
        pixels = _eight_bits(np.asarray(file).astype(np.uint16), full, bits, name)
        return 255 - pixels if white_zero else pixels
    if file.mode in ("I", "F"):
        raise InputError(f"{name}: 32-bit or signed pixels; accepted: 8 or 16 bits a channel without a sign")
    mode = "L" if file.mode in ("1", "L", "LA", "La") else "RGB"
    pixels = np.array(file if file.mode == mode else file.convert(mode))
    if file.mode in ("LA", "RGBA"):
        _check_colours(pixels, np.asarray(file)[:, :, -1], name)
    return pixels


def _is_deep(file: "Image", data: bytes) -> bool:
    """Whether Pillow would cut samples to their high byte."""
    colour = file.format in ("TIFF", "PPM") and file.mode in ("RGB", "RGBA", "RGBX")
    return is_png16(data) or (colour and highest_sample(file, data) > 255)


def _deep(data: bytes, name: str) -> NDArray[np.uint16]:
    cv2 = opencv()
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        raise InputError(f"{name}: 16-bit pixels that cannot be read")
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        _check_colours(pixels[:, :, :3], pixels[:, :, 3], name)
    return pixels if pixels.ndim == 2 else pixels[:, :, 2::-1]


def _check_colours(colours: NDArray[Any], alpha: NDArray[Any], name: str) -> None:
    """Raise InputError where a picture has one colour and is drawn in its transparency, which is dropped."""
    if alpha.min() < alpha.max() and (colours == colours[:1, :1]).all():
        raise InputError(
            f"{name}: one colour, drawn in its transparency, which is not read; accepted: grey or colour"
        )


def _eight_bits(pixels: NDArray[np.uint16], full: int, bits: int | None, name: str) -> NDArray[np.uint8]:
    """Scale 0 to `full`, or the range of `bits`, to 0 to 255. Raises InputError where it does not fit."""
    highest = int(pixels.max())
    if bits is not None:
        full = 2**bits - 1
    found = f"{name}: 16-bit samples from {int(pixels.min()):,} to {highest:,} of {full:,}"
    if highest > full:
        raise InputError(f"{found}: more than `bits: {bits}` says")
    if bits is None and full == DEEP and 0 < highest <= DEEP // USED:
        guess = next(depth for depth in (8, 10, 12, 14) if highest < 2**depth)
        raise InputError(
            f"{found}: nearly black, as {guess} bits stored in 16 are; write `bits: {guess}` into "
            "dataset.yaml if that is so, or `bits: 16` if the images are that dark"
        )
    if bits is None and full == DEEP and _has_bright_marker(pixels):
        share = (pixels > DARK).mean()
        raise InputError(
            f"{found}, all but {share:.2%} of them up to {DARK:,}: 12 bits with a brighter marker? "
            "Remove it and write `bits: 12` into dataset.yaml, or `bits: 16` if the images are that dark"
        )
    return ((pixels.astype(np.uint32) * 255 + full // 2) // full).astype(np.uint8)


def _has_bright_marker(pixels: NDArray[np.uint16]) -> bool:
    """Whether few pixels exceed 12 bits and the others are a picture that uses them, not background."""
    rest = pixels[pixels <= DARK]
    if not 0 < pixels.size - rest.size < BRIGHT_SHARE * pixels.size:
        return False
    return bool(np.median(rest) > DARK // 64 and np.quantile(rest, 0.95) > DARK // USED)
