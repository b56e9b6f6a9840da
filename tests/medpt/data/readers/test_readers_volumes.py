"""Readers of CT and MRI volumes on synthetic copies: every trap, and every complaint."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reader_copies import problems, spoil

from medpt.data import open_dataset
from medpt.errors import InputError


def test_luna_keeps_hounsfield_units(copies: Path) -> None:
    dataset = open_dataset("LUNA", copies / "LUNA")
    assert len({r.patient_id for r in dataset}) == len(dataset) == 5
    assert dataset.records[0].patient_id == "ID_0000"
    modes = set()
    for record in dataset:
        stored = Image.open(dataset.root / record.image_path)
        modes.add(stored.mode)
        assert np.array_equal(dataset.image(record), np.clip(np.asarray(stored), -1024, 3071))
        lungs = dataset.image(record)[dataset.mask(record) == 1]
        assert -900 < lungs.mean() < -600
    assert modes == {"I", "F"}


@spoil("LUNA")
def test_luna_reads_signed_16_bits_and_refuses_8(copy: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    dataset = open_dataset("LUNA", copy)
    path = copy / dataset.records[0].image_path
    units = np.array([[-1024, -5], [40, 3000]], np.int16)
    for stored in (units, units.view(np.uint16), units.astype(np.int32), units.astype(np.float32)):
        tifffile.imwrite(path, stored)
        assert np.array_equal(dataset.image(dataset.records[0]), units)
    Image.new("RGB", (2, 2)).save(path)
    with pytest.raises(InputError, match=r"ID_0000.*pixels of mode RGB; accepted: one channel of 16 or 32"):
        dataset.image(dataset.records[0])


@spoil("LUNA")
def test_luna_complaints_come_together(copy: Path) -> None:
    images, masks = sorted((copy / "2d_images").glob("ID*.tif")), sorted((copy / "2d_masks").glob("ID*.tif"))
    images[0].unlink()
    masks[1].unlink()
    images[2].rename(copy / "2d_images" / "lung.tif")
    text = problems("LUNA", copy)
    assert f"{masks[0].name}: no image of that name" in text
    assert f"{images[1].name}: no mask of that name" in text
    assert "lung.tif: accepted: such as ID_0000_Z_0142.tif" in text


def test_luna16_agrees_with_itk(copies: Path) -> None:
    itk = pytest.importorskip("SimpleITK")
    top = copies / "LUNA16"
    every, largest = open_dataset("LUNA16", top, keep="all"), open_dataset("LUNA16", top)
    lungs = open_dataset("LUNA16", top, keep="organ_present")
    turned = set()
    for path in sorted({r.image_path for r in every}):
        records = [r for r in every if r.image_path == path]
        header = itk.ReadImage(str(top / path)), itk.ReadImage(str(top / str(records[0].mask_path)))
        turned.add(tuple(volume.GetDirection()[0] for volume in header))
        units, ids = (itk.GetArrayFromImage(itk.DICOMOrient(volume, "LPS")) for volume in header)
        assert [r.slice for r in records] == list(range(len(units)))
        assert np.array_equal([every.image(r) for r in records], np.clip(units, -1024, 3071))
        masks = (ids == 3) | (ids == 4)
        assert np.array_equal([every.mask(r) for r in records], masks)
        areas = masks.sum(axis=(1, 2))
        assert [r.slice for r in largest if r.image_path == path] == [int(areas.argmax())]
        assert [r.slice for r in lungs if r.image_path == path] == [int(z) for z in np.flatnonzero(areas)]
        assert 5 in ids
    assert turned == {(1, 1), (-1, 1), (1, -1), (-1, -1)}
    assert {r.meta["fold"] for r in largest} == set(range(6))


@spoil("LUNA16")
def test_luna16_joins_scans_and_masks_and_patients(copy: Path) -> None:
    dataset = open_dataset("LUNA16", copy)
    assert len(dataset) == 6
    assert sorted(note.split(": ")[1] for note in dataset.notes) == [
        "1 masks without a scan excluded",
        "1 scans without a mask excluded",
    ]
    uids = [Path(r.image_path).stem for r in dataset]
    assert [r.patient_id for r in dataset] == uids
    rows = [f"LIDC-IDRI-0001,{uids[0]}", f"LIDC-IDRI-0001,{uids[1]}", f"LIDC-IDRI-0002,{uids[2]}"]
    (copy / "metadata.csv").write_text("\n".join(["Subject ID,Series UID", *rows]))
    named = [r.patient_id for r in open_dataset("LUNA16", copy)]
    assert named == ["LIDC-IDRI-0001"] * 2 + ["LIDC-IDRI-0002"] + uids[3:]
    (copy / "metadata.csv").write_text("Subject ID\n")
    assert "metadata.csv, line 1: no column Series UID" in problems("LUNA16", copy)


@spoil("LUNA16")
def test_luna16_complaints(copy: Path) -> None:
    scans = sorted(copy.glob("subset[0-5]/*.mhd"))
    masks = [copy / "seg-lungs-LUNA16" / scan.name for scan in scans]
    replaced = {
        scans[0]: ("MET_SHORT", "MET_DOUBLE"),
        scans[1]: ("DimSize = 40 40 6", "DimSize = 40 40"),
        masks[2]: ("DimSize = 40 40 6", "DimSize = 40 40 5"),
        scans[3]: ("-1 0 0 0 -1 0 0 0 1", "0 1 0 1 0 0 0 0 1"),
    }
    for path, (old, new) in replaced.items():
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
    masks[4].with_suffix(".zraw").write_bytes(b"junk")
    text = problems("LUNA16", copy)
    assert f"{scans[0].name}: ElementType is MET_DOUBLE; accepted: MET_SHORT" in text
    assert f"{scans[1].name}: DimSize is 40 40; accepted: three numbers" in text
    assert f"{masks[2].name}: (5, 40, 40) voxels (z, y, x); its scan has (6, 40, 40)" in text
    assert f"{scans[3].name}: TransformMatrix is 0 1 0 1 0 0 0 0 1; accepted: diagonal" in text
    assert f"{masks[4].stem}.zraw: not a zlib stream that can be read: Error -3" in text
    with pytest.raises(InputError, match="`keep` is 'lung'; accepted: largest, organ_present, all"):
        open_dataset("LUNA16", copy, keep="lung")


@spoil("LUNA16")
def test_luna16_names_the_raw_file_that_is_cut_short(copy: Path) -> None:
    dataset = open_dataset("LUNA16", copy)
    raw = (copy / dataset.records[0].image_path).with_suffix(".raw")
    raw.write_bytes(raw.read_bytes()[:-2])
    with pytest.raises(InputError, match=r"\.raw: 19198 bytes of voxels; .*\.mhd says 19200"):
        dataset.image(dataset.records[0])


def test_chaos_mri_pairs_by_name_and_the_other_phase_by_rank(copies: Path) -> None:
    import pydicom

    top = copies / "CHAOS-MRI"
    dataset = open_dataset("CHAOS-MRI", top, keep="all", phases=["in", "out"])
    assert Counter(r.meta["sequence"] for r in dataset) == {"T1-in": 24, "T1-out": 24, "T2": 24}
    assert Counter(r.patient_id for r in dataset) == {"MR-1": 24, "MR-2": 24, "MR-3": 24}
    assert all("Test_Sets" not in r.image_path for r in dataset)
    for record in dataset:
        image, mask = (Path(str(path)).stem for path in (record.image_path, record.mask_path))
        z = float(pydicom.dcmread(dataset.root / record.image_path).ImagePositionPatient[2])
        number = int(mask.split("-")[2])
        assert z == 6.0 * (number // 2 - 1 if record.meta["sequence"] != "T2" else number - 1)
        assert (image == mask) == (record.meta["sequence"] != "T1-out")
    assert {label for r in dataset for label in np.unique(dataset.mask(r))} == {0, 1, 2, 3, 4}


def test_chaos_mri_keeps_slices_with_organs_and_reads_levels_as_ranges(copies: Path) -> None:
    dataset, every = (
        open_dataset("CHAOS-MRI", copies / "CHAOS-MRI", keep=k) for k in ("organ_present", "all")
    )
    assert all(dataset.mask(r).any() for r in dataset)
    empty = [r for r in every if not every.mask(r).any()]
    assert len(empty) == len(every) - len(dataset) == dataset.excluded["train"] > 0
    assert f"{len(empty)} of 48 labelled slices excluded" in dataset.notes[0]
    levels = {0: 0, 60: 1, 63: 1, 126: 2, 189: 3, 252: 4}
    seen = set()
    for record in dataset:
        stored = np.asarray(Image.open(dataset.root / str(record.mask_path)))
        seen |= set(np.unique(stored))
        assert np.array_equal(dataset.mask(record), np.vectorize(levels.get)(stored))
        assert dataset.image(record).max() > 255
    assert seen == set(levels)


@spoil("CHAOS-MRI")
def test_chaos_mri_ignores_levels_of_no_organ_and_is_reported(copy: Path) -> None:
    dataset = open_dataset("CHAOS-MRI", copy)
    path = dataset.root / str(dataset.records[0].mask_path)
    stored = np.array(Image.open(path))
    stored[:2] = ((55, 56, 70, 71, 110, 111, 135, 136) * 6, (175, 176, 200, 201, 240, 241, 255, 1) * 6)
    Image.fromarray(stored).save(path)
    again = open_dataset("CHAOS-MRI", copy)
    assert again.mask(again.records[0])[:2, :8].tolist() == [
        [255, 1, 1, 255, 255, 2, 2, 255],
        [255, 3, 3, 255, 255, 4, 4, 255],
    ]
    assert any("1 masks have levels of no organ" in note for note in again.notes)


@spoil("CHAOS-MRI")
def test_chaos_mri_complaints(copy: Path) -> None:
    scans = copy / "CHAOS_Train_Sets" / "Train_Sets" / "MR"
    (scans / "1" / "T2SPIR" / "DICOM_anon" / "IMG-0007-00003.dcm").unlink()
    ground = scans / "2" / "T1DUAL" / "Ground"
    (ground / "IMG-0004-00002.png").rename(ground / "IMG-0004-00001.png")
    shutil.rmtree(scans / "3" / "T1DUAL" / "DICOM_anon" / "InPhase")
    (scans / "3" / "T2SPIR" / "Ground" / "liver.png").write_bytes(b"x")
    text = problems("CHAOS-MRI", copy)
    assert "1/T2SPIR: 7 T2 images but 8 masks" in text
    assert "2/T1DUAL/Ground/IMG-0004-00001.png: no image of that name" in text
    assert "3/T1DUAL/DICOM_anon/InPhase: no such folder" in text
    assert "liver.png: accepted: one file a number" in text
    with pytest.raises(InputError) as caught:
        open_dataset("CHAOS-MRI", copy, keep="some", phases="in")
    assert "`keep` is 'some'" in str(caught.value)
    assert "`phases` is 'in'; a list is accepted" in str(caught.value)
    for phases in ((), ("T2",)):
        with pytest.raises(InputError, match="`phases` is"):
            open_dataset("CHAOS-MRI", copy, phases=phases)


def test_nih_finds_how_each_label_lies(copies: Path) -> None:
    dataset = open_dataset("NIH-CT-82", copies / "NIH-CT-82")
    assert {r.patient_id for r in dataset} == {f"PANCREAS_{n:04d}" for n in (1, 2, 3, 4)}
    for record in dataset:
        assert 70 < np.median(dataset.image(record)[dataset.mask(record) == 1]) < 105
    rows = {r.patient_id[-1]: r.meta["flip_rows"] for r in dataset}
    assert rows == {"1": False, "2": False, "3": True, "4": True}
    assert all(r.meta["overlap"] > 0.95 for r in dataset)


def test_nih_masks_are_the_drawn_pancreas(copies: Path) -> None:
    """Against the voxels themselves: the drawn label as drawn, its planes by height."""
    import nibabel
    import pydicom

    dataset = open_dataset("NIH-CT-82", copies / "NIH-CT-82", keep="all")
    assert Counter(Counter(r.patient_id for r in dataset).values()) == {10: 4}
    for record in dataset:
        case = int(record.patient_id[-4:]) - 1
        label = np.asarray(nibabel.Nifti1Image.from_filename(dataset.root / str(record.mask_path)).dataobj)
        upright = label.transpose(1, 0, 2)[:: -1 if case & 2 else 1, :, :: -1 if case & 1 else 1]
        z = float(pydicom.dcmread(dataset.root / record.image_path).ImagePositionPatient[2])
        assert np.array_equal(dataset.mask(record), upright[:, :, round(z + 150)])


def test_nih_excludes_withdrawn_cases_and_counts_them(copies: Path) -> None:
    dataset = open_dataset("NIH-CT-82", copies / "NIH-CT-82")
    assert len([note for note in dataset.notes if "withdrawn, a copy of case 2" in note]) == 2
    assert dataset.excluded == {"train": 10}
    assert all(dataset.mask(r).any() for r in dataset)


@spoil("NIH-CT-82")
def test_nih_excludes_what_does_not_pair(copy: Path) -> None:
    series = copy / "manifest-1599750808610" / "Pancreas-CT"
    next(series.glob("PANCREAS_0001/*/Pancreas-99667/1-004.dcm")).unlink()
    shutil.rmtree(series / "PANCREAS_0002")
    (copy / "TCIA_pancreas_labels-02-05-2017" / "label0004.nii").unlink()
    dataset = open_dataset("NIH-CT-82", copy)
    assert {r.patient_id for r in dataset} == {"PANCREAS_0003"}
    text = "\n".join(dataset.notes)
    assert "label0001.nii.gz: case excluded: 10 planes, 9 slices" in text
    assert "label0002.nii.gz: case excluded: 10 planes, 0 slices" in text
    assert "case 0004 excluded: no label" in text


@spoil("NIH-CT-82")
def test_nih_complaints(copy: Path) -> None:
    import nibabel

    labels = copy / "TCIA_pancreas_labels-02-05-2017"
    ring = np.zeros((64, 64, 10), np.uint8)
    ring[2:6] = 1  # air beside the patient
    nibabel.Nifti1Image(ring, np.eye(4)).to_filename(labels / "label0001.nii.gz")
    (labels / "label0002.nii.gz").write_bytes(b"junk" * 200)
    scout = next(copy.glob("manifest*/Pancreas-CT/PANCREAS_0003/*/Scout-10001/1-1.dcm"))
    shutil.copy(scout, scout.with_name("1-2.dcm"))
    whole = (labels / "label0004.nii").read_bytes()
    (labels / "label0004.nii").write_bytes(whole[: len(whole) // 2])
    text = problems("NIH-CT-82", copy)
    assert "label0001.nii.gz: at best 0% of the mask is in -50 to 250 HU; accepted: 90%" in text
    assert "label0002.nii.gz: not a gzip file" in text
    assert "2 series of more than one slice; accepted: one a case" in text
    assert "label0004.nii: not a NIfTI file" in text
    with pytest.raises(InputError, match="`keep` is 'none'"):
        open_dataset("NIH-CT-82", copy, keep="none")
