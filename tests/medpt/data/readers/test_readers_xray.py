"""CheXpert and MURA on synthetic copies: the traps of their tables, and every complaint."""

import csv
import pstats
from collections import Counter
from cProfile import Profile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reader_copies import problems, spoil

from medpt.data import open_dataset
from medpt.errors import InputError

SMALL_ARCHIVE = "CheXpert-v1.0-small"
PATHOLOGIES = {
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
}


def slow_rule(row: dict[str, str]) -> int | None:
    """datasets.md, section 1, word by word."""
    if row["Pneumonia"] in ("1.0", "-1.0"):
        return None
    if row["No Finding"] == "1.0":
        return 0
    return 1 if any(row[name] == "1.0" for name in PATHOLOGIES) else None


def test_chexpert_keeps_what_has_a_class_and_counts_the_rest(copies: Path) -> None:
    dataset = open_dataset("CheXpert", copies / "CheXpert")
    for part, split, count in (("train", "train", 44), ("valid", "test", 8)):
        rows = csv.DictReader((dataset.root / f"{part}.csv").open())
        expected = {row["Path"].split("/", 1)[1]: slow_rule(row) for row in rows}
        found = {r.image_path: r.label for r in dataset if r.split == split}
        assert found == {path: label for path, label in expected.items() if label is not None}
        assert len(found) + dataset.excluded.get(split, 0) == count
    assert dataset.excluded == {"train": 20}
    assert any(
        "8 images of the training set excluded: Pneumonia is excluded" in text for text in dataset.notes
    )
    views = {r.image_path: r.meta["view"] for r in dataset}
    assert {"view1_frontal", "view1_lateral", "view2_lateral"} == {path.split("/")[-1][:-4] for path in views}
    assert all(view in path for path, view in views.items())
    assert Counter(Counter(r.patient_id for r in dataset).values()).keys() == {2}


def write_table(top: Path, rows: list[dict[str, str]]) -> None:
    path = top / "train.csv"
    header = next(csv.reader(path.open()))
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, header, restval="")
        table.writeheader()
        table.writerows(rows)


@spoil("CheXpert")
def test_chexpert_rule_on_random_cells(copy: Path) -> None:
    top = copy / SMALL_ARCHIVE
    draw = np.random.default_rng(3)
    old = list(csv.DictReader((top / "train.csv").open()))
    for row in old:
        row |= {name: draw.choice(["", "", "", "0.0", "-1.0", "1.0"]) for name in PATHOLOGIES | {"Pneumonia"}}
        row["No Finding"] = draw.choice(["", "", "1.0"])
    write_table(top, old)
    expected = [label for label in map(slow_rule, old) if label is not None]
    assert [r.label for r in open_dataset("CheXpert", copy) if r.split == "train"] == expected
    assert set(expected) == {0, 1}


@spoil("CheXpert")
def test_chexpert_excludes_what_it_is_reported(copy: Path) -> None:
    everything = open_dataset("CheXpert", copy, exclude=[])
    assert everything.excluded == {"train": 12}
    assert "Pneumonia" not in " ".join(everything.notes)
    without = open_dataset("CheXpert", copy, exclude=["Pneumonia", "Edema"])
    assert without.excluded == {"train": 20 + 4, "test": 2}
    for wrong in ("Pneumonia", ["Pneumonia", "Cough"]):
        with pytest.raises(InputError, match=r"CheXpert: `?exclude`? is .*list"):
            open_dataset("CheXpert", copy, exclude=wrong)


@pytest.mark.parametrize("prefix", ["CheXpert-v1.0/", "", "some/where/CheXpert/"])
@spoil("CheXpert")
def test_chexpert_prefix_of_paths_does_not_matter(copy: Path, copies: Path, prefix: str) -> None:
    path = copy / SMALL_ARCHIVE / "train.csv"
    path.write_text(path.read_text().replace(f"{SMALL_ARCHIVE}/", prefix))
    expected = open_dataset("CheXpert", copies / "CheXpert").records
    assert open_dataset("CheXpert", copy).records == expected


@spoil("CheXpert")
def test_chexpert_complaints(copy: Path) -> None:
    top = copy / SMALL_ARCHIVE
    lines = (top / "train.csv").read_text().splitlines()
    lines[1] = lines[1].replace("view1_frontal.jpg", "view1.jpg")
    lines[2] = lines[2].replace(",1.0", ",2.0", 1)
    lines[4] = "x,y"
    (top / "train.csv").write_text("\n".join(lines) + "\n")
    (top / "train" / "patient00002" / "study1" / "view1_frontal.jpg").unlink()
    text = problems("CheXpert", copy)
    assert "train.csv, line 2: 'CheXpert-v1.0-small/train/patient00001/study1/view1.jpg'; accepted:" in text
    assert "train.csv, line 3: '2.0'; accepted: 1.0, 0.0, -1.0 or nothing" in text
    assert "train.csv, line 4: no image" in text
    assert "train.csv, line 5: 2 cells; the header has 19" in text
    (top / "train.csv").write_text("Path,No Finding\n")
    assert "line 1: no column Enlarged Cardiomediastinum, Cardiomegaly" in problems("CheXpert", copy)


@spoil("CheXpert")
def test_chexpert_without_its_small_part(copy: Path) -> None:
    (copy / SMALL_ARCHIVE / "valid.csv").unlink()
    dataset = open_dataset("CheXpert", copy)
    assert {r.split for r in dataset} == {"train"}
    assert "no valid.csv: no test set" in dataset.notes[-1]


