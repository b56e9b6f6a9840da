"""Readers of medical images on synthetic copies: every trap, and every complaint."""

import csv
import json
import pickle
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reader_copies import SMALL, label, problems, spoil

from medpt.data import Dataset, Record, open_dataset
from medpt.errors import InputError


@pytest.mark.parametrize("name", [*SMALL, "ADE20K-Seg"])
def test_records_are_plain_unique_and_decode(copies: Path, name: str) -> None:
    dataset = open_dataset(name, copies / name.removesuffix("-Seg"))
    assert len(dataset) == len({record.id for record in dataset}) > 0
    assert pickle.loads(pickle.dumps(dataset)).records == dataset.records
    for record in dataset:
        assert Record.from_json(json.loads(json.dumps(record.to_json()))) == record
        assert "\\" not in record.image_path
        assert not Path(record.image_path).is_absolute()
        if dataset.info.task == "survival":
            with pytest.raises(InputError, match="survival pipeline"):
                dataset.image(record)
            continue
        image = dataset.image(record)
        assert image.dtype == {"ct": np.int16, "mri": np.float32}.get(dataset.info.modality, np.uint8)
        if dataset.info.task == "classification":
            assert record.label is not None
            assert 0 <= record.label < len(dataset.info.classes)
            with pytest.raises(InputError, match="has no mask"):
                dataset.mask(record)
        else:
            mask = dataset.mask(record)
            assert mask.shape == image.shape[:2]
            assert mask.dtype == np.uint8
            assert set(np.unique(mask)) <= {*range(len(dataset.info.classes)), 255}


@pytest.mark.parametrize("name", list(SMALL))
def test_outer_folders_and_debris_change_nothing(copies: Path, tmp_path: Path, name: str) -> None:
    inner = tmp_path / "outer" / "again"
    shutil.copytree(copies / name, inner)
    (tmp_path / "outer" / "__MACOSX" / "train" / "PNEUMONIA").mkdir(parents=True)
    (tmp_path / "outer" / ".DS_Store").write_bytes(b"x")
    found, expected = open_dataset(name, tmp_path), open_dataset(name, copies / name)
    assert found.records == expected.records


def test_dataset_needs_distinct_records(copies: Path) -> None:
    dataset = open_dataset("DRIVE", copies / "DRIVE")
    with pytest.raises(InputError, match="is listed 2 times"):
        replace(dataset, records=dataset.records + dataset.records[:1])
    with pytest.raises(InputError, match="no labelled image of DRIVE"):
        replace(dataset, records=())


def chest(folder: Path) -> Dataset:
    return open_dataset("ChestXRay2017", folder)


def test_chest_labels_patients_and_grey(copies: Path) -> None:
    dataset = chest(copies / "ChestXRay2017")
    assert Counter((r.split, r.label) for r in dataset) == {
        ("train", 0): 8,
        ("train", 1): 12,
        ("test", 0): 5,
        ("test", 1): 5,
    }
    stored = {Image.open(dataset.root / r.image_path).mode for r in dataset}
    assert stored == {"L", "RGB"}
    assert all(dataset.image(r).ndim == 2 for r in dataset)
    patients = Counter(r.patient_id for r in dataset)
    assert patients["train/PNEUMONIA/7"] == 2
    assert {"train/PNEUMONIA/1", "test/PNEUMONIA/1", "train/NORMAL/115"} <= set(patients)
    assert {r.meta.get("cause") for r in dataset if r.label} == {"bacteria", "virus"}


@spoil("ChestXRay2017")
def test_chest_trees_of_kaggle_and_version_3(copy: Path) -> None:
    top = copy / "chest_xray"
    for kind, old in (("NORMAL", "IM-0115-0001.jpeg"), ("PNEUMONIA", "person1_bacteria_1.jpeg")):
        (top / "val" / kind).mkdir(parents=True)
        (top / "train" / kind / old).rename(top / "val" / kind / old)
    kaggle = chest(copy)
    assert Counter(r.split for r in kaggle) == {"train": 20, "test": 10}
    assert "train/PNEUMONIA/1" in {r.patient_id for r in kaggle if r.image_path.startswith("val/")}
    shutil.rmtree(top / "val")
    shutil.copy(
        top / "train" / "NORMAL" / "IM-0117-0001.jpeg", top / "train" / "NORMAL" / "NORMAL-28501-0001.jpeg"
    )
    shutil.copy(
        top / "test" / "PNEUMONIA" / "person1_bacteria_1.jpeg", top / "test" / "PNEUMONIA" / "VIRUS-9-2.JPEG"
    )
    (copy / "CellData").mkdir()
    top.rename(copy / "CellData" / "chest_xray")
    assert {"train/NORMAL/28501", "test/PNEUMONIA/9"} <= {r.patient_id for r in chest(copy)}


