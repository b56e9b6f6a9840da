"""NIfTI volumes of users: slices as a viewer shows them, whatever way a file stores its axes."""

import gzip
import io
from itertools import permutations
from pathlib import Path

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from user_data import CLASSIFIED, MASKED, write_card

from medpt.data import Dataset, open_dataset, open_with_problems
from medpt.data.check import check
from medpt.data.preprocess import preprocess
from medpt.data.readers.nifti import read_axial
from medpt.errors import InputError

CT = {"modality": "ct", "pipeline": "window(-160,240)|resize(32)"}
RNG = np.random.default_rng(0)


def write(path: Path, voxels: NDArray[np.int16], affine: NDArray[np.float64] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4) if affine is None else affine), path)  # type: ignore[attr-defined]


def segmented(folder: Path, drawn: tuple[int, ...] = (1, 3), value: int = 1) -> Path:
    """Two volumes (x 6, y 5, z 4) whose masks have a class in the slices `drawn`."""
    for name in ("a", "b"):
        write(folder / "images" / f"{name}.nii.gz", RNG.integers(-1000, 600, (6, 5, 4)).astype(np.int16))
        mask = np.zeros((6, 5, 4), np.int16)
        mask[2, 3, list(drawn)] = value
        write(folder / "masks" / f"{name}_seg.nii.gz", mask)
    return folder


def opened(folder: Path, facts: dict[str, str]) -> Dataset:
    return open_with_problems("Clinic", write_card(folder, facts))


def test_slices_with_a_class_are_images(tmp_path: Path) -> None:
    dataset = opened(segmented(tmp_path), MASKED | CT)
    assert dataset.problems == ()
    assert [r.id for r in dataset] == [f"images/{name}.nii.gz#{n}" for name in "ab" for n in (1, 3)]
    assert {r.patient_id for r in dataset} == {"images/a.nii.gz", "images/b.nii.gz"}
    record = dataset.records[0]
    image, mask = dataset.image(record), dataset.mask(record)
    assert (image.dtype, image.shape, mask.dtype) == (np.int16, (5, 6), np.uint8)
    voxels = np.asarray(nibabel.load(tmp_path / "images" / "a.nii.gz").dataobj)  # type: ignore[attr-defined]
    for x in range(6):
        for y in range(5):  # the identity is right, anterior, superior: both axes turn
            assert image[4 - y, 5 - x] == voxels[x, y, 1]
            assert mask[4 - y, 5 - x] == ((x, y) == (2, 3))
    assert check(dataset, io.StringIO()).problems == []


@pytest.mark.parametrize("axes", permutations(range(3)))
def test_slices_do_not_depend_on_how_axes_are_stored(axes: tuple[int, ...], tmp_path: Path) -> None:
    voxels = RNG.integers(0, 999, (3, 4, 5)).astype(np.int16)
    write(tmp_path / "a.nii", voxels)
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[list(axes)].T
    stored, signs = voxels.transpose(axes), [-1 if n % 2 else 1 for n in range(3)]
    for axis, sign in enumerate(signs):
        if sign < 0:
            affine[:3, 3] += affine[:3, axis] * (stored.shape[axis] - 1)
            affine[:3, axis] *= -1
            stored = np.flip(stored, axis)
    write(tmp_path / "b.nii", stored, affine)
    assert np.array_equal(read_axial(tmp_path / "a.nii")[0], read_axial(tmp_path / "b.nii")[0])


def test_further_dimensions_of_length_1_are_dropped(tmp_path: Path) -> None:
    voxels = RNG.integers(0, 999, (3, 4, 5)).astype(np.int16)
    for name, shape in {"a": (3, 4, 5), "b": (3, 4, 5, 1), "c": (3, 4, 5, 1, 1)}.items():
        write(tmp_path / f"{name}.nii", voxels.reshape(shape))
    first, *others = (read_axial(tmp_path / f"{name}.nii")[0] for name in "abc")
    assert all(np.array_equal(first, other) for other in others)
    write(tmp_path / "d.nii", np.stack([voxels, voxels], axis=3))
    with pytest.raises(InputError, match=r"d\.nii: an array of 4 dimensions; accepted: 3"):
        read_axial(tmp_path / "d.nii")


def test_values_of_masks_are_those_of_the_card(tmp_path: Path) -> None:
    facts = MASKED | CT | {"values": "{background: 0, vessel: 255}"}
    dataset = opened(segmented(tmp_path, value=255), facts)
    assert np.unique(dataset.mask(dataset.records[0])).tolist() == [0, 1]
    strange = opened(segmented(tmp_path, value=7), facts)
    found = check(strange, io.StringIO()).problems
    assert any("values that no class has, such as 7" in problem for problem in found)


def test_all_slices_of_a_labelled_volume_are_images(tmp_path: Path) -> None:
    for name in ("1", "2"):
        write(tmp_path / "images" / f"{name}.nii", RNG.integers(0, 99, (6, 5, 4)).astype(np.int16))
    top = write_card(tmp_path, CLASSIFIED | {"modality": "mri"}, "image,label\n1,healthy\n2,glaucoma\n")
    dataset = open_dataset("Clinic", top)
    assert [(r.slice, r.label) for r in dataset] == [(n, label) for label in (0, 1) for n in range(4)]
    assert dataset.image(dataset.records[0]).dtype == np.float32


