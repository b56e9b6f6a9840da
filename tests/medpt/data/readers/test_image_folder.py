"""Users' datasets: what the table and the files say, and what masks of any kind become."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from user_data import CLASSIFIED, MASKED, RNG, write_card, write_picture

from medpt.data import card, open_dataset
from medpt.data.preprocess import pipeline_of
from medpt.errors import InputError
from medpt.phantom.dicom import computed, resonance

TWO = "image,label\n1,healthy\n2,glaucoma\n"


def complaints(folder: Path, name: str = "Clinic") -> list[str]:
    with pytest.raises(InputError) as caught:
        open_dataset(name, folder)
    return caught.value.problems


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
    assert dataset.remarks == ()
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
    assert "each image counts as a patient" in dataset.remarks[0]


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
        (b"image;label\n1;healthy\n", "no column image, label; found: image;label (commas separate)"),
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


def masked(tmp_path: Path, mask: np.ndarray | Image.Image, suffix: str = ".png", **facts: str) -> Path:
    top = write_card(tmp_path, MASKED | facts)
    shape = (*np.asarray(mask).shape[:2], 3)
    write_picture(top / "images" / "1.jpg", RNG.integers(0, 256, shape, np.uint8))
    (mask if isinstance(mask, Image.Image) else Image.fromarray(mask)).save(top / "masks" / f"1{suffix}")
    return top


IDS = RNG.integers(0, 2, (5, 7)).astype(np.uint8)
IDS[0, 0], IDS[0, 1] = 0, 1


def only_mask(top: Path) -> np.ndarray:
    dataset = open_dataset("Clinic", top)
    return dataset.mask(dataset.records[0])


def test_masks_of_class_numbers_are_unchanged(tmp_path: Path) -> None:
    assert np.array_equal(only_mask(masked(tmp_path, IDS)), IDS)


@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_masks_of_grey_values_become_class_numbers(mode: str, tmp_path: Path) -> None:
    grey = np.where(IDS == 1, 255, 0).astype(np.uint8)
    grey[1, 1] = 100
    values = "{vessel: 255, background: 0, ignore: 100}"
    found = only_mask(masked(tmp_path, Image.fromarray(grey).convert(mode), values=values))
    expected = IDS.copy()
    expected[1, 1] = 255
    assert found.dtype == np.uint8
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(("mode", "suffix"), [("RGB", ".png"), ("P", ".gif"), ("RGBA", ".tif")])
def test_masks_of_colours_become_class_numbers(mode: str, suffix: str, tmp_path: Path) -> None:
    colours = np.array([[10, 20, 30], [200, 0, 7]], np.uint8)[IDS]
    picture_ = Image.fromarray(colours)
    picture_ = picture_.quantize(4) if mode == "P" else picture_.convert(mode)
    values = "{background: [10, 20, 30], vessel: [200, 0, 7]}"
    assert np.array_equal(only_mask(masked(tmp_path, picture_, suffix, values=values)), IDS)


@pytest.mark.parametrize(
    ("pixels", "values", "message"),
    [
        (IDS, "{background: 0, vessel: 255}", "1 values that no class has, such as 1; accepted: 0, 255"),
        (np.stack([IDS] * 2 + [IDS * 2], 2), "{background: 0, vessel: 1}", "a mask in colour"),
        (
            np.stack([IDS] * 2 + [IDS * 2], 2),
            "{background: [0, 0, 0], vessel: [1, 1, 1]}",
            "such as [1, 1, 2]; accepted: [0, 0, 0], [1, 1, 1]",
        ),
    ],
)
def test_mask_values_without_class_are_refused(
    pixels: np.ndarray, values: str, message: str, tmp_path: Path
) -> None:
    top = masked(tmp_path, pixels, values=values)
    with pytest.raises(InputError) as caught:
        only_mask(top)
    assert message in str(caught.value)
    assert str(top / "masks" / "1.png") in str(caught.value)


def test_masks_below_the_images_are_not_read_as_images(tmp_path: Path) -> None:
    top = write_card(tmp_path, MASKED | {"images": ".", "masks": "masks"})
    write_picture(top / "1.png")
    write_picture(top / "masks" / "1.png", IDS)
    assert [(r.image_path, r.mask_path) for r in open_dataset("Clinic", top)] == [("1.png", "masks/1.png")]


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
