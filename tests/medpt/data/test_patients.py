"""Patients in tables of users: how they are spelled, what their column is called, what stands for none."""

from pathlib import Path

import pytest
from user_data import CLASSIFIED, complaints, write_card, write_picture

from medpt.data import open_with_problems
from medpt.data.readers.folder_table import is_missing, is_person, patient_key

ZERO_WIDTH, SOFT_HYPHEN, NO_BREAK, EN_DASH, CYRILLIC = "\u200b", "\u00ad", "\u00a0", "\u2013", "\u0420"
ALIKE = [
    ("001", "1"),
    ("P001", "P1"),
    ("P-17", "P_17"),
    ("P-17", f"P{EN_DASH}17"),
    ("P 17", f"P{NO_BREAK}17"),
    ("P17", f"P{ZERO_WIDTH}17"),
    ("P17", f"P{SOFT_HYPHEN}17"),
    ("17", "17.00"),
    ("17", "1.7E+01"),
    ("17", "'17"),
    ("1234", '"1,234"'),
    ("17", "\u0661\u0667"),
    ("17", "\uff11\uff17"),
    ("P17", f"{CYRILLIC}17"),
    ("ABC", "abc"),
]
DIFFERENT = [
    ("P1", "P10"),
    ("17", "71"),
    ("P17", "Q17"),
    ("17.5", "17.05"),
    ("1.2.840.1", "1.2.840.10"),
    ("a-1", "a1"),
    ("Mueller", "M\u00fcller"),
    ("100", "1"),
    ("0", "00 1"),
    ("12345678901234567", "12345678901234568"),
    ("1e2", "100"),
    ("-5", "5"),
]


def table(folder: Path, first: str, last: str, column: str = "patient") -> Path:
    """Six images, of which the first trains and the last tests, of the patients `first` and `last`."""
    patients = [first, "a", "b", "c", "d", last]
    rows = [
        f"{n}.png,{('healthy', 'glaucoma')[n % 2]},{patient},{'test' if n > 2 else 'train'}"
        for n, patient in enumerate(patients)
    ]
    for number in range(6):
        write_picture(folder / "images" / f"{number}.png")
    return write_card(folder, CLASSIFIED, "\n".join([f"image,label,{column},split", *rows]))


@pytest.mark.parametrize(("first", "last"), ALIKE)
def test_two_spellings_of_a_patient_are_refused(first: str, last: str, tmp_path: Path) -> None:
    (problem,) = complaints(table(tmp_path, first, last))
    assert "look like one patient; spell it in one way" in problem
    assert "line 2, " in problem
    assert "line 7: " in problem


def test_names_of_images_are_no_spellings_of_a_patient(tmp_path: Path) -> None:
    """Without a column of patients each image is a patient of its own."""
    names = ["img_01", "img_1", "5-1", "5_1", "rot_10", "rot_-10"]
    for name in names:
        write_picture(tmp_path / "images" / f"{name}.png")
    rows = [f"{name}.png,{('healthy', 'glaucoma')[n % 2]}" for n, name in enumerate(names)]
    write_card(tmp_path, CLASSIFIED, "\n".join(["image,label", *rows]))
    assert open_with_problems("Clinic", tmp_path).problems == ()


@pytest.mark.parametrize(("first", "last"), DIFFERENT)
def test_patients_of_other_names_are_two(first: str, last: str) -> None:
    assert patient_key(first) != patient_key(last)


@pytest.mark.parametrize(
    "column",
    [
        *("Patient", "PATIENT ID", "patient_no", "anon_patient_id", "subj", "Patienten-Nr.", "donor_id"),
        *("Subject Code", "participants", "StudyInstanceUID", "MRN", "patientName", "animal_id", "Person"),
    ],
)
def test_columns_that_may_name_patients_are_asked_about(column: str, tmp_path: Path) -> None:
    (problem,) = complaints(table(tmp_path, "p", "q", column))
    assert f"is the column `{column}` the patient? Write `columns: {{patient: {column}}}`" in problem


@pytest.mark.parametrize("column", ["Patient Age", "patient_sex", "inpatient", "subjective", "personality"])
def test_columns_about_patients_are_not_asked_about(column: str) -> None:
    assert not is_person(column)


@pytest.mark.parametrize("column", ["ID", "code", "Nr."])
def test_columns_that_number_something_are_mentioned(column: str, tmp_path: Path) -> None:
    notes = open_with_problems("Clinic", table(tmp_path, "p", "q", column)).notes
    assert any(f"`{column}` is not read; if it names patients" in note for note in notes)


@pytest.mark.parametrize("column", ["subset", "data_split", "is_test", "train_or_test", "Split", "Fold"])
def test_columns_that_may_be_the_split_are_mentioned(column: str, tmp_path: Path) -> None:
    folder = table(tmp_path, "p", "q")
    text = (folder / "labels.csv").read_text().replace("patient,split", f"patient,{column}")
    (folder / "labels.csv").write_text(text)
    notes = open_with_problems("Clinic", folder).notes
    assert any(f"the column `{column}` is not read; if it is the split" in note for note in notes)


@pytest.mark.parametrize("other", ["Label", "LABEL", "label "])
def test_columns_that_differ_in_case_alone_are_refused(other: str, tmp_path: Path) -> None:
    folder = table(tmp_path, "p", "q")
    lines = (folder / "labels.csv").read_text().splitlines()
    lines = [f"{line},{other if not n else 'healthy'}" for n, line in enumerate(lines)]
    (folder / "labels.csv").write_text("\n".join(lines))
    problems = complaints(folder)
    assert any(
        "the columns `label` and" in text or "the column label is there twice" in text for text in problems
    )


@pytest.mark.parametrize("word", ["n.a.", "NaT", "#REF!", "anonymous", "not available", ".", " NULL "])
def test_words_for_a_missing_patient_are_refused(word: str, tmp_path: Path) -> None:
    assert is_missing(word)
    (problem,) = complaints(table(tmp_path, word, "q"))
    assert "line 2: no patient" in problem


@pytest.mark.parametrize("name", ["1.23457E+11", "1.23457e+14", '"1,23E+11"'])
def test_patient_whose_number_a_spreadsheet_has_cut_is_refused(name: str, tmp_path: Path) -> None:
    """Many numbers have that form, so that several patients become one."""
    (problem,) = complaints(table(tmp_path, name, "p"))
    assert "line 2: no patient" in problem
    assert "export the column as text" in problem
