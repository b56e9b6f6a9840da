"""Own datasets: what a card says, what its files are held to, and what masks of any kind become."""

import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medpt.data import card, catalog, open_dataset, own
from medpt.data.__main__ import main
from medpt.data.fingerprint import fingerprint
from medpt.data.locate import locate
from medpt.data.preprocess import pipeline_of
from medpt.errors import InputError
from medpt.phantom.dicom import computed, resonance

RNG = np.random.default_rng(0)
CLASSIFIED = {
    "name": "Clinic",
    "modality": "fundus",
    "task": "classification",
    "classes": "[healthy, glaucoma]",
    "images": "images",
    "labels": "labels.csv",
}
MASKED = {key: value for key, value in CLASSIFIED.items() if key != "labels"} | {
    "task": "segmentation",
    "classes": "[background, vessel]",
    "masks": "masks",
}


@pytest.fixture(autouse=True)
def only_built_in() -> Iterator[None]:
    catalog.OWN.clear()
    yield
    catalog.OWN.clear()


def picture(path: Path, pixels: np.ndarray | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, (6, 8, 3), np.uint8) if pixels is None else pixels).save(path)


def carded(folder: Path, facts: dict[str, str], table: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "images").mkdir(exist_ok=True)
    if "masks" in facts:
        (folder / "masks").mkdir(exist_ok=True)
    if table:
        (folder / "labels.csv").write_text(table)
    (folder / own.FILE).write_text("".join(f"{key}: {value}\n" for key, value in facts.items()))
    return folder


def complaints(folder: Path, name: str = "Clinic") -> list[str]:
    with pytest.raises(InputError) as caught:
        open_dataset(name, folder)
    return caught.value.problems


def test_labels_patients_and_parts_of_the_table(tmp_path: Path) -> None:
    table = "\ufeffsplit,patient,age,label,image\r\ntest,p1,50, glaucoma ,a/1.png\r\ntrain,p2,,healthy,2\r\n"
    top = carded(tmp_path / "x" / "clinic", CLASSIFIED, table)
    picture(top / "images" / "a" / "1.png")
    picture(top / "images" / "2.jpeg")
    picture(top / "images" / "._2.jpeg")
    dataset = open_dataset("clinic", tmp_path)
    found = [(r.id, r.label, r.patient_id, r.group_id, r.split) for r in dataset]
    assert found == [
        ("images/a/1.png", 1, "p1", "p1", "test"),
        ("images/2.jpeg", 0, "p2", "p2", "train"),
    ]
    assert dataset.info.official_split
    assert dataset.remarks == ()
    again = pickle.loads(pickle.dumps(dataset))
    assert np.array_equal(
        again.image(again.records[0]), np.asarray(Image.open(top / "images" / "a" / "1.png"))
    )


def test_without_patients_each_image_is_one_and_a_remark_says_so(tmp_path: Path) -> None:
    top = carded(tmp_path, CLASSIFIED, "image,label\n1,healthy\n2,glaucoma\n")
    for number in (1, 2):
        picture(top / "images" / f"{number}.png")
    dataset = open_dataset("Clinic", top)
    assert [r.group_id for r in dataset] == ["images/1.png", "images/2.png"]
    assert not dataset.info.official_split
    assert "each image counts as a patient" in dataset.remarks[0]


