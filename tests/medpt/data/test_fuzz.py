"""Damaged files of every format that readers take: each mutant is read or refused by name, in bounded memory.

Mutants are seeded: flipped bits, overwritten blocks, cuts, doubled blocks and numbers made huge, of small
files of each format. docs/reliability.md has the counts.
"""

import gzip
import io
import pickle
import resource
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from medpt.data.decode import read_image, read_numbers
from medpt.data.masks import read_ids, read_values
from medpt.data.readers import cardiacmri, cifar100, metaimage, tar
from medpt.data.readers.dicom import hounsfield, picture
from medpt.data.readers.nifti import read_volume
from medpt.data.reading import gunzip
from medpt.data.tables import csv_rows, sheet_rows
from medpt.errors import InputError
from medpt.phantom.dicom import computed
from medpt.phantom.tables import write_xls, write_xlsx
from medpt.yaml_document import Document

MUTANTS = 200
MEMORY, SECONDS = 2 * 2**30, 60
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (40, 48, 3), np.uint8)
DEEP = RNG.integers(0, 65536, (40, 48), np.uint16)


def encoded(file_format: str, pixels: np.ndarray = PIXELS, **options: object) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, file_format, **options)
    return content.getvalue()


def deep_colours(_: Path) -> bytes:
    content = io.BytesIO()
    tifffile.imwrite(content, np.dstack([DEEP] * 3), photometric="rgb", compression="zlib")
    return content.getvalue()


def nifti(_: Path) -> bytes:
    import nibabel

    return nibabel.Nifti1Image(RNG.integers(0, 2, (6, 7, 8)).astype(np.uint8), np.eye(4)).to_bytes()


def matlab(_: Path) -> bytes:
    from scipy.io import savemat

    content = io.BytesIO()
    savemat(content, {"sol_yxzt": RNG.random((6, 7, 3, 2))}, do_compression=True)
    return content.getvalue()


def packed(folder: Path, mode: str) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=mode) as archive:  # type: ignore[call-overload]
        entry = tarfile.TarInfo("inner.bin")
        entry.size = 900
        archive.addfile(entry, io.BytesIO(bytes(900)))
    return content.getvalue()


def sheet(folder: Path, write: Callable[..., None], *name: str) -> bytes:
    write(folder / "made", *name, [["Image name", "grade"], *[[f"a{n}.tif", n] for n in range(20)]])
    return (folder / "made").read_bytes()


def rows_of(read: Callable[..., Any]) -> Callable[[Path], None]:
    """Raises the problems of a table."""

    def checked(path: Path) -> None:
        problems: list[str] = []
        list(read(path, ("Image name", "grade"), problems))
        if problems:
            raise InputError(problems)

    return checked


def volume(path: Path) -> None:
    path.with_suffix(".raw").write_bytes(bytes(4 * 5 * 6 * 2))
    metaimage.plane(metaimage.header(path), 0)


HEADER = (
    b"ObjectType = Image\nNDims = 3\nDimSize = 4 5 6\nElementType = MET_SHORT\nElementDataFile = f.raw\n"
    b"CompressedData = False\nTransformMatrix = 1 0 0 0 1 0 0 0 1\n"
)
CARD = (
    b"name: Clinic\nmodality: fundus\ntask: classification\nclasses: [healthy, glaucoma]\nimages: images\n"
    b"labels: labels.csv\ncounts: {train: 10, test: 0x1F}\ncitation: 2026-01-01\n"
)
TABLE = b"Image name,grade\n" + b"".join(b'"a%d.tif",%d\n' % (n, n) for n in range(20))

