"""Readers of fundus photographs on synthetic copies: the traps of each layout, and every complaint."""

import gzip
import io
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reader_copies import problems, spoil

from medpt.data import Record, open_dataset
from medpt.data.readers.messidor import CONTRADICTORY, CORRECTED, DUPLICATES
from medpt.errors import InputError
from medpt.phantom.tables import write_xls, write_xlsx

HEADER = ("Image name", "Ophthalmologic department", "Retinopathy grade", "Risk of macular edema ")


def by_stem(records: tuple[Record, ...]) -> dict[str, Record]:
    return {Path(record.image_path).stem: record for record in records}


def test_eyepacs_keeps_both_eyes_together(copies: Path) -> None:
    dataset = open_dataset("EyePACS", copies / "EyePACS")
    assert Counter(r.group_id for r in dataset) == {str(n): 2 for n in (10, 13, 16, 19, 22, 25)}
    assert [r.label for r in dataset] == [0, 3, 1, 4, 2, 0, 4, 3, 0, 2, 0, 3]
    assert all(r.meta["eye"] in r.image_path for r in dataset)
    assert dataset.image(by_stem(dataset.records)["16_right"]).max() == 0
    assert all(r.image_path.startswith("train/") for r in dataset)


@spoil("EyePACS")
def test_eyepacs_complaints(copy: Path) -> None:
    truth = copy / "trainLabels.csv"
    text = truth.read_text().replace("10_left,0", "10_left,5").replace("13_left,1", "13_middle,1")
    truth.write_text(text + "16_left,2\n")
    (copy / "train" / "19_left.jpeg").unlink()
    found = problems("EyePACS", copy)
    assert "trainLabels.csv, line 2: 10_left,5; accepted: such as 10_left,0 (level 0 to 4)" in found
    assert "line 4: 13_middle,1" in found
    assert "line 14: 16_left,2" in found
    assert "line 8: no image" in found
    truth.write_text("image,level\n10_left,0\n")
    assert "13_left.jpeg: not in trainLabels.csv" in problems("EyePACS", copy)
    truth.write_text("image,grade\n")
    assert "line 1: no column level" in problems("EyePACS", copy)


def test_messidor_errata(copies: Path) -> None:
    dataset = open_dataset("MESSIDOR", copies / "MESSIDOR")
    assert len(dataset) == 10
    assert dataset.excluded == {"train": 2}
    found = by_stem(dataset.records)
    assert found["20051020_63045_0100_PP"].label == 0
    assert not {"20051202_55562_0400_PP", "20051202_54611_0400_PP"} & found.keys()
    assert "1 grades corrected, 2 duplicate images excluded" in dataset.notes[0]
    assert {Path(r.image_path).parent.as_posix() for r in dataset} == {"Base11", "Base13/Base13", "Base33"}
    before = open_dataset("MESSIDOR", copies / "MESSIDOR", errata=False)
    assert len(before) == 12
    assert by_stem(before.records)["20051020_63045_0100_PP"].label == 3
    assert by_stem(before.records)["20051202_54611_0400_PP"].meta["oedema"] == 1
    assert "LaTIM - CHU de BREST" in {r.meta["department"] for r in before}
    assert before.notes == ()


def test_messidor_errata_are_of_the_published_size() -> None:
    """1,200 images, 13 duplicates, and two pairs of which two images are among the 13: 1,185 stay."""
    assert (len(DUPLICATES), len(CONTRADICTORY), len(DUPLICATES & CONTRADICTORY)) == (13, 4, 2)
    assert 1200 - len(DUPLICATES | CONTRADICTORY) == 1185
    assert not CORRECTED.keys() & (DUPLICATES | CONTRADICTORY)


