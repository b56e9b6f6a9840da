"""What the headers of image files say of their samples, before a pixel is decoded."""

from typing import TYPE_CHECKING, Any

from medpt.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
DEEP = 65535  # white in 16 bits
ORIENTATION = 0x0112  # EXIF tag
PHOTOMETRIC, SAMPLES, EXTRA, BITS, PLANES, FORMAT = 262, 277, 338, 258, 284, 339  # TIFF tags
WHITE_IS_ZERO = 0
COLOURS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3}  # channels of a photometric interpretation
TRANSPARENCY = (1, 2)  # values of EXTRA
REDUCED, PAGES = 1, 64  # bit of the TIFF tag NewSubfileType: a smaller copy of another page; those looked at
SEPARATE, UNSIGNED = 2, (1, 4)  # values of PLANES, and of FORMAT: whole numbers without a sign, unknown


def orientation(file: "Image") -> int:
    """The EXIF orientation, 1 (upright) to 8."""
    try:
        found = file.getexif().get(ORIENTATION, 1)
    except Exception:  # whatever Pillow raises on a damaged block
        return 1
    return found if found in range(1, 9) else 1


def is_png16(data: bytes) -> bool:
    return data.startswith(PNG) and len(data) > 24 and data[24] == 16


def is_white_zero(file: "Image") -> bool:
    """Whether a TIFF says WhiteIsZero."""
    tags = getattr(file, "tag_v2", {}) if file.format == "TIFF" else {}
    return tags.get(PHOTOMETRIC) == WHITE_IS_ZERO


def highest_sample(file: "Image", data: bytes) -> int:
    """The number that a file stores for white, before Pillow scales it: 3 in 2 bits, 4095 in some PPM."""
    if file.format == "PPM":
        tile: Any = getattr(file, "tile", None)
        arguments = tile[0].args if tile else ()
        return int(arguments[-1]) if isinstance(arguments, tuple) else {"I": DEEP}.get(file.mode, 255)
    depth = data[24] if data.startswith(PNG) else bits_a_sample(file)
    return int(2**depth) - 1


def is_lossy(file: "Image", data: bytes) -> bool:
    """Whether a format keeps pixels roughly: JPEG, also inside a TIFF, and the lossy kind of WebP."""
    if file.format == "TIFF":
        return "jpeg" in str(file.info.get("compression"))
    return data.startswith(JPEG) or (file.format == "WEBP" and b"VP8 " in _chunks_of_webp(data))


def _chunks_of_webp(data: bytes) -> list[bytes]:
    """The names of the chunks: `VP8 ` is lossy, VP8L is not."""
    names, at = [], 12
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        names.append(data[at : at + 4])
        at += 8 + length + length % 2
    return names


def bits_a_sample(file: "Image") -> int:
    bits = getattr(file, "tag_v2", {}).get(BITS, (1,)) if file.format == "TIFF" else (8,)
    return int(bits[0]) if isinstance(bits, tuple) else int(bits)


def check_channels(file: "Image", name: str) -> None:
    """Raise InputError for a TIFF of other channels than grey, colour and alpha, or of signed samples."""
    tags: Any = getattr(file, "tag_v2", {})
    channels, kind = int(tags.get(SAMPLES, 1)), tags.get(PHOTOMETRIC, 1)
    extra = channels - COLOURS.get(kind, 1)
    transparent = extra == 1 and tags.get(EXTRA, (0,))[0] in TRANSPARENCY
    if extra and not transparent:
        raise InputError(
            f"{name}: {channels} channels; accepted: grey or colour, with or without transparency"
        )
    bits = bits_a_sample(file)
    if bits == 8 and tags.get(FORMAT, UNSIGNED)[0] not in UNSIGNED:
        raise InputError(f"{name}: 8-bit samples with a sign; accepted: samples without a sign")
    if bits > 8 and channels > 1 and tags.get(PLANES) == SEPARATE:
        raise InputError(f"{name}: {bits}-bit colours in separate planes; accepted: colours pixel by pixel")


def has_several(file: "Image") -> bool:
    """Whether a file holds several images; smaller copies that a TIFF has of one do not count."""
    if file.format != "TIFF":
        return bool(getattr(file, "is_animated", False))
    for page in range(1, PAGES):
        try:
            file.seek(page)
        except EOFError:
            break
        if not int(getattr(file, "tag_v2", {}).get(254, 0)) & REDUCED:
            return True
    file.seek(0)
    return False