@spoil("ChestXRay2017")
def test_chest_complaints_come_together_and_a_missing_part_is_a_note(copy: Path) -> None:
    top = copy / "chest_xray"
    (top / "train" / "COVID").mkdir()
    (top / "train" / "NORMAL" / "scan.jpeg").write_bytes(b"x")
    shutil.rmtree(top / "test" / "NORMAL")
    text = problems("ChestXRay2017", copy)
    assert "COVID: not a class; accepted: NORMAL and PNEUMONIA" in text
    assert "scan.jpeg: its name does not contain the patient" in text
    assert "test: no folder NORMAL" in text
    (top / "train" / "COVID").rmdir()
    (top / "train" / "NORMAL" / "scan.jpeg").unlink()
    shutil.rmtree(top / "test")
    assert "no test set" in chest(copy).notes[0]


def test_isic_names_lesions_and_classes(copies: Path) -> None:
    dataset = open_dataset("ISIC2019", copies / "ISIC2019")
    assert len(dataset) == 40
    assert dataset.info.classes[-1] == "UNK"
    assert max(label(r) for r in dataset) == 7
    assert sum("_downsampled" in r.image_path for r in dataset) == 3
    groups = Counter(r.group_id for r in dataset)
    shared = [name for name, count in groups.items() if count == 2]
    assert len(shared) == 4
    assert all(name.startswith("HAM_") for name in shared)
    assert all(len({r.label for r in dataset if r.group_id == name}) == 1 for name in shared)
    assert groups["IMG:ISIC_0000002"] == 1
    assert {r.split for r in dataset} == {None}


@spoil("ISIC2019")
def test_isic_finds_images_under_either_name_and_in_doubled_folders(copy: Path) -> None:
    images = copy / "ISIC_2019_Training_Input"
    (images / "ISIC_0000000.jpg").rename(images / "ISIC_0000000_downsampled.jpg")
    (images / "ISIC_0000003_downsampled.jpg").rename(images / "ISIC_0000003.JPG")
    images.rename(copy / "moved")
    images.mkdir()
    (copy / "moved").rename(images / "ISIC_2019_Training_Input")
    found = {r.image_path.split("/")[-1] for r in open_dataset("ISIC2019", copy)}
    assert {"ISIC_0000000_downsampled.jpg", "ISIC_0000003.JPG"} <= found


@spoil("ISIC2019")
def test_isic_complaints_name_file_and_line(copy: Path) -> None:
    truth = copy / "ISIC_2019_Training_GroundTruth.csv"
    lines = truth.read_text().splitlines()
    lines[1] = "ISIC_0000000,1.0,1.0,0,0,0,0,0,0,0"
    lines[2] = "ISIC_0000001,x,0,0,0,0,0,0,0,1"
    lines[4] = lines[5]
    truth.write_text("\n".join([*lines, "ISIC_9999999,1,0,0,0,0,0,0,0,0", "ISIC_0000007,1"]) + "\n")
    (copy / "ISIC_2019_Training_Input" / "ISIC_0000005.jpg").unlink()
    text = problems("ISIC2019", copy)
    assert "GroundTruth.csv, line 2: ISIC_0000000 is not one-hot" in text
    assert "line 3: ISIC_0000001 is not one-hot" in text
    assert "line 6: ISIC_0000004 a second time" in text
    assert "line 7: no image ISIC_0000005.jpg" in text
    assert "line 42: no image ISIC_9999999.jpg" in text
    assert "line 43" in text
    truth.write_text("image,MEL\n")
    (copy / "ISIC_2019_Training_Metadata.csv").unlink()
    text = problems("ISIC2019", copy)
    assert "line 1: no column NV, BCC, AK, BKL, DF, VASC, SCC, UNK" in text
    assert "Metadata.csv: no such file" in text


@spoil("ISIC2019")
def test_isic_csv_that_is_no_text(copy: Path) -> None:
    (copy / "ISIC_2019_Training_Metadata.csv").write_bytes(b"image,lesion_id\n\xff\xfe\n")
    assert "Metadata.csv, line 2: byte 0xff is not UTF-8 text" in problems("ISIC2019", copy)


@spoil("ISIC2019")
def test_isic_csv_with_byte_order_mark_and_more_columns(copy: Path) -> None:
    path = copy / "ISIC_2019_Training_Metadata.csv"
    rows = list(csv.DictReader(path.open()))
    text = "\n".join(f"{r['image']},{r['lesion_id']},extra" for r in rows)
    path.write_text("\ufeffimage,lesion_id,diagnosis\n" + text + "\n", encoding="utf-8")
    expected = {f"HAM_{n:07d}" for n in (0, 1, 3)}
    assert expected <= {r.group_id for r in open_dataset("ISIC2019", copy)}