def test_the_card_is_found_by_name_below_the_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    top = carded(tmp_path / "a" / "b", CLASSIFIED, "image,label\n1,healthy\n")
    picture(top / "images" / "1.png")
    assert main(["list", "--data", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[:3] == ["Clinic", "fundus", "classification"]
    assert locate("CLINIC", tmp_path) == top
    assert card("clinic").licence == "not stated"
    with pytest.raises(InputError, match="did you mean Clinic"):
        card("clinik")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with pytest.raises(InputError, match="Clinic: no folder b in"):
        locate("Clinic", elsewhere)


def test_a_card_that_is_kept_beside_results_serves_without_the_data(tmp_path: Path) -> None:
    carded(tmp_path / "data", CLASSIFIED | {"counts": "{train: 5}"}, "image,label\n")
    own.register(tmp_path)
    known = card("Clinic")
    own.record(tmp_path / "out", ["DRIVE", "Clinic"])
    catalog.OWN.clear()
    own.recall(tmp_path / "out")
    assert card("Clinic").home is None
    assert {**vars(card("Clinic")), "home": None} == {**vars(known), "home": None}


def test_every_mistake_of_a_card_is_told_with_its_line(tmp_path: Path) -> None:
    wrong = {
        "name": "DRIVE",
        "modality": "fundos",
        "task": "segmentation",
        "classes": "[background, vessel, no, vessel]",
        "images": "../outside",
        "masks": "absent",
        "values": "{background: 0, vesel: 300, no: [1, 2]}",
        "pipeline": "resize(256)|clache(2)",
        "counts": "{train: many}",
        "license": "MIT",
    }
    folder = carded(tmp_path / "x", wrong)
    (folder / "masks").rmdir()
    path = folder / own.FILE
    expected = [
        f"{path}:10: unknown key `license`; did you mean licence?",
        f"{path}:1: `name` is 'DRIVE', which is taken (DRIVE); choose another",
        f"{path}:2: `modality` is 'fundos'; did you mean fundus?",
        f"{path}:4: the class False: text is accepted, so quote it",
        f"{path}:4: the class 'vessel' is given twice; keep one",
        f"{path}:5: `images` is '../outside'; a path below the folder of dataset.yaml is accepted",
        f"{path}:6: `masks` is 'absent': no such folder",
        f"{path}:7: the value of `vesel` is 300; a grey value from 0 to 255",
        f"{path}:7: unknown class `vesel`; did you mean vessel",
        f"{path}:7: the class `vessel` has no value",
        f"{path}:8: 'resize(256)|clache(2)', operation 2: unknown operation 'clache(2)'; did you mean clahe?",
        f"{path}:9: `counts` is {{'train': 'many'}}; such as",
    ]
    with pytest.raises(InputError) as caught:
        own.register(tmp_path)
    assert [text for text in expected if not any(p.startswith(text) for p in caught.value.problems)] == []


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"name": "M6-CLS"}, "which is taken (M6-CLS)"),
        ({"name": "random"}, "which is taken (a word of space files)"),
        ({"name": "Mine-20k"}, "which is taken (a word of space files)"),
        ({"name": "../../etc"}, "a letter, then up to 39"),
        ({"labels": "absent.csv"}, "'absent.csv': no such file"),
        ({"labels": "~"}, "no `labels`; needed: name, modality, task, classes, images, labels"),
        ({"task": "detection"}, "known: classification, segmentation"),
        ({"values": "{healthy: 0, glaucoma: 1}"}, "of classes with `masks` is accepted"),
        ({"classes": "healthy"}, "a list of 2 to 250 is accepted"),
        ({"classes": "[healthy, ignore]"}, "that word stands for what nobody labelled"),
        ({"name": "A\nname: B"}, "the key `name` is given twice"),
        ({"name": "[unclosed"}, "not YAML"),
    ],
)
def test_a_wrong_card_is_refused(facts: dict[str, str], message: str, tmp_path: Path) -> None:
    carded(tmp_path, CLASSIFIED | facts, "image,label\n1,healthy\n")
    with pytest.raises(InputError) as caught:
        own.register(tmp_path)
    (problem,) = caught.value.problems
    assert message in problem
    assert problem.startswith(f"{tmp_path / own.FILE}:")


