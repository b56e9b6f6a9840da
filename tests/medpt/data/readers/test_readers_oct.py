"""OCT2017 on synthetic copies: versions, patients of both parts, names."""

import io
import shutil
from collections import Counter
from pathlib import Path

import pytest
from reader_copies import problems, spoil

from medpt.data import open_dataset
from medpt.data.check import check
from medpt.errors import InputError


def test_patients_of_the_test_set_leave_the_training_set(copies: Path) -> None:
    dataset = open_dataset("OCT2017", copies / "OCT2017")
    train = {r.patient_id for r in dataset if r.split == "train"}
    test = {r.patient_id for r in dataset if r.split == "test"}
    assert not train & test
    assert {"100", "101", "102", "103"} <= test
    assert dataset.excluded == {"train": 8}
    assert "8 training images excluded: their patients are in the test set" in dataset.notes[1]
    kept = open_dataset("OCT2017", copies / "OCT2017", shared="keep")
    assert len(kept) == len(dataset) + 8
    assert {"100", "101"} <= {r.patient_id for r in kept if r.split == "train"}
    with pytest.raises(InputError, match="`shared` is 'both'; accepted: drop, keep"):
        open_dataset("OCT2017", copies / "OCT2017", shared="both")


def test_patient_of_two_classes_is_one(copies: Path) -> None:
    dataset = open_dataset("OCT2017", copies / "OCT2017")
    labels: dict[str, set[int | None]] = {}
    for record in dataset:
        labels.setdefault(record.patient_id, set()).add(record.label)
        assert Path(record.image_path).name.startswith(dataset.info.classes[record.label or 0])
    assert labels["104"] == {0, 1}
    assert Counter(map(len, labels.values()))[2] == 1
    assert all(dataset.image(r).ndim == 2 for r in dataset.records[:4])


@spoil("OCT2017")
def test_versions_are_recognized_by_their_trees(copy: Path) -> None:
    two = open_dataset("OCT2017", copy)
    assert two.info.counts == {"train": 83484 + 32, "test": 968}
    assert "read as version 2" in two.notes[0]
    assert Counter(r.split for r in two if "/val/" not in f"/{r.image_path}") == {"train": 16, "test": 8}
    assert {r.split for r in two if r.image_path.startswith("val/")} == {"train"}
    shutil.rmtree(copy / "OCT2017" / "val")
    assert open_dataset("OCT2017", copy).info.counts == {"train": 83484, "test": 968}
    (copy / "CellData").mkdir()
    (copy / "OCT2017").rename(copy / "CellData" / "OCT")
    three = open_dataset("OCT2017", copy)
    assert three.info.counts == {"train": 108309, "test": 1000}
    assert "read as version 3" in three.notes[0]
    assert check(three, io.StringIO()).notes[-2:] == [
        f"{three.root}: 24 images of the training set; published: 108,309",
        f"{three.root}: 8 images of the test set; published: 1,000",
    ]


@spoil("OCT2017")
def test_complaints(copy: Path) -> None:
    top = copy / "OCT2017"
    (top / "train" / "CNV" / "DME-7-1.jpeg").write_bytes(b"x")
    (top / "train" / "CNV" / "CNV-7.jpeg").write_bytes(b"x")
    (top / "test" / "AMD").mkdir()
    shutil.rmtree(top / "test" / "DME")
    text = problems("OCT2017", copy)
    assert "DME-7-1.jpeg: its name does not contain class and patient; accepted: CNV-1016042-1.jpeg" in text
    assert "CNV-7.jpeg: its name" in text
    assert "AMD: not a class; accepted: CNV, DME, DRUSEN, NORMAL" in text
    assert "test: no folder DME" in text
