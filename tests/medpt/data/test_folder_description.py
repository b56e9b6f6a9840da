"""Folders as people have them: what is inferred, what is asked, and cards that open without a change."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from user_data import dicom_with_table, write_picture

from medpt.data import open_with_problems
from medpt.data.__main__ import main
from medpt.data.card_draft import dataset_name, write_draft
from medpt.data.card_reader import read_card
from medpt.data.folder_description import FolderDescription, describe_folder
from medpt.errors import InputError


def opened(home: Path) -> FolderDescription:
    """Describe a folder, write its card, and open it without a problem."""
    described = describe_folder(home)
    card = read_card(write_draft(described))
    dataset = open_with_problems(card.name, home)
    assert dataset.problems == ()
    assert len(dataset) == described.images_found
    return described


def pictures(folder: Path, names: list[str]) -> None:
    for name in names:
        write_picture(folder / name)


def test_folder_for_each_class(tmp_path: Path) -> None:
    pictures(tmp_path, [f"{name}/scan{n}.png" for name in ("ill", "well") for n in range(3)])
    described = opened(tmp_path)
    assert (described.layout, described.task, described.images) == ("class folders", "classification", ".")
    assert described.class_images == {"ill": 3, "well": 3}
    assert not described.has_split
    assert any(text.startswith("patient: no table names patients") for text in described.unsure)


def test_class_folders_below_train_and_test(tmp_path: Path) -> None:
    parts = ("train", "val", "test")
    pictures(tmp_path / "data", [f"{part}/{name}/{n}.jpg" for part in parts for name in "ab" for n in (1, 2)])
    described = opened(tmp_path)
    assert (described.images, described.classes, described.has_split) == ("data", ("a", "b"), True)


def test_table_with_other_names_of_columns(tmp_path: Path) -> None:
    pictures(tmp_path / "pics", [f"{n}.png" for n in range(8)])
    rows = [f"{n}.png,{n // 2},{('healthy', 'ill')[n % 3 == 0]},{50 + n}" for n in range(8)]
    (tmp_path / "list.csv").write_text("\n".join(["filename,patient_id,diagnosis,age", *rows]))
    described = opened(tmp_path)
    assert described.columns == {"image": "filename", "label": "diagnosis", "patient": "patient_id"}
    assert described.class_images == {"healthy": 5, "ill": 3}
    assert described.patients == 4
    assert any("patients in `patient_id`" in text for text in described.unsure)


def test_photographs_of_a_lesion_are_kept_together_where_no_patient_is_named(tmp_path: Path) -> None:
    pictures(tmp_path / "pics", [f"{n}.png" for n in range(8)])
    rows = [f"{n}.png,{n // 2},{('healthy', 'ill')[n % 3 == 0]}" for n in range(8)]
    (tmp_path / "list.csv").write_text("\n".join(["filename,lesion_id,diagnosis", *rows]))
    described = opened(tmp_path)
    assert described.columns["patient"] == "lesion_id"
    assert described.patients == 4
    assert any("patients in `lesion_id`" in text for text in described.unsure)


def test_table_with_columns_of_findings(tmp_path: Path) -> None:
    pictures(tmp_path / "images", [f"{n}.png" for n in range(4)])
    (tmp_path / "t.csv").write_text("image,edema,effusion\n0,1,0\n1,0,1\n2,1,1\n3,0,0\n")
    described = opened(tmp_path)
    assert (described.task, described.classes) == ("multilabel", ("edema", "effusion"))


def test_labels_with_bars_are_findings(tmp_path: Path) -> None:
    pictures(tmp_path / "images", [f"{n}.png" for n in range(4)])
    text = "Image Index,Finding Labels\n0.png,Edema|Mass\n1.png,No Finding\n2.png,Mass\n3.png,Edema\n"
    (tmp_path / "t.csv").write_text(text)
    described = opened(tmp_path)
    assert (described.task, described.classes) == ("multilabel", ("Edema", "Mass"))


def test_split_column_of_other_words_is_asked_about(tmp_path: Path) -> None:
    pictures(tmp_path / "images", [f"{n}.png" for n in range(4)])
    rows = "0,a,p1,0\n1,b,p2,1\n2,a,p3,2\n3,b,p4,0\n"
    (tmp_path / "t.csv").write_text(f"image,label,patient,fold\n{rows}")
    described = opened(tmp_path)
    assert not described.has_split
    assert "split: `fold` has 0, 1, 2; it is not used (accepted: train and test)" in described.unsure


@pytest.mark.parametrize(
    ("levels", "classes", "values"),
    [
        ((0, 255), ("background", "foreground"), {"background": 0, "foreground": 255}),
        ((0, 1, 2), ("background", "class_1", "class_2"), {}),
        (
            (0, 128, 255),
            ("background", "foreground"),
            {"background": 0, "foreground": 255, "ignore": 128},
        ),
        (
            (0, 85, 170),
            ("background", "class_1", "class_2"),
            {"background": 0, "class_1": 85, "class_2": 170},
        ),
    ],
    ids=str,
)
def test_masks_tell_their_values(
    levels: tuple[int, ...], classes: tuple[str, ...], values: dict[str, int], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    for number in range(5):
        write_picture(tmp_path / "images" / f"eye_{number}.jpg")
        write_picture(tmp_path / "masks" / f"eye_{number}_mask.png", rng.choice(np.uint8(levels), (6, 8)))
    described = opened(tmp_path)
    assert (described.layout, described.images, described.masks) == ("images and masks", "images", "masks")
    assert described.classes == classes
    assert described.values == values


def test_masks_in_colour_tell_their_colours(tmp_path: Path) -> None:
    colours = np.array([(0, 0, 0), (255, 0, 0), (0, 255, 0)], np.uint8)
    rng = np.random.default_rng(0)
    for number in range(3):
        write_picture(tmp_path / "data" / "img" / f"{number}.png")
        write_picture(tmp_path / "data" / "gt" / f"{number}.png", colours[rng.integers(0, 3, (6, 8))])
    described = opened(tmp_path)
    assert set(described.values.values()) == {(0, 0, 0), (255, 0, 0), (0, 255, 0)}


def test_photographs_are_no_masks(tmp_path: Path) -> None:
    pictures(tmp_path, [f"{folder}/{n}.png" for folder in ("images", "labels") for n in range(3)])
    with pytest.raises(InputError, match="masks of more than 32 values"):
        describe_folder(tmp_path)


def test_dicom_with_a_table_of_tabs(tmp_path: Path) -> None:
    described = opened(dicom_with_table(tmp_path, 4))
    assert (described.modality, described.labels, described.classes) == ("ct", "info.tsv", ("0", "1"))
    assert not any(text.startswith("modality") for text in described.unsure)


@pytest.mark.parametrize(
    ("names", "text", "message"),
    [
        ([], "", "no image; found: nothing; accepted: a folder for each class; a table"),
        (["notes.pdf"], "", "no image; found: notes.pdf; accepted"),
        (["a.png", "b.png"], "", "2 images, such as a.png, b.png, no table; accepted"),
        (["a.png", "b.png"], "name,label\nx,1\ny,2\n", "2 images, such as a.png, b.png, tables: t.csv"),
        (["x/y/z/a.png", "b.png"], "", "2 images"),
    ],
)
def test_folder_that_is_not_understood_gives_one_message(
    names: list[str], text: str, message: str, tmp_path: Path
) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x") if name.endswith(".pdf") else write_picture(tmp_path / name)
    if text:
        (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=message) as error:
        describe_folder(tmp_path)
    assert len(error.value.problems) == 1


def test_init_writes_a_commented_card_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "2024 eyes (left)"
    pictures(home, [f"{name}/{n}.png" for name in ("no", "yes") for n in range(2)])
    assert main(["init", str(home)]) == 0
    text = capsys.readouterr().out
    assert "classes: ['no', 'yes']" in text
    assert "# CONFIRM:" in text
    assert f"python -m medpt.data check eyes-left {home}" in text
    assert main(["check", "eyes-left", str(home)]) == 0
    capsys.readouterr()
    assert main(["init", str(home)]) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("folder", "name"),
    [("DRIVE", "DRIVE-own"), ("2021", "Dataset"), ("m3 cls", "m3-cls-own"), ("ä", "Dataset")],
)
def test_names_of_datasets_are_free_and_accepted(folder: str, name: str, tmp_path: Path) -> None:
    assert dataset_name(tmp_path / folder) == name


def volume(path: Path, voxels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.Nifti1Image(voxels, np.eye(4)).to_filename(path)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(("lowest", "modality"), [(-1000, "ct"), (0, "mri")])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_volumes_with_masks(suffix: str, lowest: int, modality: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(3):
        volume(
            tmp_path / "imagesTr" / f"liver_{number}{suffix}",
            rng.integers(lowest, 900, (6, 5, 4)).astype(np.int16),
        )
        volume(
            tmp_path / "labelsTr" / f"liver_{number}{suffix}", rng.integers(0, 3, (6, 5, 4)).astype(np.uint8)
        )
    described = describe_folder(tmp_path)
    assert (described.layout, described.modality) == ("images and masks", modality)
    assert (described.images, described.masks, described.images_found) == ("imagesTr", "labelsTr", 3)
    assert (described.classes, described.values) == (("background", "class_1", "class_2"), {})
    card = read_card(write_draft(described))
    dataset = open_with_problems(card.name, tmp_path)
    assert dataset.problems == ()
    assert len({record.patient_id for record in dataset}) == 3
    assert {dataset.mask(record).shape for record in dataset} == {(5, 6)}


def test_volumes_in_class_folders_and_in_a_table(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = []
    for number in range(4):
        name = f"{('ill', 'well')[number % 2]}/scan{number}.nii.gz"
        rows.append(f"{name},{number % 2},p{number}")
        for home in ("folders", "table/data"):
            volume(tmp_path / home / name, rng.integers(-1000, 900, (6, 5, 4)).astype(np.int16))
    (tmp_path / "table" / "list.csv").write_text("\n".join(["image,grade,patient", *rows]))
    for home, layout in (("folders", "class folders"), ("table", "table")):
        described = describe_folder(tmp_path / home)
        assert (described.layout, described.modality) == (layout, "ct")
        dataset = open_with_problems(read_card(write_draft(described)).name, tmp_path / home)
        assert dataset.problems == ()
        assert len(dataset) == 4 * 4


def test_volumes_of_fractions_are_no_masks(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        volume(tmp_path / folder / "a.nii", np.random.default_rng(0).random((6, 5, 4)))
    with pytest.raises(InputError, match=r"a\.nii: values from .*; accepted: classes 0 to 255"):
        describe_folder(tmp_path)
