"""DICOM: what the header says is what the pixels mean, and damaged or unfit files are refused by name."""

import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

from medpt.data.readers.dicom import AIR, height, hounsfield, intensities, picture
from medpt.errors import InputError
from medpt.phantom.dicom import computed

STORED = np.random.default_rng(0).integers(0, 2000, (12, 16)).astype(np.int16)


def scan(path: Path, pixels: np.ndarray | None = None, **elements: object) -> Path:
    """A slice of CT, with elements replaced; None takes one away."""
    found = pydicom.dcmread(io.BytesIO(computed(STORED - 1024, -1024, 0.0, "1")))
    if pixels is not None:
        found.PixelData = pixels.tobytes()
        bits = 8 * pixels.dtype.itemsize
        found.BitsAllocated, found.BitsStored, found.HighBit = bits, bits, bits - 1
        found.PixelRepresentation = int(pixels.dtype.kind == "i")
        found.Rows, found.Columns = pixels.shape[:2]
    for keyword, value in elements.items():
        if value is None:
            delattr(found, keyword)
        else:
            setattr(found, keyword, value)
    found.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ({"NumberOfFrames": 2}, "2 frames; accepted: one frame a file"),
        ({"Modality": "MR"}, "Modality is MR; accepted: CT"),
        ({"RescaleSlope": "0"}, "RescaleSlope is 0"),
        ({"RescaleIntercept": None}, "RescaleIntercept is None; accepted: one finite number"),
        ({"RescaleSlope": ["1", "2"]}, "RescaleSlope is .*accepted: one finite number"),
        ({"RescaleType": "OD"}, "RescaleType is OD; accepted: HU"),
        ({"PhotometricInterpretation": None}, "no PhotometricInterpretation"),
        ({"Rows": 60_000, "Columns": 1}, "60000 is more than|1x60000"),
    ],
)
def test_input_that_is_no_slice_in_hounsfield_units_is_refused(
    elements: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        hounsfield(scan(tmp_path / "s.dcm", **elements))
    assert all("s.dcm" in problem for problem in caught.value.problems)


@pytest.mark.parametrize("slope", [b"NaN ", b"inf ", b"1e999 "])
def test_rescaling_has_to_be_finite(slope: bytes, tmp_path: Path) -> None:
    path = scan(tmp_path / "s.dcm", RescaleSlope="1.25")
    path.write_bytes(path.read_bytes().replace(b"1.25", slope[:4]))
    with pytest.raises(InputError, match=r"s\.dcm"):
        hounsfield(path)


def test_padding_is_air_whatever_its_sign(tmp_path: Path) -> None:
    stored = STORED.astype(np.uint16)
    stored[:2] = 63536  # -2000 as a scanner without signs writes it
    for value in (63536, -2000):
        path = scan(tmp_path / "s.dcm", stored)
        with path.open("rb") as file:
            found = pydicom.dcmread(file)
        found.add_new(0x00280120, "US" if value > 0 else "SS", value)
        found.save_as(path)
        units = hounsfield(path)
        assert (units[:2] == AIR).all()
        assert np.array_equal(units[2:], STORED[2:] - 1024)
    with pytest.raises(InputError, match="values up to 62,512 HU"):
        hounsfield(scan(tmp_path / "t.dcm", stored))


def test_white_that_is_zero_is_inverted_and_windows_apply(tmp_path: Path) -> None:
    facts: dict[str, object] = {"Modality": "DX", "RescaleSlope": None, "RescaleIntercept": None}
    facts |= {"WindowCenter": 1000, "WindowWidth": 501}
    shown = picture(scan(tmp_path / "a.dcm", **facts))
    expected = np.clip((STORED - 999.5) / 500 + 0.5, 0, 1) * 255  # PS3.3 C.11.2.1.2.1
    assert np.abs(shown - expected).max() <= 0.5
    inverted = picture(scan(tmp_path / "b.dcm", **facts, PhotometricInterpretation="MONOCHROME1"))
    assert np.array_equal(inverted, 255 - shown)


def test_intensities_of_white_zero_are_inverted(tmp_path: Path) -> None:
    facts: dict[str, object] = {"Modality": "MR", "PhotometricInterpretation": "MONOCHROME1"}
    assert np.array_equal(intensities(scan(tmp_path / "s.dcm", **facts)), STORED.max() - STORED)


def test_colour_is_read_as_a_picture_alone(tmp_path: Path) -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (12, 16, 3), np.uint8)
    facts: dict[str, object] = {"SamplesPerPixel": 3, "PlanarConfiguration": 0}
    path = scan(tmp_path / "s.dcm", rgb, PhotometricInterpretation="RGB", **facts)
    assert np.array_equal(picture(path), rgb)
    with pytest.raises(InputError, match=r"s\.dcm: RGB of 12 x 16 x 3; accepted: MONOCHROME1 or MONOCHROME2"):
        hounsfield(path)