@spoil("MESSIDOR")
def test_messidor_errata_twice_are_errata_once(copy: Path) -> None:
    """A table that is corrected already keeps its grade, also where a rule maps that grade on."""
    names = list(CORRECTED)
    shutil.rmtree(copy / "Base11")
    (copy / "Base11").mkdir()
    for name in names:
        Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(copy / "Base11" / f"{name}.tif")
    new = [(f"{name}.tif", "", CORRECTED[name][1], 0) for name in names]
    old = [(f"{name}.tif", "", CORRECTED[name][0], 0) for name in names]
    for rows, corrected in ((new, 0), (old, 4)):
        write_xls(copy / "Annotation_Base11.xls", "Feuil1", [HEADER, *rows])
        dataset = open_dataset("MESSIDOR", copy)
        found = by_stem(dataset.records)
        assert {name: found[name].label for name in names} == {name: CORRECTED[name][1] for name in names}
        assert f"{corrected} grades corrected" in dataset.notes[0]


@spoil("MESSIDOR")
def test_messidor_complaints(copy: Path) -> None:
    base = copy / "Base33"
    rows: list[tuple[str | float, ...]] = [(path.name, "x", 1, 0) for path in sorted(base.glob("2*.tif"))]
    rows[0] = (rows[0][0], "x", 4, 0)
    rows[1] = (rows[1][0], "x", 1.5, 0)
    rows[3] = rows[2]
    write_xls(copy / "Annotation_Base33.xls", "Feuil1", [HEADER, *rows, ("absent.tif", "x", 0, 0)])
    (base / "more").mkdir()
    twice = str(rows[2][0])
    shutil.copy(base / twice, base / "more")
    (copy / "Annotation_Base11.xls").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"x" * 600)
    text = problems("MESSIDOR", copy)
    assert "Annotation_Base33.xls, row 2: grade 4.0, oedema 0.0; accepted: 0 to 3, 0 to 2" in text
    assert "row 3: grade 1.5" in text
    assert f"row 5: {twice[:-4]} a second time" in text
    assert f"row {len(rows) + 2}: no image absent.tif" in text
    assert f"{twice}: also at" in text
    assert "Annotation_Base11.xls: not an Excel file that can be read" in text
    shutil.rmtree(base / "more")
    write_xls(copy / "Annotation_Base33.xls", "Feuil1", [("Image name", "Grade")])
    assert "row 1: no column Retinopathy grade, Risk of macular edema" in problems("MESSIDOR", copy)


@spoil("MESSIDOR")
def test_messidor_wants_a_row_for_each_image_and_annotations(copy: Path) -> None:
    write_xls(copy / "Annotation_Base11.xls", "Feuil1", [HEADER])
    assert "Base11/20051020_63045_0100_PP.tif: in no annotation" in problems("MESSIDOR", copy)
    for path in copy.rglob("Annotation*"):
        path.unlink()
    assert "no Annotation_BaseNN.xls" in problems("MESSIDOR", copy)


def test_stare_codes(copies: Path) -> None:
    dataset = open_dataset("STARE-CLS", copies / "STARE-CLS")
    found = by_stem(dataset.records)
    assert len(dataset.info.classes) == 15
    assert set(found) == {f"im{n:04d}" for n in range(1, 19) if n != 7}
    assert found["im0003"].meta["codes"] == [2, 10]
    assert found["im0003"].label == 2
    assert found["im0016"].label == 14  # of code 15
    assert all(r.image_path.startswith("all-images/") for r in dataset)
    text = " ".join(dataset.notes)
    assert "1 images without a code excluded, first im0007" in text
    assert "1 codes without an image, first im9999" in text
    assert "codes above 14 count as 14 (other) in 1 images, first im0016" in text


@spoil("STARE-CLS")
def test_stare_code_file_beside_or_in_diagnoses_and_complaints(copy: Path) -> None:
    (copy / "diagnoses").mkdir()
    moved = (copy / "all-mg-codes.txt").rename(copy / "diagnoses" / "all-mg-codes.txt")
    assert len(open_dataset("STARE-CLS", copy)) == 17
    lines = moved.read_text().splitlines()
    lines[0], lines[2], lines[4] = "im0001 0 normal", "im0003\t2 x\ttext", lines[5]
    moved.write_text("\n".join([*lines, ""]) + "\n\n")
    text = problems("STARE-CLS", copy)
    assert "all-mg-codes.txt, line 1: 'im0001 0 normal'; accepted: im0001<TAB>13 14<TAB>text" in text
    assert "line 3: 'im0003\\t2 x\\ttext'" in text
    assert "line 6: " in text
    assert len(text.splitlines()) == 3