FORMATS: dict[str, tuple[str, Callable[[Path], bytes], Callable[[Path], object]]] = {
    **{
        name: (f"f.{name.lower()}", lambda _, name=name: encoded(name), read_image)  # type: ignore[misc]
        for name in ("PNG", "JPEG", "TIFF", "BMP", "GIF", "PPM", "WEBP")
    },
    "PNG of 16 bits": ("f.png", lambda _: encoded("PNG", DEEP), read_image),
    "progressive JPEG": ("f.jpg", lambda _: encoded("JPEG", progressive=True), read_image),
    "colour of 16 bits": ("f.tif", deep_colours, read_image),
    "TIFF of numbers": ("f.tif", lambda _: encoded("TIFF", DEEP), read_numbers),
    "mask": ("f.png", lambda _: encoded("PNG", PIXELS[:, :, 0]), read_ids),
    "mask in colour": ("f.tif", lambda _: encoded("TIFF"), read_values),
    "DICOM of CT": ("f.dcm", lambda _: computed(DEEP.astype(np.int16) >> 5, -1024, 0.0, "1"), hounsfield),
    "DICOM as shown": ("f.dcm", lambda _: computed(DEEP.astype(np.int16) >> 5, -1024, 0.0, "1"), picture),
    "NIfTI": ("f.nii", nifti, read_volume),
    "compressed NIfTI": ("f.nii.gz", lambda folder: gzip.compress(nifti(folder)), read_volume),
    "MetaImage": ("f.mhd", lambda _: HEADER, volume),
    "MATLAB": ("f.mat", matlab, cardiacmri._volume.__wrapped__),
    "gzip": ("f.gz", lambda _: gzip.compress(encoded("PPM")), gunzip),
    "tar": ("f.tar", lambda folder: packed(folder, "w"), lambda path: list(tar.members(path))),
    "tar.gz": ("f.tar.gz", lambda folder: packed(folder, "w:gz"), lambda path: tar.packed(path, str)),
    "pickle": (
        "train",
        lambda _: pickle.dumps({"data": PIXELS, "fine_labels": [1, 2], "filenames": ["a", "b"]}, 2),
        cifar100.load,
    ),
    "XLS": ("f.xls", lambda folder: sheet(folder, write_xls, "Feuil1"), rows_of(sheet_rows)),
    "XLSX": ("f.xlsx", lambda folder: sheet(folder, write_xlsx), rows_of(sheet_rows)),
    "CSV": ("f.csv", lambda _: TABLE, rows_of(csv_rows)),
    "YAML": ("f.yaml", lambda _: CARD, Document),
}


def mutants(content: bytes, seed: int) -> Iterator[bytes]:
    rng = np.random.default_rng(seed)
    for number in range(MUTANTS):
        changed = bytearray(content)
        at = int(rng.integers(len(changed))) if number % 2 else int(rng.integers(min(len(changed), 600)))
        length = int(rng.integers(1, 40))
        if number % 5 == 0:
            changed[at] ^= 1 << int(rng.integers(8))
        elif number % 5 == 1:
            changed[at : at + length] = rng.bytes(length)
        elif number % 5 == 2:
            changed = changed[:at]
        elif number % 5 == 3:
            changed[at : at + 4] = b"\xff\xff\xff\x7f"
        else:
            changed[at:at] = changed[at : at + length] * int(rng.integers(1, 5))
        yield bytes(changed)


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMATS)
def test_damaged_files_are_read_or_refused_by_name(kind: str, tmp_path: Path) -> None:
    name, make, read = FORMATS[kind]
    path = tmp_path / name
    content = make(tmp_path)
    path.write_bytes(content)
    read(path)
    before, start, refused = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time(), 0
    unnamed: list[str] = []
    for mutant in mutants(content, seed=len(kind)):
        path.write_bytes(mutant)
        try:
            read(path)
        except InputError as error:
            refused += 1
            unnamed += [problem for problem in error.problems if path.stem not in problem]
    assert not unnamed
    assert refused >= MUTANTS // 20, "the mutants are not damaged"
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < MEMORY
    assert time.process_time() - start < SECONDS
    print(f"{kind}: {refused} of {MUTANTS} refused")
