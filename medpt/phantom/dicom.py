"""Slices as DICOM files, explicit little endian, 16 bits."""

import io

import numpy as np
from numpy.typing import NDArray

ROOT = "1.2.826.0.1.3680043.8.498"


def computed(units: NDArray[np.int16], intercept: int, z: float, uid: str) -> bytes:
    """A CT slice (H, W) in Hounsfield units, at height z in mm; `uid` makes it unique."""
    stored = (units.astype(np.int32) - intercept).astype("<i2")
    return _file(stored, "CT", z, uid, intercept)


def resonance(intensities: NDArray[np.int16], z: float, uid: str) -> bytes:
    """An MR slice (H, W) in arbitrary units from 0; it has no rescaling."""
    return _file(intensities.astype("<i2"), "MR", z, uid, None)


def _file(stored: NDArray[np.int16], modality: str, z: float, uid: str, intercept: int | None) -> bytes:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, MRImageStorage

    scan = Dataset()
    scan.file_meta = FileMetaDataset()
    scan.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    scan.SOPClassUID = CTImageStorage if modality == "CT" else MRImageStorage
    scan.file_meta.MediaStorageSOPClassUID = scan.SOPClassUID
    scan.file_meta.MediaStorageSOPInstanceUID = scan.SOPInstanceUID = UID(f"{ROOT}.{uid}")
    scan.Modality = modality
    scan.ImagePositionPatient = [-180.0, -180.0, z]
    scan.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    scan.PixelSpacing = [0.75, 0.75]
    scan.SliceThickness = 3.0
    scan.SamplesPerPixel, scan.PhotometricInterpretation = 1, "MONOCHROME2"
    scan.Rows, scan.Columns = stored.shape
    scan.BitsAllocated, scan.BitsStored, scan.HighBit, scan.PixelRepresentation = 16, 16, 15, 1
    if intercept is not None:
        scan.RescaleIntercept, scan.RescaleSlope = intercept, 1
    scan.PixelData = stored.tobytes()
    content = io.BytesIO()
    scan.save_as(content, enforce_file_format=True)
    return content.getvalue()
