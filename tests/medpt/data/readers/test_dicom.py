"""DICOM: what the header says is what the pixels mean, and damaged or unfit files are refused by name."""

import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

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
