"""Folders as people have them: what a comparison understands of each, and what it refuses."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from user_data import CLASSIFIED, class_folders, dicom_with_table, write_card, write_picture

from grid.compare.target import Target, understand
from medpt.errors import InputError


def shown(target: Target) -> dict[str, str]:
    return {name: text for name, text, _ in target.lines()}


def test_class_folders(tmp_path: Path) -> None:
    target = understand(class_folders(tmp_path / "skin"))
    assert (target.card.task, target.card.classes, target.side) == ("classification", ("ill", "well"), 6)
    assert (target.images, target.patients, target.train, target.test) == (16, 16, 13, 3)
    assert shown(target)["classes"].startswith("ill 8, well 8: ")
    assert shown(target)["test set"] == "a fifth of the patients, drawn anew in each split: 3 images"
    assert {"modality", "patient"} <= set(target.unsure)
    assert not (tmp_path / "skin" / "dataset.yaml").exists()


def test_table_with_other_names_of_columns(tmp_path: Path) -> None:
    rows = ["filename;diagnosis;patient_id"]
    for number in range(10):
        write_picture(tmp_path / "pictures" / f"{number}.png")
        rows.append(f"{number}.png;{('no', 'yes')[number % 2]};p{number // 2}")
    (tmp_path / "list.csv").write_text("\n".join(rows))
    target = understand(tmp_path)
    assert target.card.columns == {"image": "filename", "label": "diagnosis", "patient": "patient_id"}
    assert target.patients == 5
    assert "patient_id" in shown(target)["patients"]


def test_masks_of_0_and_255(tmp_path: Path) -> None:
    for number in range(10):
        write_picture(tmp_path / "images" / f"{number}.png")
        drawn = np.random.default_rng(number).choice(np.uint8([0, 255]), (6, 8))
        write_picture(tmp_path / "masks" / f"{number}.png", drawn)
    target = understand(tmp_path)
    assert (target.card.task, target.images, target.class_images) == ("segmentation", 10, {})
    assert target.card.values == {"background": 0, "foreground": 255}
    assert shown(target)["classes"].startswith("background, foreground: ")


def test_dicom_with_a_table_of_tabs(tmp_path: Path) -> None:
    target = understand(dicom_with_table(tmp_path, 10))
    assert (target.card.modality, target.card.classes, target.side) == ("ct", ("0", "1"), 8)


def test_volumes_with_masks(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(6):
        for folder, lowest, highest in (("images", -1000, 900), ("labels", 0, 2)):
            (tmp_path / folder).mkdir(exist_ok=True)
            voxels = rng.integers(lowest, highest, (8, 7, 4)).astype(np.int16)
            nibabel.Nifti1Image(voxels, np.eye(4)).to_filename(tmp_path / folder / f"{number}.nii.gz")  # type: ignore[no-untyped-call]
    target = understand(tmp_path)
    assert (target.card.modality, target.card.classes, target.side) == ("ct", ("background", "class_1"), 7)
    assert (target.images, target.patients) == (24, 6)


def test_folder_with_a_card_of_its_own_is_as_that_says(tmp_path: Path) -> None:
    home = write_card(
        tmp_path / "clinic",
        CLASSIFIED,
        "image,label,patient,split\n"
        + "".join(
            f"{n},{('healthy', 'glaucoma')[n % 2]},p{n},{('train', 'test')[n % 4 == 3 or n % 4 == 2]}\n"
            for n in range(8)
        ),
    )
    for number in range(8):
        write_picture(home / "images" / f"{number}.png")
    target = understand(home)
    assert (target.card.name, target.draft, target.unsure) == ("Clinic", "", ())
    assert shown(target)["test set"] == "given by the data: 4 images"


def test_folder_that_is_not_understood_says_what_was_found_and_what_is_accepted(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    with pytest.raises(
        InputError, match=r"1 images, such as a.png, no table; accepted: a folder for each class"
    ):
        understand(tmp_path)


def test_images_that_do_not_fit_the_table_are_refused_with_a_hint(tmp_path: Path) -> None:
    for number in range(8):
        write_picture(tmp_path / "pictures" / f"{number}.png")
    rows = [f"{number}.png,{('no', 'yes')[number % 2]}" for number in range(6)]
    (tmp_path / "list.csv").write_text("\n".join(["image,label", *rows]))
    with pytest.raises(InputError) as caught:
        understand(tmp_path)
    assert sum("in no row of" in problem for problem in caught.value.problems) == 2
    assert "medpt-data init" in caught.value.problems[-1]
