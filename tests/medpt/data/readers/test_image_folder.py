"""Users' datasets: what the table and the files say, and what masks of any kind become."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from user_data import CLASSIFIED, MASKED, RNG, complaints, write_card, write_picture

from medpt.data import card, open_dataset, open_with_problems
from medpt.data.preprocess import pipeline_of
from medpt.phantom.dicom import computed, resonance

TWO = "image,label\n1,healthy\n2,glaucoma\n"


def test_table_gives_labels_patients_and_splits(tmp_path: Path) -> None:
    table = "\ufeffsplit,patient,age,label,image\r\ntest,p1,50, glaucoma ,a/1.png\r\ntrain,p2,,healthy,2\r\n"
    table += "train,p3,,glaucoma,3\r\n"
    top = write_card(tmp_path / "x" / "clinic", CLASSIFIED, table)
    write_picture(top / "images" / "a" / "1.png")
    write_picture(top / "images" / "2.jpeg")
    write_picture(top / "images" / "3.tif")
    write_picture(top / "images" / "._2.jpeg")
    dataset = open_dataset("clinic", tmp_path)
    found = [(r.id, r.label, r.patient_id, r.group_id, r.split) for r in dataset]
    assert found == [
        ("images/a/1.png", 1, "p1", "p1", "test"),
        ("images/2.jpeg", 0, "p2", "p2", "train"),
        ("images/3.tif", 1, "p3", "p3", "train"),
    ]
    assert dataset.info.official_split
    assert dataset.notes == ()
    again = pickle.loads(pickle.dumps(dataset))
    assert np.array_equal(
        again.image(again.records[0]), np.asarray(Image.open(top / "images" / "a" / "1.png"))
    )


def test_table_without_patients_makes_each_image_a_patient(tmp_path: Path) -> None:
    top = write_card(tmp_path, CLASSIFIED, "image,label\n1,healthy\n2,glaucoma\n")
    for number in (1, 2):
        write_picture(top / "images" / f"{number}.png")
    dataset = open_dataset("Clinic", top)
    assert [r.group_id for r in dataset] == ["images/1.png", "images/2.png"]
    assert not dataset.info.official_split
    assert "each image counts as a patient" in dataset.notes[0]


def test_table_problems_are_all_reported_with_their_lines(tmp_path: Path) -> None:
    rows = ["1,glaucma,p1,train", "2,healthy,p1,test", "2,healthy,p2,test", "9,healthy,p3,train"]
    rows += ["4,healthy,p4,dev", "5,healthy,p1,train"]
    top = write_card(tmp_path, CLASSIFIED, "\n".join(["image,label,patient,split", *rows]))
    for number in range(1, 7):
        write_picture(top / "images" / f"{number}.png")
    table, images = top / "labels.csv", top / "images"
    assert complaints(top) == [
        f"{table}, line 2: label 'glaucma'; did you mean glaucoma?",
        f"{table}, line 4: {images}/2.png a second time, first in {table}, line 3",
        f"{table}, line 5: {images}/9 is missing",
        f"{table}, line 6: split 'dev'; train or test is accepted",
        f"{images}/3.png: in no row of {table}",
        f"{images}/6.png: in no row of {table}",
        f"{table}, line 3: patient p1 is in the training set too: {table}, line 7",
    ]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (b"image:label\n1:healthy\n", "no column image, label; found: image:label"),
        ("image,label\n1,gesünder\n".encode("latin-1"), "not UTF-8 text"),
        (b"", "no column image, label; found: nothing"),
        (b"image,label\n" + b'"' + b"x" * 200_000 + b'",healthy\n', "field larger than field limit"),
    ],
)
def test_unreadable_tables_are_refused(table: bytes, message: str, tmp_path: Path) -> None:
    top = write_card(tmp_path, CLASSIFIED)
    (top / "labels.csv").write_bytes(table)
    write_picture(top / "images" / "1.png")
    assert message in complaints(top)[0]


def test_dicom_is_read_in_hounsfield_units_or_as_stored(tmp_path: Path) -> None:
    units = RNG.integers(-900, 900, (5, 7)).astype(np.int16)
    ct = write_card(tmp_path / "ct", CLASSIFIED | {"modality": "ct"}, TWO)
    for number in "12":
        (ct / "images" / f"{number}.dcm").write_bytes(computed(units, -1024, 0.0, number))
    dataset = open_dataset("Clinic", ct)
    assert np.array_equal(dataset.image(dataset.records[0]), units)
    mri = write_card(tmp_path / "mri", CLASSIFIED | {"modality": "mri"}, TWO)
    for number in "12":
        (mri / "images" / f"{number}.DCM").write_bytes(resonance(np.abs(units), 0.0, number))
    dataset = open_dataset("Clinic", mri)
    assert np.array_equal(dataset.image(dataset.records[0]), np.abs(units))


def test_pictures_of_ct_need_a_pipeline(tmp_path: Path) -> None:
    facts = CLASSIFIED | {"modality": "ct"}
    top = write_card(tmp_path, facts, TWO)
    for number in "12":
        write_picture(top / "images" / f"{number}.png")
    assert any("ct is in Hounsfield units, and" in problem for problem in complaints(top))
    write_card(tmp_path, facts | {"pipeline": "resize(256) | clahe"})
    assert open_dataset("Clinic", top).info.pipeline == "resize(256)|clahe(2,8)"
    assert pipeline_of(open_dataset("Clinic", top).info, 64) == "resize(64)|clahe(2,8)"
    assert pipeline_of(card("DRIVE"), 64) == "crop_fundus(10)|resize(64)|clahe(2,8)"


def rows_of(top: Path, table: str) -> tuple[list[str], tuple[str, ...]]:
    """Problems and notes of a table over the images 1.png to 4.png."""
    (top / "labels.csv").write_text(table)
    for number in range(1, 5):
        write_picture(top / "images" / f"{number}.png")
    found = open_with_problems("Clinic", top)
    return list(found.problems), found.notes


@pytest.mark.parametrize(
    "name", ["patient_id", "PatientID", "subject", "Subject ID", "participant", "case_id", "MRN", "lesion_id"]
)
def test_other_names_of_the_patient_are_asked_about(name: str, tmp_path: Path) -> None:
    top = write_card(tmp_path, CLASSIFIED)
    table = f"image,label,{name}\n1,healthy,a\n2,glaucoma,b\n3,healthy,a\n4,glaucoma,b\n"
    problems, _ = rows_of(top, table)
    assert f"is the column `{name}` the patient?" in problems[0]
    write_card(top, CLASSIFIED | {"columns": f"{{patient: {name}}}"})
    assert [record.patient_id for record in open_dataset("Clinic", top)] == ["a", "b", "a", "b"]
    write_card(top, CLASSIFIED | {"columns": "{patient: image}"})
    assert len({record.patient_id for record in open_dataset("Clinic", top)}) == 4


@pytest.mark.parametrize("name", ["Split", "set", "fold", "subset", "partition"])
def test_column_that_may_be_the_split_is_mentioned(name: str, tmp_path: Path) -> None:
    top = write_card(tmp_path, CLASSIFIED)
    problems, notes = rows_of(
        top, f"image,label,{name}\n1,healthy,train\n2,glaucoma,test\n3,healthy,a\n4,glaucoma,b\n"
    )
    assert problems == []
    assert f"the column `{name}` is not read" in notes[0]


@pytest.mark.parametrize(
    ("first", "second"),
    [("017", "17"), ("17", "17.0"), ("Jos\u00e9", "Jose\u0301"), ("a  b", "a b"), ("P1", "p1")],
)
def test_one_patient_spelled_in_two_ways_is_refused(first: str, second: str, tmp_path: Path) -> None:
    top = write_card(tmp_path, CLASSIFIED)
    table = f"image,label,patient\n1,healthy,{first}\n2,glaucoma,{second}\n3,healthy,x\n4,glaucoma,y\n"
    problems, _ = rows_of(top, table)
    assert len(problems) == 1
    assert "look like one patient" in problems[0]
    assert "line 2" in problems[0]


@pytest.mark.parametrize("word", ["nan", "NA", "None", "unknown", "", "n/a", "-"])
def test_words_for_missing_values_are_no_patients(word: str, tmp_path: Path) -> None:
    top = write_card(tmp_path, CLASSIFIED)
    problems, _ = rows_of(
        top, f"image,label,patient\n1,healthy,{word}\n2,glaucoma,p2\n3,healthy,x\n4,glaucoma,y\n"
    )
    assert "line 2: no patient" in problems[0]


@pytest.mark.parametrize(
    ("stored", "written"),
    [
        ("pru\u0308fung.png", "pr\u00fcfung.png"),
        ("pr\u00fcfung.png", "pru\u0308fung"),
        ("right/0.png", "right\\\\0.png"),
        ("right/0.png", "images/right/0.png"),
        ("right/0.PNG", "./right/0.png"),
        ("scan.jfif", "scan"),
    ],
)
def test_names_that_only_look_different_are_found(stored: str, written: str, tmp_path: Path) -> None:
    top = write_card(
        tmp_path, CLASSIFIED, f"image,label\n{written},healthy\nother,glaucoma\n".replace("\\\\", "\\")
    )
    path = top / "images" / stored
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, (8, 9, 3), np.uint8)).save(
        path, "JPEG" if stored.endswith("f") else "PNG"
    )
    write_picture(top / "images" / "other.png")
    assert next(record.image_path for record in open_dataset("Clinic", top)) == f"images/{stored}"


def test_missing_file_is_reported_with_what_is_there(tmp_path: Path) -> None:
    top = write_card(
        tmp_path, CLASSIFIED, "image,label\n1.png,healthy\n2.png,glaucoma\n3.png,glaucoma\n4,healthy\n"
    )
    write_picture(top / "images" / "1.jpg")
    (top / "images" / "2.nii.gz").touch()
    write_picture(top / "images" / "4.png")
    found = complaints(top)
    assert "1.png is missing; found: 1.jpg" in found[0]
    assert "2.png is missing; found: 2.nii.gz; accepted: .png" in found[1]
    assert found[2].endswith("3.png is missing")


def test_swapped_columns_and_a_wrong_folder_take_one_line(tmp_path: Path) -> None:
    top = write_card(tmp_path, CLASSIFIED)
    for number in range(1, 4):
        write_picture(top / "images" / f"{number}.png")
    (top / "labels.csv").write_text("image,label\nhealthy,1.png\nglaucoma,2.png\nhealthy,3.png\n")
    swapped, _ = complaints(top)
    assert "`image` and `label` are swapped" in swapped
    (top / "labels.csv").write_text("image,label\nx1,healthy\nx2,glaucoma\nx3,healthy\n")
    absent, _ = complaints(top)
    assert "none of 3 rows names a file in" in absent
    assert "found there: 1.png, 2.png" in absent


def test_folder_for_each_class_needs_no_table(tmp_path: Path) -> None:
    facts = {key: value for key, value in CLASSIFIED.items() if key != "labels"}
    top = write_card(tmp_path, facts)
    for split in ("train", "val", "test"):
        for name in ("healthy", "glaucoma"):
            write_picture(top / "images" / split / name / "1.png")
    dataset = open_dataset("Clinic", top)
    assert dataset.info.official_split
    assert [(r.image_path.split("/", 1)[1], r.label, r.split) for r in dataset] == [
        ("test/glaucoma/1.png", 1, "test"),
        ("test/healthy/1.png", 0, "test"),
        ("train/glaucoma/1.png", 1, "train"),
        ("train/healthy/1.png", 0, "train"),
        ("val/glaucoma/1.png", 1, "train"),
        ("val/healthy/1.png", 0, "train"),
    ]


def test_images_beside_class_folders_are_reported_in_one_line(tmp_path: Path) -> None:
    top = write_card(tmp_path, {key: value for key, value in CLASSIFIED.items() if key != "labels"})
    for number in range(4):
        write_picture(top / "images" / f"{number}.png")
    (problem,) = complaints(top)[:1]
    assert "no image lies in a folder that is called as its class" in problem


def test_linked_folder_of_images_is_read(tmp_path: Path) -> None:
    top = write_card(tmp_path / "clinic", CLASSIFIED, TWO)
    for number in "12":
        write_picture(tmp_path / "elsewhere" / f"{number}.png")
    (top / "images").rmdir()
    (top / "images").symlink_to(tmp_path / "elsewhere")
    assert len(open_dataset("Clinic", top)) == 2


@pytest.mark.parametrize("name", ["scan.IMA", "scan.dicom", "1.2.840.113619.2.55.3"])
def test_dicom_is_known_by_content_and_other_suffixes(name: str, tmp_path: Path) -> None:
    top = write_card(
        tmp_path, CLASSIFIED | {"modality": "ct"}, f"image,label\n{name},healthy\nother,glaucoma\n"
    )
    for file, number in ((name, "1"), ("other.dcm", "2")):
        (top / "images" / file).write_bytes(computed(np.zeros((8, 9), np.int16), -1024, 0.0, number))
    assert [record.image_path for record in open_dataset("Clinic", top)] == [
        f"images/{name}",
        "images/other.dcm",
    ]


def test_name_that_is_not_utf8_is_printed_and_refused(tmp_path: Path) -> None:
    top, ids = write_card(tmp_path, MASKED), np.eye(5, 7, dtype=np.uint8)
    for folder in ("images", "masks"):
        write_picture(Path(os.fsdecode(os.fsencode(top / folder) + b"/M\xfcller_3.png")), ids * 255)
    write_picture(top / "images" / "1.png", ids)
    write_picture(top / "masks" / "1.png", ids)
    found = complaints(top)
    assert len(found) == 2
    assert all("M\\xfcller_3.png: the name is not UTF-8" in problem for problem in found)
    assert "\n".join(found).encode()
