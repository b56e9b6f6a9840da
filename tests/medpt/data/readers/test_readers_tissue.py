"""Readers of histology on synthetic copies: every trap, and every complaint."""

import csv
import io
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reader_copies import problems, spoil

from medpt.data import Dataset, open_dataset
from medpt.data.check import check
from medpt.errors import InputError


def test_tnbc_is_breast_without_alpha(copies: Path) -> None:
    dataset = open_dataset("TNBC", copies / "TNBC")
    assert len(dataset) == 13
    assert Counter(r.patient_id for r in dataset)["Slide_01"] == 2
    assert {r.patient_id for r in dataset} == {f"Slide_{n:02d}" for n in range(1, 12)}
    assert "3 tiles of slides above 11 excluded: brain" in dataset.notes[0]
    for record in dataset:
        assert Image.open(dataset.root / record.image_path).mode == "RGBA"
        image, mask = dataset.image(record), dataset.mask(record)
        assert image.shape == (48, 48, 3)
        assert image[mask == 1].mean() < image[mask == 0].mean() - 30


@spoil("TNBC")
def test_tnbc_masks_of_any_level_and_complaints(copy: Path) -> None:
    top = copy / "TNBC_NucleiSegmentation"
    mask = np.array(Image.open(top / "GT_02" / "02_1.png"))
    Image.fromarray(mask // 255).save(top / "GT_02" / "02_1.png")
    dataset = open_dataset("TNBC", copy)
    record = next(r for r in dataset if r.image_path.endswith("02_1.png"))
    assert np.array_equal(dataset.mask(record), mask > 0)
    (top / "GT_01" / "01_2.png").unlink()
    (top / "Slide_03" / "03_1.png").unlink()
    shutil.rmtree(top / "GT_04")
    text = problems("TNBC", copy)
    assert "01_2.png: no mask 01_2.png in GT_01" in text
    assert "03_1.png: no tile 03_1.png in Slide_03" in text
    assert "04_1.png: no mask 04_1.png in GT_04" in text


def days(dataset: Dataset) -> dict[str, tuple[float, bool]]:
    return {r.patient_id: (r.meta["time"], r.meta["event"]) for r in dataset}


def slide(folder: Path, patient: str, section: str = "01Z-00-DX1") -> None:
    """An empty file under the name of a slide, in a folder of its own."""
    place = folder / f"{patient}-{section}"
    place.mkdir(parents=True)
    (place / f"{patient}-{section}.965345AB-3591-48B4-8663-cc9361beae99.svs").touch()


def test_tcga_lgg_by_clinical_table(copies: Path) -> None:
    dataset = open_dataset("TCGA-LGG", copies / "TCGA-LGG")
    rows = list(csv.DictReader((copies / "TCGA-LGG" / "clinical.tsv").open(), delimiter="\t"))
    for patient, (time, event) in days(dataset).items():
        own = [row for row in rows if row["case_submitter_id"] == patient]
        dead = own[0]["vital_status"] == "Dead"
        key = "days_to_death" if dead else "days_to_last_follow_up"
        assert (time, event) == (max(float(row[key]) for row in own), dead)
    assert len(days(dataset)) == 6
    assert {r.meta["slide"] for r in dataset} == {"DX1", "DX2", "DXA"}
    assert {r.split for r in dataset} == {r.label for r in dataset} == {None}
    text = "\n".join(dataset.notes)
    assert "1 frozen sections excluded" in text
    assert "3 slides excluded: no survival of their patient" in text
    assert "2 patients excluded: no status or no positive time" in text
    every = open_dataset("TCGA-LGG", copies / "TCGA-LGG", slides="all")
    assert {r.meta["slide"] for r in every} == {"DX1", "DX2", "DXA", "BS1"}
    assert set(days(every)) == set(days(dataset))


def test_tcga_gbm_by_csv_of_days_and_of_censoring(copies: Path) -> None:
    dataset = open_dataset("TCGA-GBM", copies / "TCGA-GBM")
    rows = csv.DictReader((copies / "TCGA-GBM" / "all_dataset.csv").open())
    stored = {row["TCGA ID"]: (float(row["Survival months"]), row["censored"] == "0") for row in rows}
    assert days(dataset) == {name: stored[name] for name in days(dataset)}
    assert set(stored) - set(days(dataset)) == {"TCGA-CS-4938", "TCGA-02-9998"}
    assert "1 patients excluded: no status or no positive time" in "\n".join(dataset.notes)


def test_tcga_slides_open_as_aperio(copies: Path) -> None:
    openslide = pytest.importorskip("openslide")
    dataset = open_dataset("TCGA-LGG", copies / "TCGA-LGG")
    scales = set()
    for record in dataset:
        found = openslide.OpenSlide(copies / "TCGA-LGG" / record.image_path)
        assert found.properties["openslide.vendor"] == "aperio"
        assert (found.level_count, found.dimensions) == (2, (128, 128))
        scales.add(found.properties.get("openslide.mpp-x"))
        corner, middle = (np.asarray(found.read_region(at, 0, (8, 8)))[:, :, :3] for at in ((0, 0), (60, 60)))
        assert corner.mean() > 235 > middle.mean()
    assert {scale and float(scale) for scale in scales} == {0.502, 0.251, None}


def test_tcga_age_and_grade(copies: Path) -> None:
    for name, table, columns in (
        ("TCGA-LGG", "clinical.tsv", ("case_submitter_id", "age_at_index", "tumor_grade")),
        ("TCGA-GBM", "grade_data.csv", ("TCGA ID", "age", "Grade")),
    ):
        text = (copies / name / table).read_text()
        rows = list(csv.DictReader(text.splitlines(), delimiter="," if "csv" in table else "\t"))
        stored = {row[columns[0]]: (row[columns[1]], row[columns[2]][:2].strip("G.")) for row in rows}
        for record in open_dataset(name, copies / name):
            age, grade = stored[record.patient_id]
            assert (record.meta["age"], record.meta["grade"]) == (float(age), int(grade))


def test_tcga_age_in_days_and_grades_that_are_none(tmp_path: Path) -> None:
    for patient in ("TCGA-CS-0001", "TCGA-CS-0002"):
        slide(tmp_path, patient)
    table = tmp_path / "clinical.tsv"
    columns = ("case_submitter_id", "vital_status", "days_to_death", "days_to_last_follow_up")
    rows = [
        (*columns, "diagnoses.age_at_diagnosis", "diagnoses.tumor_grade"),
        ("TCGA-CS-0001", "Dead", "9", "'--", "14610", "GX"),
        ("TCGA-CS-0002", "Alive", "'--", "9", "'--", "G3"),
    ]
    table.write_text("\n".join("\t".join(row) for row in rows))
    found = {r.patient_id: (r.meta["age"], r.meta["grade"]) for r in open_dataset("TCGA-LGG", tmp_path)}
    assert found == {"TCGA-CS-0001": (40.0, None), "TCGA-CS-0002": (None, 3)}
    table.write_text(table.read_text().replace("14610", "forty"))
    assert "clinical.tsv, line 2: 'forty' is no number" in problems("TCGA-LGG", tmp_path)


@pytest.mark.parametrize("prefix", ["", "demographic."])
def test_tcga_legacy_and_prefixed_tables(tmp_path: Path, prefix: str) -> None:
    for n in range(1, 6):
        slide(tmp_path / "slides", f"TCGA-02-000{n}")
    table = [
        [
            "bcr_patient_uuid",
            "bcr_patient_barcode",
            f"{prefix}vital_status",
            "last_contact_days_to",
            "death_days_to",
        ],
        ["bcr_patient_uuid", "bcr_patient_barcode", "vital_status", "days_to_last_followup", "days_to_death"],
        ["CDE_ID:", "CDE_ID:2003301", "CDE_ID:5", "CDE_ID:3008273", "CDE_ID:3165475"],
        ["a", "TCGA-02-0001", "Dead", "[Not Available]", "358"],
        ["b", "TCGA-02-0002", "Alive", "1155", "[Not Applicable]"],
        ["c", "TCGA-02-0003", "Dead", "10", "[Not Available]"],
        ["d", "TCGA-02-0004", "[Discrepancy]", "10", "20"],
        ["e", "TCGA-02-0005", "Alive", "0", "[Not Applicable]"],
    ]
    path = tmp_path / "nationwidechildrens.org_clinical_patient_gbm.txt"
    path.write_text("\n".join("\t".join(row) for row in table) + "\n")
    dataset = open_dataset("TCGA-GBM", tmp_path)
    assert days(dataset) == {"TCGA-02-0001": (358.0, True), "TCGA-02-0002": (1155.0, False)}
    assert dataset.excluded == {"train": 3}


@pytest.mark.parametrize(("name", "censored"), [("TCGA-GBM", 1), ("TCGA-LGG", 0)])
def test_tcga_notices_inverted_censoring(tmp_path: Path, name: str, censored: int) -> None:
    sites = {"TCGA-GBM": "06", "TCGA-LGG": "DU"}
    patients = [f"TCGA-{sites[name]}-{n:04d}" for n in range(20)]
    for patient in patients:
        slide(tmp_path / "slides", patient)
    table = tmp_path / "all_dataset.csv"
    for value, complaint in ((censored, True), (1 - censored, False)):
        lines = [f"{patient},{n},{value},{n + 1}" for n, patient in enumerate(patients)]
        table.write_text("\n".join(["TCGA ID,indexes,censored,Survival months", *lines]))
        if complaint:
            assert "is censored inverted?" in problems(name, tmp_path)
        else:
            assert len(open_dataset(name, tmp_path)) == 20


@spoil("TCGA-LGG")
def test_slide_that_was_downloaded_twice_is_refused(copy: Path) -> None:
    first = min(copy.rglob("*DX1*.svs"))
    other = first.parent / "again" / f"{first.name.partition('.')[0]}.{'0' * 8}-1111-2222-3333-{'4' * 12}.svs"
    other.parent.mkdir()
    shutil.copy(first, other)
    text = problems("TCGA-LGG", copy)
    assert f"{first.name.partition('.')[0]} is there 2 times: " in text
    assert str(other) in text
    assert text.endswith("keep one")


@spoil("TCGA-LGG")
def test_tcga_complaints(copy: Path) -> None:
    (copy / "slides" / "tumour.svs").touch()
    table = copy / "clinical.tsv"
    lines = table.read_text().splitlines()
    lines[1] = "patient 1\tTCGA-LGG\tDead\t5\t'--\t40\tG2"
    lines[2] = "TCGA-CS-0001\tTCGA-LGG\tDead\tfive\t'--\t40\tG2"
    lines[3] = "TCGA-CS-0001\tTCGA-LGG\tasleep\t5\t'--\t40\tG2"
    table.write_text("\n".join(lines))
    text = problems("TCGA-LGG", copy)
    assert "tumour.svs: no TCGA slide; accepted: TCGA-02-0001-01Z-00-DX1.<uuid>.svs" in text
    assert "clinical.tsv, line 2: 'patient 1' is no patient" in text
    assert "line 3: 'five' is no number of days" in text
    assert "line 4: vital status 'asleep'; accepted: Alive or Dead" in text
    table.write_text("case_submitter_id\tvital_status\n")
    text = problems("TCGA-LGG", copy)
    assert "or days_to_death or death_days_to" in text
    table.unlink()
    assert "expected all_dataset.csv, clinical.tsv or nationwide" in problems("TCGA-LGG", copy)
    with pytest.raises(InputError, match="`slides` is 'frozen'; accepted: dx, all"):
        open_dataset("TCGA-LGG", copy, slides="frozen")


def test_check_of_slides_opens_none(copies: Path) -> None:
    found = check(open_dataset("TCGA-LGG", copies / "TCGA-LGG"), io.StringIO())
    assert any("slides were not opened" in note for note in found.notes)
    assert not found.problems
    assert any("published: 844" in note for note in found.notes)