def test_damaged_headers_and_other_files_are_refused_by_name(tmp_path: Path) -> None:
    path = scan(tmp_path / "s.dcm")
    whole = path.read_bytes()
    for content in (
        b"",
        b"DICM" * 50,
        whole[:400],
        whole[:-50],
        whole.replace(b"1.2.840.10008.1.2.1\0", b"9" * 20),
    ):
        path.write_bytes(content)
        for read in (hounsfield, picture):
            with pytest.raises(InputError, match=r"s\.dcm"):
                read(path)
    with pytest.raises(InputError, match="no ImagePositionPatient"):
        height(scan(path, ImagePositionPatient=None))


def test_deflated_files_are_refused_before_they_expand(tmp_path: Path) -> None:
    found = Dataset()
    found.update(pydicom.dcmread(scan(tmp_path / "a.dcm")))
    found.file_meta = pydicom.dcmread(tmp_path / "a.dcm").file_meta
    found.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    found.save_as(tmp_path / "b.dcm", enforce_file_format=True)
    with pytest.raises(InputError, match="a deflated file"):
        hounsfield(tmp_path / "b.dcm")


def framed(path: Path, keep: float, syntax: str) -> Path:
    """A JPEG of 8 bits within DICOM, of whose frame a part is kept and ended."""
    content = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 80)).astype(np.uint8)).save(
        content, "JPEG"
    )
    frame = content.getvalue()
    frame = frame if keep == 1 else frame[: int(keep * len(frame))] + b"\xff\xd9"
    found = pydicom.dcmread(scan(path, np.zeros((96, 80), np.uint8)))
    found.file_meta.TransferSyntaxUID = syntax
    found.PixelData = encapsulate([frame])
    found["PixelData"].is_undefined_length = True
    found.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"])
def test_jpeg_that_was_cut_is_refused_in_both_syntaxes_of_8_bits(syntax: str, tmp_path: Path) -> None:
    assert picture(framed(tmp_path / "whole.dcm", 1, syntax)).shape == (96, 80)
    for keep in (0.3, 0.6, 0.9):
        with pytest.raises(InputError, match=r"cut\.dcm: .*premature end"):
            picture(framed(tmp_path / "cut.dcm", keep, syntax))


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "a localizer"),
        ({"RescaleSlope": "-1"}, "RescaleSlope is -1; accepted"),
        ({"RescaleSlope": "0.0001"}, "RescaleSlope is 0.0001; accepted"),
        ({"RescaleSlope": "1e-320"}, "RescaleSlope is .*; accepted"),
        ({"HighBit": 14, "BitsStored": 12}, "HighBit is 14; accepted: BitsStored - 1, 11"),
    ],
)
def test_slices_whose_header_contradicts_itself_are_refused(
    elements: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=rf"s\.dcm: {message}"):
        hounsfield(scan(tmp_path / "s.dcm", **elements))


def test_inverse_shape_of_monochrome2_is_refused(tmp_path: Path) -> None:
    path = scan(tmp_path / "s.dcm", PresentationLUTShape="INVERSE")
    with pytest.raises(InputError, match="white by PresentationLUTShape INVERSE"):
        picture(path)


@pytest.mark.parametrize("interpretation", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_of_intensities_is_the_darkest(interpretation: str, tmp_path: Path) -> None:
    pixels = STORED.astype(np.uint16)
    pixels[:3] = 65_000
    path = scan(tmp_path / "s.dcm", pixels, Modality="MR", PhotometricInterpretation=interpretation)
    found = pydicom.dcmread(io.BytesIO(path.read_bytes()))
    found.add_new(0x00280120, "US", 65_000)
    found.save_as(path)
    values, known = intensities(path), pixels[3:].astype(float)
    inverted = interpretation == "MONOCHROME1"
    assert np.array_equal(values[3:], known.max() - known if inverted else known)
    assert np.unique(values[:3]).tolist() == [values[3:].min()]


def test_bits_beside_the_stored_ones_are_no_values(tmp_path: Path) -> None:
    pixels = np.abs(STORED).astype(np.uint16)
    plain = scan(tmp_path / "a.dcm", pixels, BitsStored=12, HighBit=11)
    overlaid = scan(tmp_path / "b.dcm", pixels | np.uint16(0x8000), BitsStored=12, HighBit=11)
    assert np.array_equal(picture(plain), picture(overlaid))
