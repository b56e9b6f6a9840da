"""A partial copy of a built-in dataset is named, refused by default, and no synthetic data."""

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


@pytest.mark.parametrize("name", ["CheXpert", "ADE20K", "EyePACS"])
def test_copies_below_outer_folders_are_found(name: str, tmp_path: Path) -> None:
    drawn = phantom.write(name, tmp_path / name)
    assert find_partial(open_dataset(name, drawn)) is None
    (drawn / SYNTHETIC).unlink()
    assert isinstance(find_partial(open_dataset(name, drawn)), PartialCopy)


def test_cohort_of_selected_slides_is_no_partial_copy(tmp_path: Path) -> None:
    copy = copy_of("TCGA-LGG", tmp_path / "TCGA-LGG")
    assert find_partial(open_dataset("TCGA-LGG", copy)) is None