def test_stare_vessels_are_hoovers(copies: Path) -> None:
    folder = copies / "STARE-CLS"
    dataset = open_dataset("STARE-SEG", folder)
    assert [r.patient_id for r in dataset] == ["im0001", "im0002", "im0003", "im0004"]
    for record in dataset:
        assert record.image_path == f"stare-images/{record.patient_id}.ppm.gz"
        name = f"labels-ah/{record.patient_id}.ah.ppm.gz"
        drawn = np.array(Image.open(io.BytesIO(gzip.decompress((folder / name).read_bytes()))))
        assert np.array_equal(dataset.mask(record), drawn[:, :, 0] // 255)
        assert dataset.image(record).ndim == 3


@spoil("STARE-CLS")
def test_stare_unpacked_into_one_folder(copy: Path, copies: Path) -> None:
    for inner in ("stare-images", "labels-ah", "labels-vk", "all-images"):
        for path in (copy / inner).iterdir():
            path.rename(copy / path.name) if path.is_file() else shutil.rmtree(path)
        (copy / inner).rmdir()
    assert len(open_dataset("STARE-CLS", copy)) == 17
    vessels, before = open_dataset("STARE-SEG", copy), open_dataset("STARE-SEG", copies / "STARE-CLS")
    assert [r.patient_id for r in vessels] == [r.patient_id for r in before]
    for one, other in zip(vessels, before, strict=True):
        assert np.array_equal(vessels.image(one), before.image(other))


@spoil("STARE-CLS")
def test_stare_vessel_complaints(copy: Path) -> None:
    dataset = open_dataset("STARE-SEG", copy)
    path = copy / "stare-images" / "im0001.ppm.gz"
    whole = path.read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"x" * 90, gzip.compress(b""), gzip.compress(b"P6 x")):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"im0001\.ppm\.gz"):
            dataset.image(dataset.records[0])
    path.unlink()
    (copy / "all-images" / "im0001.ppm").unlink()
    assert "im0001.ah.ppm.gz: no photograph im0001.ppm" in problems("STARE-SEG", copy)


def test_hrf_vessels_and_view(copies: Path) -> None:
    dataset = open_dataset("HRF", copies / "HRF")
    assert {r.patient_id for r in dataset} == {f"HRF-{n}_{g}" for n in ("01", "02") for g in ("h", "g", "dr")}
    assert {Path(r.image_path).suffix for r in dataset} == {".jpg", ".JPG"}
    three = open_dataset("HRF", copies / "HRF", classes=3)
    assert three.info.classes == ("background", "vessel", "outside the field of view")
    for two, record in zip(dataset, three, strict=True):
        stored = np.array(Image.open(dataset.root / str(two.mask_path)))
        view = np.array(Image.open(dataset.root / two.meta["field_of_view"]))
        assert {0, 128, 250} == set(np.unique(stored))
        assert view.ndim == 3
        assert np.array_equal(dataset.mask(two), (stored > 0).astype(np.uint8))
        expected = np.where(stored > 0, 1, np.where(view[:, :, 0] > 0, 0, 2))
        assert np.array_equal(three.mask(record), expected)
    with pytest.raises(InputError, match="`classes` is 4; accepted: 2, 3"):
        open_dataset("HRF", copies / "HRF", classes=4)


