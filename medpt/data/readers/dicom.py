"""One DICOM image to numbers: Hounsfield units, intensities, or pixels as a viewer shows them.

Every function takes files of one frame. JPEG-LS and JPEG Lossless need the extra `dicom`. Images of two
dimensions of CT and MRI have one channel; others may be in colour.
"""

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medpt.data.decode import check_size
from medpt.data.reading import check_volume, read_bytes, reading
from medpt.errors import InputError

if TYPE_CHECKING:
    from pydicom import FileDataset

AIR, METAL = -1024, 3071  # Hounsfield units; outside the field of view scanners write less
DENSEST = 31_743  # above it lie 16 bits whose sign was lost: what scanners store has 15 bits
FINEST = 1e-3  # Hounsfield units of a stored step
GREY = ("MONOCHROME1", "MONOCHROME2")  # 0 is white, 0 is black
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")
HEADER = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "PixelRepresentation")
JPEG_8_BIT = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")  # the second has 12 bits as well
DEFLATED = (b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.8.1")  # expand without a bound
HEAD = 1024  # bytes in which a file names its transfer syntax


def hounsfield(path: Path) -> NDArray[np.int16]:
    """Return (H, W): stored values by RescaleSlope and RescaleIntercept, clipped to [-1024, 3071] HU.

    Padding pixels are air. Raises InputError naming the file that is no DICOM of CT, is damaged, has several
    frames or channels, or has no finite rescaling to Hounsfield units.
    """
    with reading(path, "a DICOM file"):
        scan, stored = _slice(path, "CT")
        kind = str(getattr(scan, "RescaleType", "HU") or "HU").strip().upper()
        if kind not in ("HU", "US"):  # US: unspecified, as some scanners write
            raise InputError(f"{path}: RescaleType is {kind}; accepted: HU (Hounsfield units)")
        if "LOCALIZER" in map(str, scan.get("ImageType", None) or ()):
            raise InputError(f"{path}: a localizer, not a slice in Hounsfield units; remove it")
        slope, intercept = (_number(scan, key, path) for key in ("RescaleSlope", "RescaleIntercept"))
        if slope < FINEST:
            raise InputError(f"{path}: RescaleSlope is {slope:g}; accepted: a finite number from {FINEST}")
        units = stored.astype(np.float32) * slope + intercept
        if (padding := _padding(scan, stored, path)) is not None:
            units[padding] = AIR
        if (highest := units.max()) > DENSEST:
            raise InputError(
                f"{path}: values up to {highest:,.0f} HU; accepted: up to {DENSEST:,} (padding?)"
            )
        return np.clip(np.rint(units), AIR, METAL).astype(np.int16)


def intensities(path: Path) -> NDArray[np.float32]:
    """Return (H, W) as stored, in the scanner's arbitrary units; of MONOCHROME1 so that 0 is black.

    Padding pixels are as dark as the darkest other pixel.
    Raises InputError as `hounsfield` does, but for the rescaling, which MRI needs not have.
    """
    with reading(path, "a DICOM file"):
        scan, stored = _slice(path, "MR")
        padding = _padding(scan, stored, path)
        known = stored if padding is None or padding.all() else stored[~padding]
        values = stored.astype(np.float32)
        if scan.PhotometricInterpretation == "MONOCHROME1":
            values = np.float32(known.max()) - values
            darkest = np.float32(0)
        else:
            darkest = np.float32(known.min())
        if padding is not None:
            values[padding] = darkest
        return values


def picture(path: Path) -> NDArray[np.uint8]:
    """Return uint8 (H, W) or (H, W, 3) RGB, as a viewer shows it: DICOM PS3.3 C.11.1, C.11.2 and C.7.6.3.1.2.

    Modality LUT or rescaling, then the first window or VOI LUT, else the range of the pixels that are no
    padding; MONOCHROME1 is inverted, so that 0 is black. Raises InputError naming the file.
    """
    with reading(path, "a DICOM file"):
        scan, stored = _scan(path)
        if str(scan.PhotometricInterpretation) in COLOUR:
            return _colour(scan, stored, path)
        _one_channel(scan, stored, path)
        if scan.PhotometricInterpretation == "MONOCHROME2" and scan.get("PresentationLUTShape") == "INVERSE":
            raise InputError(
                f"{path}: 0 is black in MONOCHROME2 and white by PresentationLUTShape INVERSE; correct one"
            )
        values = _modality_values(scan, stored, path)
        padding = _padding(scan, stored, path)
        known = values if padding is None else values[~padding]
        grey = np.rint(255 * _windowed(scan, values, known, path)).astype(np.uint8)
        shown = 255 - grey if scan.PhotometricInterpretation == "MONOCHROME1" else grey
        if padding is not None:
            shown[padding] = 0
        return shown


def height(path: Path) -> float:
    """Return z of ImagePositionPatient in mm, from the header alone. Raises InputError if there is none."""
    with reading(path, "a DICOM file"):
        scan = _read(path, ["ImagePositionPatient"])
    try:
        z = float(scan.ImagePositionPatient[2])
    except (AttributeError, TypeError, ValueError, IndexError):
        raise InputError(f"{path}: no ImagePositionPatient; the order of slices needs it") from None
    if not np.isfinite(z):
        raise InputError(f"{path}: ImagePositionPatient is {z}; accepted: finite numbers")
    return z


def modality_of(path: Path) -> str:
    """Return the Modality of the header, such as "CT"; "" where it has none. Raises InputError."""
    with reading(path, "a DICOM file"):
        return str(getattr(_read(path, ["Modality"]), "Modality", "") or "")


def _slice(path: Path, modality: str) -> tuple["FileDataset", NDArray[Any]]:
    """The (H, W) stored values of an image of that modality."""
    scan, stored = _scan(path)
    found = str(getattr(scan, "Modality", "") or modality)
    if found != modality:
        raise InputError(f"{path}: Modality is {found}; accepted: {modality}")
    _one_channel(scan, stored, path)
    return scan, stored


def _scan(path: Path) -> tuple["FileDataset", NDArray[Any]]:
    """A file of one frame with its pixels; its size is looked at before they are decoded."""
    from pydicom.pixels import pixel_array

    scan = _read(path)
    missing = [key for key in (*HEADER, "PhotometricInterpretation") if getattr(scan, key, None) is None]
    if missing:
        raise InputError(f"{path}: no {', '.join(missing)}; needed to read its pixels")
    frames = int(getattr(scan, "NumberOfFrames", 1) or 1)
    if frames != 1:
        raise InputError(f"{path}: {frames} frames; accepted: one frame a file, a slice of two dimensions")
    rows, columns, channels, allocated = (int(getattr(scan, key)) for key in HEADER[:4])
    if int(scan.HighBit if "HighBit" in scan else scan.BitsStored - 1) != int(scan.BitsStored) - 1:
        raise InputError(
            f"{path}: HighBit is {scan.HighBit}; accepted: BitsStored - 1, {scan.BitsStored - 1}"
        )
    check_size(columns, rows, path)
    check_volume(path, (rows, columns, channels), max(1, allocated // 8))
    _check_encoding(scan)
    try:
        return scan, pixel_array(scan)  # of YBR colour as RGB
    except RuntimeError as error:  # of pydicom: it has no decoder for this syntax, or each one failed
        needed = "JPEG-LS and JPEG Lossless need the packages of the extra `dicom`"
        raise InputError(
            f"{path}: pixels that cannot be decoded ({needed}): {' '.join(str(error).split())}"
        ) from None


def _check_encoding(scan: "FileDataset") -> None:
    """Raise InputError for a JPEG frame with damaged data, which Pillow within pydicom fills with grey."""
    syntax = str(scan.file_meta.TransferSyntaxUID)
    if syntax in JPEG_8_BIT and int(scan.BitsAllocated) == 8:
        import simplejpeg
        from pydicom.encaps import get_frame

        frame = get_frame(scan.PixelData, 0, number_of_frames=1)
        simplejpeg.decode_jpeg(frame, "GRAY", strict=True)


def _read(path: Path, tags: list[str] | None = None) -> "FileDataset":
    import pydicom

    data = read_bytes(path)
    if any(syntax in data[:HEAD] for syntax in DEFLATED):
        raise InputError(f"{path}: a deflated file; accepted: other transfer syntaxes")
    return pydicom.dcmread(BytesIO(data), stop_before_pixels=tags is not None, specific_tags=tags)


def _one_channel(scan: "FileDataset", stored: NDArray[Any], path: Path) -> None:
    kind = str(scan.PhotometricInterpretation)
    if kind not in GREY or stored.ndim != 2:
        shape = " x ".join(map(str, stored.shape))
        raise InputError(
            f"{path}: {kind} of {shape}; accepted: {' or '.join(GREY)} of rows x columns, one channel"
        )


def _number(scan: "FileDataset", key: str, path: Path) -> float:
    """One finite number of the header. Raises InputError for none, several, or one that is not finite."""
    value = getattr(scan, key, None)
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise InputError(f"{path}: {key} is {value!r}; accepted: one finite number") from None
    if not np.isfinite(number):
        raise InputError(f"{path}: {key} is {number}; accepted: one finite number")
    return number


def _padding(scan: "FileDataset", stored: NDArray[Any], path: Path) -> NDArray[np.bool_] | None:
    """Where pixels are padding, None if the file has no such value: DICOM PS3.3 C.7.5.1.1.2.

    It is PixelPaddingValue, or from it to PixelPaddingRangeLimit. Both are compared as the bits that they
    are, because writers disagree on whether they have a sign.
    """
    if getattr(scan, "PixelPaddingValue", None) is None:
        return None
    kept = stored.dtype.type
    first = _number(scan, "PixelPaddingValue", path)
    last = _number(scan, "PixelPaddingRangeLimit", path) if "PixelPaddingRangeLimit" in scan else first
    ends = sorted(int(np.int64(end).astype(kept)) for end in (first, last))
    return (stored >= ends[0]) & (stored <= ends[1])


def _modality_values(scan: "FileDataset", stored: NDArray[Any], path: Path) -> NDArray[np.float64]:
    from pydicom.pixels import apply_modality_lut

    if "ModalityLUTSequence" in scan:
        return apply_modality_lut(stored, scan).astype(np.float64)
    if "RescaleSlope" not in scan and "RescaleIntercept" not in scan:
        return stored.astype(np.float64)
    return stored * _number(scan, "RescaleSlope", path) + _number(scan, "RescaleIntercept", path)


def _windowed(
    scan: "FileDataset", values: NDArray[np.float64], known: NDArray[np.float64], path: Path
) -> NDArray[np.float64]:
    """From 0 to 1; `known` are the values of pixels that are no padding."""
    from pydicom.pixels import apply_voi

    if "VOILUTSequence" in scan and len(scan.VOILUTSequence):
        depth = int(scan.VOILUTSequence[0].LUTDescriptor[2])
        return np.clip(apply_voi(np.rint(values).astype(np.int64), scan) / (2**depth - 1), 0, 1)
    if "WindowCenter" in scan and "WindowWidth" in scan:
        return _window(scan, values, path)
    low, high = (known.min(), known.max()) if known.size else (0.0, 0.0)
    return np.clip((values - low) / max(high - low, 1e-12), 0, 1)


def _window(scan: "FileDataset", values: NDArray[np.float64], path: Path) -> NDArray[np.float64]:
    """The first window, by the function that the file names: PS3.3 C.11.2.1.2 and C.11.2.1.3."""
    centre, width = (_first(scan, key, path) for key in ("WindowCenter", "WindowWidth"))
    function = str(getattr(scan, "VOILUTFunction", "LINEAR") or "LINEAR").strip().upper()
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID") or width < (
        1 if function == "LINEAR" else 1e-12
    ):
        accepted = "LINEAR with a width from 1, LINEAR_EXACT or SIGMOID with one above 0"
        raise InputError(f"{path}: a window of function {function} and width {width:g}; accepted: {accepted}")
    if function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700)))
    if function == "LINEAR_EXACT":
        return np.clip((values - centre) / width + 0.5, 0, 1)
    if width == 1:
        return (values > centre - 0.5).astype(np.float64)
    return np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)


def _first(scan: "FileDataset", key: str, path: Path) -> float:
    from pydicom.multival import MultiValue

    value = getattr(scan, key)
    number = float(value[0] if isinstance(value, MultiValue) and len(value) else value)
    if not np.isfinite(number):
        raise InputError(f"{path}: {key} is {number}; accepted: a finite number")
    return number


def _colour(scan: "FileDataset", stored: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    from pydicom.pixels import apply_color_lut

    if scan.PhotometricInterpretation == "PALETTE COLOR":
        stored = apply_color_lut(stored, scan)
        stored = (stored >> 8).astype(np.uint8) if stored.dtype == np.uint16 else stored
    if stored.dtype != np.uint8 or stored.ndim != 3 or stored.shape[2] != 3:
        raise InputError(
            f"{path}: colour of {stored.dtype} {stored.shape}; accepted: 8 bits in three channels"
        )
    return np.ascontiguousarray(stored)
