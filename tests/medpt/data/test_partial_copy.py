"""A partial copy of a built-in dataset is named, refused by default, and no synthetic data."""

import shutil
from pathlib import Path

import pytest

from medpt import phantom
from medpt.data import open_dataset
from medpt.data.__main__ import main
from medpt.data.partial_copy import SYNTHETIC, PartialCopy, find_partial


def copy_of(name: str, folder: Path, **sizes: int) -> Path:
    """Write what a folder with a part of the publisher's images would look like."""
    phantom.write(name, folder, **sizes)
    (folder / SYNTHETIC).unlink()
    return folder


def test_partial_copy_has_an_exit_code_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = copy_of("DRIVE", tmp_path / "DRIVE", train=3, test=20, size=32)
    assert main(["check", "DRIVE", str(copy)]) == 3
    printed = capsys.readouterr()
    assert "DRIVE: a partial copy: 23 of 40 images (train 3 of 20)" in printed.out
    assert "`datasets: {DRIVE: {partial: true}}`" in printed.err
    assert "published" not in printed.err


def test_partial_copy_is_sound_where_it_is_intended(tmp_path: Path) -> None:
    copy = copy_of("DRIVE", tmp_path / "DRIVE", train=3, test=2, size=32)
    assert main(["check", "DRIVE", str(copy), "--partial"]) == 0


def test_faults_of_a_partial_copy_go_first(tmp_path: Path) -> None:
    copy = copy_of("DRIVE", tmp_path / "DRIVE", train=3, test=2, size=32)
    (copy / "training" / "1st_manual" / "22_manual1.gif").write_bytes(b"")
    assert main(["check", "DRIVE", str(copy), "--partial"]) == 2


def test_more_images_than_published_are_a_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = copy_of("DRIVE", tmp_path / "DRIVE", train=22, test=20, size=32)
    assert main(["check", "DRIVE", str(copy)]) == 2
    assert "22 images of the training set; published: 20" in capsys.readouterr().err


def test_surplus_of_one_split_is_a_problem_though_the_other_is_partial(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = copy_of("DRIVE", tmp_path / "DRIVE", train=21, test=19, size=32)
    assert main(["check", "DRIVE", str(copy), "--partial"]) == 2
    said = capsys.readouterr().err
    assert "21 images of the training set; published: 20" in said
    assert "images of the test set" not in said


def test_split_that_lacks_whole_is_named_and_is_no_target(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = copy_of("DRIVE", tmp_path / "DRIVE", train=6, test=4, size=32)
    shutil.rmtree(copy / "test")
    assert main(["check", "DRIVE", str(copy)]) == 3
    assert "6 of 40 images (train 6 of 20, test 0 of 20)" in capsys.readouterr().out


def test_copy_without_the_masks_of_a_split_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = copy_of("DRIVE", tmp_path / "DRIVE", train=6, test=4, size=32)
    shutil.rmtree(copy / "training" / "1st_manual")
    assert main(["check", "DRIVE", str(copy), "--partial"]) == 2
    assert "no pixel of the masks has a class" in capsys.readouterr().err


def test_masks_without_their_images_are_named_in_a_partial_copy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = copy_of("DRIVE", tmp_path / "DRIVE", train=6, test=4, size=32)
    (copy / "test" / "images" / "01_test.tif").unlink()
    assert main(["check", "DRIVE", str(copy), "--partial"]) == 2
    assert "01_manual1.gif: no image 01_test.tif" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["CheXpert", "ADE20K", "EyePACS"])
def test_copies_below_outer_folders_are_found(name: str, tmp_path: Path) -> None:
    drawn = phantom.write(name, tmp_path / name)
    assert find_partial(open_dataset(name, drawn)) is None
    (drawn / SYNTHETIC).unlink()
    assert isinstance(find_partial(open_dataset(name, drawn)), PartialCopy)


def test_cohort_of_selected_slides_is_no_partial_copy(tmp_path: Path) -> None:
    copy = copy_of("TCGA-LGG", tmp_path / "TCGA-LGG")
    assert find_partial(open_dataset("TCGA-LGG", copy)) is None