@spoil("HRF")
def test_hrf_as_nine_archives_and_complaints(copy: Path) -> None:
    flat = {"images": "", "manual1": "_manualsegm", "mask": "_fovmask"}
    groups = {"h": "healthy", "g": "glaucoma", "dr": "diabetic_retinopathy"}
    for inner, tail in flat.items():
        for path in (p for p in (copy / inner).glob("*_*") if p.is_file() and not p.name.startswith(".")):
            group = groups[path.stem.split("_")[1]] + tail
            (copy / group).mkdir(exist_ok=True)
            path.rename(copy / group / path.name)
        shutil.rmtree(copy / inner)
    assert len(open_dataset("HRF", copy)) == 6
    (copy / "healthy_manualsegm" / "01_h.tif").unlink()
    (copy / "glaucoma_fovmask" / "02_g_mask.tif").unlink()
    (copy / "diabetic_retinopathy" / "01_dr.JPG").unlink()
    shutil.copy(copy / "healthy" / "02_h.jpg", copy / "glaucoma" / "02_h.jpg")
    text = problems("HRF", copy)
    assert "01_h has no vessels, 01_h.tif" in text
    assert "02_g has no view" in text
    assert "01_dr has no image" in text
    assert "02_h.jpg: also at" in text


@pytest.mark.parametrize("target", ["cup", "disc"])
def test_drishti_majority_of_experts(copies: Path, target: str) -> None:
    folder = copies / "DRISHTI-GS"
    dataset = open_dataset("DRISHTI-GS", folder, target=target)
    everyone = open_dataset("DRISHTI-GS", folder, target=target, threshold=255)
    anyone = open_dataset("DRISHTI-GS", folder, target=target, threshold=1)
    assert dataset.info.classes == ("background", f"optic {target}")
    assert [(r.split, r.patient_id[-3:]) for r in dataset] == [
        ("train", "002"),
        ("train", "004"),
        ("train", "006"),
        ("test", "001"),
        ("test", "003"),
    ]
    for record, all_, any_ in zip(dataset, everyone, anyone, strict=True):
        stored = np.array(Image.open(dataset.root / str(record.mask_path)))
        assert set(np.unique(stored)) <= {0, 64, 128, 191, 255}
        assert np.array_equal(dataset.mask(record), (stored >= 128).astype(np.uint8))
        sizes = [everyone.mask(all_).sum(), dataset.mask(record).sum(), anyone.mask(any_).sum()]
        assert sizes[0] < sizes[1] < sizes[2]
        assert ("disc_centre" in record.meta) == (record.split == "train")
    discs = open_dataset("DRISHTI-GS", folder, target="disc")
    for record in (r for r in discs if r.split == "train"):
        rows, columns = np.nonzero(discs.mask(record))
        assert np.abs(np.array(record.meta["disc_centre"]) - (rows.mean(), columns.mean())).max() < 1.5


@spoil("DRISHTI-GS")
def test_drishti_complaints_and_a_test_set_without_truth(copy: Path) -> None:
    top = copy / "Drishti-GS1_files" / "Drishti-GS1_files"
    assert {path.parent.name for path in (top / "Test" / "Images").rglob("*.png")} <= {"GLAUCOMA", "NORMAL"}
    shutil.rmtree(top / "Test" / "Test_GT")
    dataset = open_dataset("DRISHTI-GS", copy)
    assert dataset.excluded == {"test": 2}
    assert "2 images of the test set without truth excluded" in dataset.notes[0]
    truth = top / "Training" / "GT"
    (truth / "drishtiGS_002" / "SoftMap" / "drishtiGS_002_cupsegSoftmap.png").unlink()
    (truth / "drishtiGS_004" / "AvgBoundary" / "drishtiGS_004_diskCenter.txt").write_text("1.5")
    (top / "Training" / "Images" / "drishtiGS_006.png").unlink()
    text = problems("DRISHTI-GS", copy)
    assert "drishtiGS_002.png: no drishtiGS_002_cupsegSoftmap.png in" in text
    assert "drishtiGS_004_diskCenter.txt: '1.5'; accepted: '<row> <column>' in pixels" in text
    assert "drishtiGS_006_cupsegSoftmap.png: no image drishtiGS_006.png" in text
    with pytest.raises(InputError) as caught:
        open_dataset("DRISHTI-GS", copy, target="macula", threshold=0)
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(("test", "letter"), [("validation400", "V"), ("test400", "T")])
def test_refuge_disc_and_labels(copies: Path, test: str, letter: str) -> None:
    discs = open_dataset("REFUGE-OD", copies / "REFUGE-CLS", test=test)
    labels = open_dataset("REFUGE-CLS", copies / "REFUGE-CLS", test=test)
    assert [r.image_path for r in discs] == [r.image_path for r in labels]
    assert Counter(r.split for r in discs) == {"train": 6, "test": 4}
    assert {r.patient_id[0] for r in discs if r.split == "test"} == {letter}
    found = {r.patient_id: r.label for r in labels}
    sick = {"g0001", "g0002", "V0003"} if letter == "V" else {"g0001", "g0002", "T0001", "T0004"}
    assert {name for name, label in found.items() if label} == sick
    for record in discs:
        stored = np.array(Image.open(discs.root / str(record.mask_path)))
        assert set(np.unique(stored)) == {0, 128, 255}
        assert np.array_equal(discs.mask(record), (stored < 255).astype(np.uint8))
        assert 0.01 < discs.mask(record).mean() < 0.1
    with pytest.raises(InputError, match="REFUGE-OD: `test` is 'test'; accepted: validation400, test400"):
        open_dataset("REFUGE-OD", copies / "REFUGE-CLS", test="test")


