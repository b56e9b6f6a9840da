"""Image files to uint8 pixels, whole or not at all.

Pillow decodes, because it refuses a truncated file where OpenCV fills the rest with grey; OpenCV reads 16-bit
PNG, which Pillow cuts to the high byte. Colour profiles are not applied. An unreadable EXIF block counts as
"upright", because the pixels beside it are sound.
"""

import struct
from functools import cache
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medpt.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 89_478_485  # Pillow's limit: 256 MiB of RGB; the largest image of the paper has 12 million
ORIENTATION = 0x0112  # EXIF tag


@cache
def opencv() -> ModuleType:
    """cv2 on one thread: processes are the parallelism here, and no result depends on a thread count."""
    import cv2

    cv2.setNumThreads(1)
    return cv2


@cache
def _pillow() -> ModuleType:
    """PIL.Image without its warning at half of its own limit: MAX_PIXELS refuses there."""
    import warnings

    from PIL import Image

    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    return Image


def read_image(source: Path | bytes) -> NDArray[np.uint8]:
    """uint8 (H, W, 3) RGB, or (H, W) of a grey file, upright after EXIF, without alpha.

    16-bit samples are divided by 257 and rounded; CMYK becomes RGB; of an animation the first frame is read.
    Raises InputError naming the file: absent, empty, truncated, not an image, or above MAX_PIXELS.
    """
    data, name = _content(source)
    if _is_png16(data):
        return _png16(data, name)
    image = _upright(_open(data, name))
    if image.mode.startswith("I;16"):
        return _eight_bits(np.asarray(image).astype(np.uint16))
    if image.mode in ("I", "F"):
        raise InputError(f"{name}: 32-bit pixels; accepted: 8 or 16 bits a channel")
    mode = "L" if image.mode in ("1", "L", "LA") else "RGB"
    return np.array(image if image.mode == mode else image.convert(mode))


def read_grey(source: Path | bytes) -> NDArray[np.uint8]:
    """uint8 (H, W): as `read_image`, colour reduced to ITU-R 601 luma."""
    pixels = read_image(source)
    return pixels if pixels.ndim == 2 else opencv().cvtColor(pixels, opencv().COLOR_RGB2GRAY)


def read_ids(source: Path | bytes) -> NDArray[np.uint8]:
    """uint8 (H, W) of class ids: the stored numbers, of palette images the indices.

    Raises InputError as `read_image` does, and for colour and for 16 bits.
    """
    data, name = _content(source)
    image = _open(data, name)
    if image.mode not in ("1", "L", "P") or _is_png16(data):
        raise InputError(f"{name}: a mask of mode {image.mode}; accepted: one channel of 1 or 8 bits")
    return np.array(image).astype(np.uint8)


def read_numbers(path: Path) -> NDArray[Any]:
    """(H, W) numbers of one channel as stored, such as a TIFF of Hounsfield units: uint16, int32 or float32.

    Raises InputError as `read_image` does, and for 8 bits and for colour.
    """
    data, name = _content(path)
    image = _open(data, name)
    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        raise InputError(f"{name}: pixels of mode {image.mode}; accepted: one channel of 16 or 32 bits")
    return np.array(image)


def _content(source: Path | bytes) -> tuple[bytes, str]:
    if isinstance(source, bytes):
        data, name = source, "<bytes>"
    else:
        name = str(source)
        try:
            data = source.read_bytes()
        except OSError as error:
            raise InputError(f"{name}: {error.strerror}") from None
    if not data:
        raise InputError(f"{name}: empty file (0 bytes)")
    return data, name


def _open(data: bytes, name: str) -> "Image":
    from PIL import UnidentifiedImageError

    try:
        image: Image = _pillow().open(BytesIO(data))
        _limit(image.size, name)
        image.load()
    except UnidentifiedImageError:
        raise InputError(f"{name}: not an image that can be read") from None
    except _pillow().DecompressionBombError:
        raise InputError(f"{name}: more than {MAX_PIXELS:,} pixels") from None
    except (OSError, SyntaxError, ValueError, struct.error, EOFError) as error:
        raise error if isinstance(error, InputError) else InputError(f"{name}: {error}") from None
    return image


def _limit(size: tuple[int, int], name: str) -> None:
    if size[0] * size[1] > MAX_PIXELS:
        raise InputError(f"{name}: {size[0]}x{size[1]} is more than {MAX_PIXELS:,} pixels")


def _upright(image: "Image") -> "Image":
    from PIL import ImageOps

    try:
        turned = image.getexif().get(ORIENTATION, 1) not in (None, 1)
        return ImageOps.exif_transpose(image) if turned else image
    except (SyntaxError, ValueError, KeyError, OSError, TypeError, struct.error):
        return image


def _is_png16(data: bytes) -> bool:
    return data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) > 24 and data[24] == 16


def _png16(data: bytes, name: str) -> NDArray[np.uint8]:
    _open(data, name)  # size limit and truncation
    cv2 = opencv()
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise InputError(f"{name}: not a PNG that can be read")
    return _eight_bits(pixels if pixels.ndim == 2 else pixels[:, :, 2::-1])


def _eight_bits(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