def test_two_cards_of_one_name_are_refused(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        carded(tmp_path / folder, CLASSIFIED, "image,label\n")
    with pytest.raises(InputError, match=r"b/dataset.yaml: the name Clinic is also that of .*a/dataset.yaml"):
        own.register(tmp_path)


def test_every_mistake_of_a_table_is_told_with_its_line(tmp_path: Path) -> None:
    rows = ["1,glaucma,p1,train", "2,healthy,p1,test", "2,healthy,p2,test", "9,healthy,p3,train"]
    rows += ["4,healthy,p4,dev", "5,healthy,p1,train"]
    top = carded(tmp_path, CLASSIFIED, "\n".join(["image,label,patient,split", *rows]))
    for number in range(1, 7):
        picture(top / "images" / f"{number}.png")
    table, images = top / "labels.csv", top / "images"
    assert complaints(top) == [
        f"{table}, line 2: label 'glaucma'; did you mean glaucoma?",
        f"{table}, line 4: {images}/2.png a second time, first in {table}, line 3",
        f"{table}, line 5: {images}/9 is not there",
        f"{table}, line 6: split 'dev'; accepted: train, test",
        f"{images}/3.png: in no row of {table}",
        f"{images}/6.png: in no row of {table}",
        f"{table}, line 3: patient p1 is in the train part too: {table}, line 7",
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
def test_tables_that_cannot_be_read(table: bytes, message: str, tmp_path: Path) -> None:
    top = carded(tmp_path, CLASSIFIED)
    (top / "labels.csv").write_bytes(table)
    picture(top / "images" / "1.png")
    assert message in complaints(top)[0]


def masked(tmp_path: Path, mask: np.ndarray | Image.Image, suffix: str = ".png", **facts: str) -> Path:
    top = carded(tmp_path, MASKED | facts)
    shape = (*np.asarray(mask).shape[:2], 3)
    picture(top / "images" / "1.jpg", RNG.integers(0, 256, shape, np.uint8))
    (mask if isinstance(mask, Image.Image) else Image.fromarray(mask)).save(top / "masks" / f"1{suffix}")
    return top


IDS = RNG.integers(0, 2, (5, 7)).astype(np.uint8)
IDS[0, 0], IDS[0, 1] = 0, 1


def only_mask(top: Path) -> np.ndarray:
    dataset = open_dataset("Clinic", top)
    return dataset.mask(dataset.records[0])


def test_masks_of_class_numbers_are_taken_as_they_are(tmp_path: Path) -> None:
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
def test_values_of_no_class_are_refused(
    pixels: np.ndarray, values: str, message: str, tmp_path: Path
) -> None:
    top = masked(tmp_path, pixels, values=values)
    with pytest.raises(InputError) as caught:
        only_mask(top)
    assert message in str(caught.value)
    assert str(top / "masks" / "1.png") in str(caught.value)


def test_masks_below_the_folder_of_the_images_are_no_images(tmp_path: Path) -> None:
    top = carded(tmp_path, MASKED | {"images": ".", "masks": "masks"})
    picture(top / "1.png")
    picture(top / "masks" / "1.png", IDS)
    assert [(r.image_path, r.mask_path) for r in open_dataset("Clinic", top)] == [("1.png", "masks/1.png")]


def test_ct_is_read_in_hounsfield_units_and_mri_as_stored(tmp_path: Path) -> None:
    units = RNG.integers(-900, 900, (5, 7)).astype(np.int16)
    ct = carded(tmp_path / "ct", CLASSIFIED | {"modality": "ct"}, "image,label\n1,healthy\n")
    (ct / "images" / "1.dcm").write_bytes(computed(units, -1024, 0.0, "1"))
    dataset = open_dataset("Clinic", ct)
    assert np.array_equal(dataset.image(dataset.records[0]), units)
    mri = carded(tmp_path / "mri", CLASSIFIED | {"modality": "mri"}, "image,label\n1,healthy\n")
    (mri / "images" / "1.DCM").write_bytes(resonance(np.abs(units), 0.0, "1"))
    dataset = open_dataset("Clinic", mri)
    assert np.array_equal(dataset.image(dataset.records[0]), np.abs(units))


def test_pictures_of_ct_need_a_pipeline_of_their_own(tmp_path: Path) -> None:
    facts = CLASSIFIED | {"modality": "ct"}
    top = carded(tmp_path, facts, "image,label\n1,healthy\n")
    picture(top / "images" / "1.png")
    assert any("ct is in Hounsfield units, and" in problem for problem in complaints(top))
    carded(tmp_path, facts | {"pipeline": "resize(256) | clahe"})
    assert open_dataset("Clinic", top).info.pipeline == "resize(256)|clahe(2,8)"
    assert pipeline_of(card("Clinic"), 64) == "resize(64)|clahe(2,8)"
    assert pipeline_of(card("DRIVE"), 64) == "crop_fundus(10)|resize(64)|clahe(2,8)"


def test_a_changed_card_is_another_dataset(tmp_path: Path) -> None:
    top = carded(tmp_path, CLASSIFIED, "image,label\n1,healthy\n")
    before = fingerprint(top)
    text = (top / own.FILE).read_text().replace("[healthy, glaucoma]", "[glaucoma, healthy]")
    (top / own.FILE).write_text(text)
    assert fingerprint(top) != before
