"""Tables of users' datasets in the forms that programs write, and images of several findings."""

from collections.abc import Callable
from math import isnan
from pathlib import Path

import openpyxl
import pytest
from user_data import CLASSIFIED, MASKED, complaints, write_card, write_picture

from medpt.data import open_dataset
from medpt.errors import InputError

ROWS = [
    ("image", "label", "patient"),
    ("1", "healthy", "017"),
    ("2", "glaucoma", "18"),
    ("3", "healthy", "19"),
]
FINDINGS = CLASSIFIED | {"task": "multilabel", "classes": "[edema, effusion]"}


def semicolons(path: Path) -> None:
    path.write_text("".join(f"{';'.join(row)}\n" for row in ROWS))


def tabs(path: Path) -> None:
    path.write_text("".join("\t".join(row) + "\n" for row in ROWS))


def workbook(path: Path) -> None:
    book = openpyxl.Workbook()
    for image, label, patient in ROWS:
        book.active.append([int(image) if image.isdigit() else image, label, patient])
    book.save(path)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("labels.csv", semicolons),
        ("labels.tsv", tabs),
        ("labels.txt", tabs),
        ("labels.xlsx", workbook),
    ],
)
def test_table_is_read_as_programs_write_it(name: str, write: Callable[[Path], None], tmp_path: Path) -> None:
    tmp_path.joinpath("images").mkdir()
    for number in (1, 2, 3):
        write_picture(tmp_path / "images" / f"{number}.png")
    write(tmp_path / name)
    top = write_card(tmp_path, CLASSIFIED | {"labels": name})
    found = [(record.id, record.label, record.patient_id) for record in open_dataset("Clinic", top)]
    assert found == [("images/1.png", 0, "017"), ("images/2.png", 1, "18"), ("images/3.png", 0, "19")]


def findings(top: Path, table: str) -> list[object]:
    write_card(top, FINDINGS, table)
    for number in range(1, len(table.splitlines())):
        write_picture(top / "images" / f"{number}.png")
    return [record.label for record in open_dataset("Clinic", top)]


def test_several_columns_of_0_and_1_are_several_findings(tmp_path: Path) -> None:
    found = findings(tmp_path, "image,effusion,edema\n1,0,1\n2,1.0,1\n3,0,0\n")
    assert found == [(1, 0), (1, 1), (0, 0)]


def test_empty_and_uncertain_cells_are_unknown(tmp_path: Path) -> None:
    first, second, _ = findings(tmp_path, "image,edema,effusion\n1,,1\n2,1,-1\n3,0,0\n")
    assert isinstance(first, tuple)
    assert isnan(first[0])
    assert first[1] == 1
    assert isinstance(second, tuple)
    assert second[0] == 1
    assert isnan(second[1])


def test_labels_separated_by_bars_are_several_findings(tmp_path: Path) -> None:
    found = findings(tmp_path, "image,label\n1,edema|effusion\n2,No Finding\n3,effusion\n4,edema\n")
    assert found == [(1, 1), (0, 0), (0, 1), (1, 0)]


def test_strange_findings_are_refused_with_their_lines(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        findings(tmp_path, "image,edema,effusion\n1,2,1\n2,1,1\n3,0,yes\n")
    assert "line 2: edema is '2'; accepted: 1, 0, or -1 or nothing for unknown" in error.value.problems[0]
    assert "line 4: effusion is 'yes'" in error.value.problems[1]
    with pytest.raises(InputError, match=r"line 2: label 'oedema'; did you mean edema\?"):
        findings(tmp_path / "other", "image,label\n1,oedema|effusion\n2,edema\n")


@pytest.mark.parametrize("ending", ["_mask", "-seg", "_segmentation", "_gt"])
def test_masks_may_have_a_usual_ending(ending: str, tmp_path: Path) -> None:
    import numpy as np

    top = write_card(tmp_path, MASKED)
    for number in (1, 2):
        write_picture(top / "images" / f"{number}.png")
        write_picture(top / "masks" / f"{number}{ending}.png", np.eye(6, 8, dtype=np.uint8))
    records = list(open_dataset("Clinic", top))
    assert [record.mask_path for record in records] == [f"masks/1{ending}.png", f"masks/2{ending}.png"]


@pytest.mark.parametrize("task", ["classification", "multilabel"])
@pytest.mark.parametrize(("named", "labelled"), [("fr\u00fch", "fru\u0308h"), ("fru\u0308h", "fr\u00fch")])
def test_label_is_its_class_in_either_form_of_its_letters(
    task: str, named: str, labelled: str, tmp_path: Path
) -> None:
    top = write_card(
        tmp_path, CLASSIFIED | {"task": task, "classes": f"[{named}, x]"}, f"image,label\n1,{labelled}\n2,x\n"
    )
    for number in (1, 2):
        write_picture(top / "images" / f"{number}.png")
    first = open_dataset("Clinic", top).records[0]
    assert first.label == (0 if task == "classification" else (1, 0))


def test_folder_is_its_class_in_either_form_of_its_letters(tmp_path: Path) -> None:
    facts = {key: value for key, value in CLASSIFIED.items() if key != "labels"}
    top = write_card(tmp_path, facts | {"classes": "[fr\u00fch, x]"})
    for folder in ("fru\u0308h", "x"):
        write_picture(top / "images" / folder / "1.png")
    assert {record.label for record in open_dataset("Clinic", top)} == {0, 1}


def test_classes_that_look_equal_and_damaged_images_that_are_not_there_are_refused(tmp_path: Path) -> None:
    facts = {"classes": '["fr\\u00fch", "fru\\u0308h"]', "damaged": "[images/absent.jpg]"}
    found = complaints(write_card(tmp_path, CLASSIFIED | facts, "image,label\n"))
    assert any("is given twice; keep one" in problem for problem in found)
    assert any("`damaged` names 'images/absent.jpg': no such file" in problem for problem in found)
