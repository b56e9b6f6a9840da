"""Files that no dataset lists are decoded as the dataset's reader decodes its own."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from reader_copies import SMALL

from medpt import phantom
from medpt.data import card, open_dataset
from medpt.data.new_images import NewImage, find_images, read_new_image
from medpt.data.preprocess import pipeline_of
from medpt.errors import InputError

WITHOUT_FILES = ("CIFAR-100", "CardiacMRI", "TCGA-LGG", "TCGA-GBM")  # arrays of many, and slides


@pytest.mark.parametrize("name", sorted(SMALL.keys() - set(WITHOUT_FILES)))
def test_pixels_are_those_of_the_dataset(name: str, tmp_path: Path) -> None:
    dataset = open_dataset(name, phantom.write(name, tmp_path / name, **SMALL[name]))
    for record in dataset.records[:4]:
        image = NewImage(dataset.root / record.image_path, record.image_path, record.slice)
        found = read_new_image(image, card(name), pipeline_of(card(name)))
        expected = dataset.image(record)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


def test_folder_is_searched_and_volumes_are_cut_into_slices(tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "sub").mkdir()
    Image.fromarray(np.zeros((8, 9), np.uint8)).save(tmp_path / "sub" / "b.png")
    volume = nibabel.nifti1.Nifti1Image(np.zeros((4, 5, 3), np.int16), np.eye(4))
    nibabel.save(volume, tmp_path / "a.nii.gz")
    (tmp_path / "notes.txt").write_text("no image")
    problems: list[str] = []
    assert [
        image.id for image in find_images([tmp_path], "mri", "percentile(1,99)|resize(32)", problems)
    ] == [
        "a.nii.gz#0",
        "a.nii.gz#1",
        "a.nii.gz#2",
        "sub/b.png",
    ]
    assert problems == []


def test_all_bad_inputs_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.png").touch()
    (tmp_path / "bad.nii").write_bytes(b"no volume")
    problems: list[str] = []
    given = [tmp_path / name for name in ("empty", "one/a.png", "two/a.png", "bad.nii")]
    find_images(given, "mri", "percentile(1,99)|resize(32)", problems)
    assert [problem.partition(": ")[0] for problem in problems] == [
        str(tmp_path / "empty"),
        f"{tmp_path}/one/a.png and {tmp_path}/two/a.png",
        str(tmp_path / "bad.nii"),
    ]


def test_picture_is_refused_where_hounsfield_units_are_needed(tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "windowed.png"
    Image.fromarray(np.zeros((8, 9), np.uint8)).save(path)
    with pytest.raises(InputError, match=r"windowed\.png: a picture, and CHAOS-CT is in Hounsfield units"):
        read_new_image(NewImage(path, path.name), card("CHAOS-CT"), pipeline_of(card("CHAOS-CT")))