@spoil("REFUGE-CLS")
def test_refuge_refuses_mixed_editions(copy: Path) -> None:
    part = copy / "REFUGE-Validation400"
    Image.new("RGB", (20, 20)).save(part / "V0002.jpg")
    shutil.copy(part / "V0001.jpg", copy / "Test400" / "V0001.jpg")
    for name in ("REFUGE-OD", "REFUGE-CLS"):
        text = problems(name, copy)
        assert "V0002.jpg: 20x20, but V0001 is 37x37: one camera a subset" in text
        assert "V0001.jpg: also at" in text
    (copy / "Test400" / "V0001.jpg").unlink()
    assert len(open_dataset("REFUGE-OD", copy, test="test400")) == 10
    (part / "V0002.jpg").unlink()
    for n in range(5, 406):
        shutil.copy(part / "V0001.jpg", part / f"V{n:04d}.jpg")
    assert "404 images such as V0001; accepted: 400, as of 2018" in problems("REFUGE-CLS", copy)


@spoil("REFUGE-CLS")
def test_refuge_complaints(copy: Path) -> None:
    (copy / "Annotation-Training400" / "Disc_Cup_Masks" / "Glaucoma" / "g0001.bmp").unlink()
    (copy / "REFUGE-Validation400" / "V0001.jpg").unlink()
    text = problems("REFUGE-OD", copy)
    assert "g0001.jpg: no mask g0001.bmp in Disc_Cup_Masks" in text
    assert "V0001.bmp: no image V0001.jpg" in text
    images = copy / "REFUGE-Training400" / "Training400"
    (images / "Non-Glaucoma" / "n0001.jpg").rename(images / "Glaucoma" / "n0001.jpg")
    sheet = copy / "REFUGE-Validation400-GT" / "Fovea_locations.xlsx"
    write_xlsx(sheet, [("ImgName", "Glaucoma Label"), ("V0002.jpg", 2), ("V0003.jpg", 1)])
    text = problems("REFUGE-CLS", copy)
    assert "n0001.jpg: g is glaucoma, n is not, but its folder says otherwise" in text
    assert "Fovea_locations.xlsx, row 2: Glaucoma Label is 2; accepted: 0, 1" in text
    assert "V0004.jpg: no label in an Excel sheet" in text
    sheet.write_bytes(b"no zip")
    assert "Fovea_locations.xlsx: not an Excel file that can be read" in problems("REFUGE-CLS", copy)


@spoil("REFUGE-CLS")
def test_refuge_training_set_alone(copy: Path) -> None:
    shutil.rmtree(copy / "REFUGE-Validation400")
    shutil.rmtree(copy / "REFUGE-Validation400-GT")
    for name in ("REFUGE-OD", "REFUGE-CLS"):
        dataset = open_dataset(name, copy)
        assert {r.split for r in dataset} == {"train"}
        assert "no images of validation400: no test set" in dataset.notes[0]