def test_masks_that_do_not_fit_are_named(tmp_path: Path) -> None:
    segmented(tmp_path)
    write(tmp_path / "masks" / "a_seg.nii.gz", np.ones((6, 5, 3), np.int16))
    moved = np.eye(4)
    moved[0, 3] = 2
    write(tmp_path / "masks" / "b_seg.nii.gz", np.ones((6, 5, 4), np.int16), moved)
    problems = "\n".join(check_problems(tmp_path))
    assert "a_seg.nii.gz: (3, 5, 6) values (z, y, x) on another grid" in problems
    assert "b_seg.nii.gz: (4, 5, 6) values (z, y, x) on another grid" in problems


def test_mask_without_a_class_is_named(tmp_path: Path) -> None:
    segmented(tmp_path)
    write(tmp_path / "masks" / "b_seg.nii.gz", np.zeros((6, 5, 4), np.int16))
    assert check_problems(tmp_path) == [f"{tmp_path}/masks/b_seg.nii.gz: background alone in every slice"]


def check_problems(folder: Path) -> list[str]:
    try:
        return list(opened(folder, MASKED | CT).problems)
    except InputError as error:
        return [problem for problem in error.problems if "no labelled image" not in problem]


def graded(folder: Path, contents: list[bytes], suffix: str = ".nii.gz") -> Path:
    rows = [f"{n}{suffix},{('healthy', 'glaucoma')[n % 2]},p{n}" for n in range(len(contents))]
    write_card(folder, CLASSIFIED | CT, "\n".join(["image,label,patient", *rows]))
    for number, content in enumerate(contents):
        (folder / "images" / f"{number}{suffix}").write_bytes(content)
    return folder


def nifti(voxels: NDArray[np.generic]) -> bytes:
    return nibabel.Nifti1Image(voxels, np.eye(4)).to_bytes()  # type: ignore[no-untyped-call, no-any-return]


UNITS = RNG.integers(-1000, 1000, (8, 8, 4)).astype(np.int16)


@pytest.mark.parametrize("level", [0, 1, 9])
def test_compressed_volumes_are_compared_with_their_checksum(level: int, tmp_path: Path) -> None:
    sound = gzip.compress(nifti(UNITS), compresslevel=level)
    for number, damaged in enumerate((sound[:-8] + b"abcd" + sound[-4:], sound[:-5], sound[:-8])):
        folder = graded(tmp_path / str(number), [sound, sound, damaged])
        (problem,) = open_with_problems("Clinic", folder).problems
        assert "2.nii.gz: not a gzip file that can be read" in problem


@pytest.mark.parametrize(
    "voxels",
    [
        ((UNITS + 1000) / 2000).astype(np.float32),
        (UNITS % 256).astype(np.uint8),
        (UNITS + 1024).astype(np.int16),
        np.zeros_like(UNITS),
        np.full_like(UNITS, -1000),
    ],
    ids=["fractions", "bytes", "from zero", "zeros", "air"],
)
def test_volumes_that_are_not_in_hounsfield_units_are_refused(
    voxels: NDArray[np.generic], tmp_path: Path
) -> None:
    (problem,) = open_with_problems(
        "Clinic", graded(tmp_path, [nifti(UNITS), nifti(voxels)], ".nii")
    ).problems
    assert "1.nii: values from" in problem
    assert "not Hounsfield units (air is -1000, water 0)" in problem


BRAIN = RNG.integers(0, 80, (8, 8, 4)).astype(np.int16)  # skull-stripped: what was removed is 0


def brains(folder: Path, pipeline: str, voxels: NDArray[np.generic] = BRAIN) -> Path:
    graded(folder, [nifti(voxels), nifti(voxels[::-1])], ".nii")
    table = (folder / "labels.csv").read_text()
    return write_card(folder, CLASSIFIED | CT | {"pipeline": pipeline}, table)


@pytest.mark.parametrize("pipeline", ["window(0,80)|resize(32)", "percentile(1,99)|resize(32)"])
def test_volumes_without_negative_values_are_read_by_a_pipeline_for_them(
    pipeline: str, tmp_path: Path
) -> None:
    dataset = open_with_problems("Clinic", brains(tmp_path, pipeline))
    assert check(dataset, io.StringIO()).problems == []
    assert np.ptp(preprocess(dataset.image(dataset.records[0]), pipeline)) > 200


@pytest.mark.parametrize(
    ("pipeline", "voxels", "message"),
    [
        (
            CT["pipeline"],
            BRAIN,
            "values from 0 to 79, not Hounsfield units (air is -1000, water 0); if these values",
        ),
        (
            "percentile(1,99)|resize(32)",
            (BRAIN / 80).astype(np.float32),
            "values from 0 to 0.9875, not Hounsfield",
        ),
    ],
    ids=["window from below 0", "fractions"],
)
def test_other_volumes_without_negative_values_are_refused(
    pipeline: str, voxels: NDArray[np.generic], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as error:
        open_with_problems("Clinic", brains(tmp_path, pipeline, voxels))
    assert [message in problem for problem in error.value.problems] == [True, True, False]
