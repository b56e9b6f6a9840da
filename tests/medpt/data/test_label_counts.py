"""Counts of classes: what no training can make up for is a problem, what can be intended a note."""

import io
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from user_data import CLASSIFIED, MASKED, write_card, write_picture

from medpt.data import open_with_problems
from medpt.data.card import DatasetCard
from medpt.data.check import check
from medpt.data.dataset import Record
from medpt.data.label_counts import judge, unfit_patients


def card(task: str, reader: str = "image_folder") -> DatasetCard:
    return DatasetCard("Clinic", "fundus", task, ("a", "b", "c"), reader=reader)  # type: ignore[arg-type]


@pytest.mark.parametrize("task", ["classification", "segmentation"])
@pytest.mark.parametrize(
    ("counts", "problem"),
    [
        ({"train": {"a": 5}, "test": {"a": 1, "b": 1, "c": 1}}, "of one class alone, `a`"),
        ({"dataset": {"b": 5}}, "of one class alone, `b`"),
        ({"dataset": {"a": 5, "b": 5}}, "class `c` has no"),
        ({"train": {"a": 5, "b": 1}, "test": {"c": 1}}, "class `c` has no .* in the training set"),
    ],
)
def test_classes_that_cannot_be_learnt_are_problems(
    task: str, counts: Mapping[str, Mapping[str, int]], problem: str
) -> None:
    found = judge(card(task), counts)
    assert len(found.problems) == 1
    assert re.search(problem, found.problems[0])


def test_class_that_is_not_tested_is_a_note() -> None:
    found = judge(card("classification"), {"train": {"a": 1, "b": 1, "c": 1}, "test": {"a": 1, "b": 1}})
    assert found.problems == []
    assert found.notes == ["Clinic: class `c` has no image in the test set"]


def test_part_of_a_built_in_copy_may_lack_classes_but_not_all_of_them() -> None:
    found = judge(card("classification", "isic2019"), {"dataset": {"a": 5, "b": 5}})
    assert found.problems == []
    assert "class `c` has no image" in found.notes[0]
    assert judge(card("classification", "isic2019"), {"dataset": {"a": 5}}).problems


def test_findings_that_no_image_has_are_problems() -> None:
    found = judge(card("multilabel"), {"dataset": {"a": 5}})
    assert [problem.partition(";")[0] for problem in found.problems] == [
        "Clinic: class `b` has no image",
        "Clinic: class `c` has no image",
    ]
    assert len(judge(card("multilabel"), {}).problems) == 3
    assert judge(card("multilabel"), {"dataset": {"a": 1, "b": 1, "c": 1}}).problems == []


@pytest.mark.parametrize(
    ("patients", "labels", "problem"),
    [
        ("aabb", (0, 0, 1, 1), None),
        ("aabb", (0, 1, 1, 1), "patients with images of different labels: 1, such as a; correct the labels"),
        ("abcd", (0, 1, 0, 1), "no patient has two images; name the column of patients"),
    ],
)
def test_evaluation_by_patient_needs_patients_of_one_label(
    patients: str, labels: tuple[int, ...], problem: str | None
) -> None:
    records = [
        Record("Clinic", f"{row}.png", patient, patient, label=label)
        for row, (patient, label) in enumerate(zip(patients, labels, strict=True))
    ]
    asked = replace(card("classification"), evaluate_by="patient")
    found = list(unfit_patients(asked, records))
    assert (problem in found[0]) if problem else not found
    assert not list(unfit_patients(card("classification"), records))


def masked(folder: Path, levels: list[int], **facts: str) -> list[str]:
    """What `check` says of masks of 0 and one of `levels` each."""
    for number, level in enumerate(levels):
        write_picture(folder / "images" / f"{number}.png")
        write_picture(folder / "masks" / f"{number}.png", np.eye(6, 8, dtype=np.uint8) * np.uint8(level))
    findings = check(open_with_problems("Clinic", write_card(folder, MASKED | facts)), io.StringIO())
    return findings.problems + findings.notes


@pytest.mark.parametrize("levels", [[1, 1, 255], [1, 255, 255], [1, 0, 255]])
def test_masks_of_two_forms_are_noted(levels: list[int], tmp_path: Path) -> None:
    (text,) = [text for text in masked(tmp_path, levels) if "give all masks one form" in text]
    assert (
        f"{levels.count(255)} of 3 masks hold 0 and 255 alone, such as masks/{levels.index(255)}.png" in text
    )


def test_third_class_drawn_as_255_is_named(tmp_path: Path) -> None:
    texts = masked(tmp_path, [1, 1, 255], classes="[background, disc, cup]")
    assert any("255 stands for unlabelled pixels; write `values` of each class" in text for text in texts)


def test_masks_without_any_class_are_refused(tmp_path: Path) -> None:
    for number in range(3):
        write_picture(tmp_path / "images" / f"{number}.png")
        write_picture(tmp_path / "masks" / f"{number}.png", np.full((6, 8), 255, np.uint8))
    found = check(open_with_problems("Clinic", write_card(tmp_path, MASKED)), io.StringIO())
    assert "Clinic: no pixel of the masks has a class" in found.problems


@pytest.mark.parametrize("level", [0, 7, 255])
def test_images_of_one_value_are_nothing_to_learn_from(level: int, tmp_path: Path) -> None:
    for number in range(4):
        write_picture(tmp_path / "images" / f"{number}.png", np.full((6, 8), level, np.uint8))
    table = "image,label\n0,healthy\n1,glaucoma\n2,healthy\n3,glaucoma\n"
    found = check(open_with_problems("Clinic", write_card(tmp_path, CLASSIFIED, table)), io.StringIO())
    assert "Clinic: each image is of a single value: there is nothing to learn from them" in found.problems