@spoil("CheXpert")
def test_chexpert_reads_long_tables_with_few_calls_for_each_row(copy: Path) -> None:
    """The published 223,414 rows take seconds: about 90 calls of functions for each row."""
    top = copy / SMALL_ARCHIVE
    path = "train/patient{:05d}/study1/view1_frontal.jpg"
    (top / path.format(1)).rename(top / "kept.jpg")
    rows = []
    for n in range(4000):
        (top / path.format(n)).parent.mkdir(parents=True, exist_ok=True)
        (top / path.format(n)).touch()
        rows.append({"Path": f"{SMALL_ARCHIVE}/{path.format(n)}", "Edema": "1.0"})
    write_table(top, rows)
    calls = Profile()
    dataset = calls.runcall(open_dataset, "CheXpert", copy)
    assert pstats.Stats(calls).total_calls < 150 * len(dataset)


def test_mura_labels_patients_and_grey(copies: Path) -> None:
    dataset = open_dataset("MURA", copies / "MURA")
    assert Counter((r.split, r.label) for r in dataset) == {
        ("train", 1): 12,
        ("train", 0): 12,
        ("test", 1): 6,
        ("test", 0): 6,
    }
    assert dataset.records[0].image_path.endswith("study1_positive/image1.png")  # the first line is data
    assert all(("_positive/" in r.image_path) == (r.label == 1) for r in dataset)
    parts: dict[str, set[str]] = {}
    for record in dataset:
        parts.setdefault(record.patient_id, set()).add(record.meta["body_part"])
    assert {len(found) for found in parts.values()} == {1, 2}
    assert {Image.open(dataset.root / r.image_path).mode for r in dataset} == {"L", "RGB"}
    assert all(dataset.image(r).ndim == 2 for r in dataset)
    assert not {r.patient_id for r in dataset if r.split == "train"} & {
        r.patient_id for r in dataset if r.split == "test"
    }


@spoil("MURA")
def test_mura_complaints(copy: Path) -> None:
    top = copy / "MURA-v1.1"
    images = (top / "train_image_paths.csv").read_text().splitlines()
    (top / "train_image_paths.csv").write_text("\n".join(["Path", *images]) + "\n")
    (top / "MURA-v1.1").mkdir()
    (top / images[1].split("/", 1)[1]).unlink()
    studies = (top / "train_labeled_studies.csv").read_text().splitlines()
    studies[2] = studies[2].replace(",1", ",0")
    studies[3] += ",2"
    (top / "train_labeled_studies.csv").write_text("\n".join(studies) + "\n")
    (top / "valid_labeled_studies.csv").unlink()
    text = problems("MURA", copy)
    assert "train_image_paths.csv, line 1: 'Path'; accepted: such as" in text
    assert "train_image_paths.csv, line 3: no image" in text
    assert "train_labeled_studies.csv, line 3: label 0 of a study that is called positive" in text
    assert "train_labeled_studies.csv, line 4:" in text
    assert "train_image_paths.csv, line 6: train/XR_FINGER" in text
    assert "has no line in train_labeled_studies.csv" in text
    assert "valid_labeled_studies.csv: no such file" in text


@spoil("MURA")
def test_mura_without_validation_set_and_with_other_prefix(copy: Path) -> None:
    top = copy / "MURA-v1.1"
    for path in top.glob("valid_*.csv"):
        path.unlink()
    for path in top.glob("train_*.csv"):
        path.write_text(path.read_text().replace("MURA-v1.1/", ""))
    dataset = open_dataset("MURA", copy)
    assert len(dataset) == 24
    assert "no valid set" in dataset.notes[0]
    assert np.ptp(dataset.image(dataset.records[0])) > 100


def test_chexpert_14_has_every_image_with_all_findings(copies: Path) -> None:
    """Compare with the cells of the tables: 1.0 is present, -1.0 unknown, anything else absent."""
    dataset = open_dataset("CheXpert-14", copies / "CheXpert")
    values = {"1.0": 1.0, "-1.0": float("nan"), "0.0": 0.0, "": 0.0}
    expected = {}
    for part in ("train", "valid"):
        with (copies / "CheXpert" / SMALL_ARCHIVE / f"{part}.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        names = dataset.info.classes
        expected |= {row["Path"].split("/", 1)[1]: [values[row[name]] for name in names] for row in rows}
    found = {record.image_path.removeprefix(f"{SMALL_ARCHIVE}/"): record.label for record in dataset}
    assert found.keys() == expected.keys()
    for name, label in found.items():
        np.testing.assert_array_equal(label, expected[name])
    assert np.isnan([record.label for record in dataset]).any()
    assert dataset.image(dataset.records[0]).ndim == 2


@spoil("CheXpert")
def test_chexpert_14_reports_strange_cells_and_paths(copy: Path) -> None:
    table = copy / SMALL_ARCHIVE / "train.csv"
    lines = table.read_text().splitlines()
    lines[1] = lines[1].removesuffix(",") + ",maybe"
    lines[2] = "elsewhere.jpg," + lines[2].split(",", 1)[1]
    table.write_text("\n".join(lines) + "\n")
    text = problems("CheXpert-14", copy)
    assert "line 2: 'maybe'; accepted: 1.0, 0.0, -1.0 or nothing" in text
    assert "line 3: 'elsewhere.jpg'; accepted: train/patient00001" in text