def test_drive_masks_are_vessels(copies: Path) -> None:
    dataset = open_dataset("DRIVE", copies / "DRIVE")
    assert Counter(r.split for r in dataset) == {"train": 3, "test": 2}
    assert {r.patient_id for r in dataset if r.split == "test"} == {"DRIVE-01", "DRIVE-02"}
    for record in dataset:
        assert 0.03 < dataset.mask(record).mean() < 0.4
        assert (dataset.root / record.meta["field_of_view"]).is_file()


@spoil("DRIVE")
def test_drive_without_test_truth_and_with_odd_files(copy: Path) -> None:
    shutil.rmtree(copy / "test" / "1st_manual")
    dataset = open_dataset("DRIVE", copy)
    assert {r.split for r in dataset} == {"train"}
    assert "2 images without 1st_manual" in dataset.notes[0]
    assert dataset.excluded == {"test": 2}
    (copy / "training" / "1st_manual" / "22_manual1.gif").unlink()
    (copy / "training" / "images" / "21_training.tif").unlink()
    text = problems("DRIVE", copy)
    assert "22_training.tif: no 22_manual1.gif" in text
    assert "21_manual1.gif: no image 21_training.tif" in text


def liver_means(dataset: Dataset) -> dict[str, float]:
    values: dict[str, list[np.ndarray]] = {}
    for record in dataset:
        values.setdefault(record.patient_id, []).append(dataset.image(record)[dataset.mask(record) > 0])
    return {patient: float(np.concatenate(parts).mean()) for patient, parts in values.items()}


def test_chaos_pairs_by_number_in_the_name(copies: Path) -> None:
    import pydicom

    dataset = open_dataset("CHAOS-CT", copies / "CHAOS-CT")
    assert Counter(r.patient_id for r in dataset) == {f"CT-{n}": 8 for n in (1, 2, 5, 6)}
    assert all(100 < mean < 150 for mean in liver_means(dataset).values())
    assert {r.image_path.split("/")[-1][:2] for r in dataset} == {"i0", "IM"}
    descending = [r for r in dataset if r.patient_id == "CT-2"]
    z = [pydicom.dcmread(dataset.root / r.image_path).ImagePositionPatient[2] for r in descending]
    assert z == sorted(z, reverse=True)
    images = [dataset.image(r) for r in dataset]
    assert min(image.min() for image in images) == -1024
    assert any(not dataset.mask(r).any() for r in dataset)
    assert all("Test_Sets" not in r.image_path for r in dataset)


@spoil("CHAOS-CT")
def test_chaos_notices_masks_in_the_other_order(copy: Path) -> None:
    ground = copy / "CHAOS_Train_Sets" / "Train_Sets" / "CT" / "2" / "Ground"
    for n in range(8):
        (ground / f"liver_GT_{n:03d}.png").rename(ground / f"x{n}")
    for n in range(8):
        (ground / f"x{n}").rename(ground / f"liver_GT_{7 - n:03d}.png")
    text = problems("CHAOS-CT", copy)
    assert "CT/2: mean of" in text
    assert "slices and masks are not paired" in text
    assert "CT/1" not in text


@spoil("CHAOS-CT")
def test_chaos_complaints(copy: Path) -> None:
    scans = copy / "CHAOS_Train_Sets" / "Train_Sets" / "CT"
    (scans / "1" / "Ground" / "liver_GT_003.png").unlink()
    (scans / "2" / "DICOM_anon" / "slice.dcm").write_bytes(b"x")
    (scans / "6" / "DICOM_anon" / "i0007,0000b.dcm").rename(scans / "6" / "DICOM_anon" / "IMG-0003-00008.dcm")
    shutil.rmtree(scans / "5" / "Ground")
    text = problems("CHAOS-CT", copy)
    assert "CT/1: 8 DICOM files but 7 masks" in text
    assert "slice.dcm: its name has no slice number" in text
    assert "6/DICOM_anon: both styles of names" in text
    assert "5/Ground: no such folder" in text


@spoil("CHAOS-CT")
def test_chaos_names_the_dicom_that_cannot_be_read(copy: Path) -> None:
    dataset = open_dataset("CHAOS-CT", copy)
    path = dataset.root / dataset.records[0].image_path
    whole = path.read_bytes()
    for content in (b"", b"x" * 300, whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"i0000,0000b\.dcm"):
            dataset.image(dataset.records[0])
