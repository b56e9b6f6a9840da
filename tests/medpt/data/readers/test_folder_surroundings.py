"""What lies around the images of a user: other spellings, pipes, links, deep folders, incomplete sets."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from user_data import CLASSIFIED, class_folders, complaints, write_card, write_picture

from medpt.data import open_with_problems
from medpt.data.__main__ import main
from medpt.data.label_counts import image_counts, judge
from medpt.errors import InputError

ROWS = "".join(f"{n}.png,{('healthy', 'glaucoma')[n % 2]},p{n}\n" for n in range(6))
FOLDERS = {key: value for key, value in CLASSIFIED.items() if key != "labels"} | {"classes": "[ill, well]"}


def pictured(folder: Path) -> Path:
    for number in range(6):
        write_picture(folder / "images" / f"{number}.png")
    return write_card(folder, CLASSIFIED, f"image,label,patient\n{ROWS}")


def deep(folder: Path) -> None:
    inner = folder / "images" / "/".join("d" * 60)
    inner.mkdir(parents=True)


def dangling(folder: Path) -> None:
    (folder / "labels.csv").unlink()
    (folder / "labels.csv").symlink_to(".git/annex/objects/x")


def utf16_without_mark(folder: Path) -> None:
    path = folder / "labels.csv"
    path.write_bytes(path.read_text().encode("utf-16-le"))


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "the folder in other case": (
        lambda folder: (folder / "images").rename(folder / "Images"),
        "`images` is 'images': no such folder; found: Images",
    ),
    "the table in other case": (
        lambda folder: (folder / "labels.csv").rename(folder / "Labels.CSV"),
        "`labels` is 'labels.csv': no such file; found: Labels.CSV",
    ),
    "a table of another suffix": (
        lambda folder: (folder / "labels.csv").rename(folder / "labels.xlsx"),
        "no such file; found: labels.xlsx",
    ),
    "a table that is a link to nothing": (dangling, "it is a link to .git/annex/objects/x, which is missing"),
    "a table with zeros": (utf16_without_mark, "line 1: byte 0x00, as UTF-16 text has; save it as UTF-8"),
    "folders without an end": (deep, "more than 40 folders deep"),
    "a link to itself": (
        lambda folder: (folder / "images" / "me").symlink_to("me"),
        "images/me: Too many levels of symbolic links",
    ),
    "a pipe in place of an image": (
        lambda folder: ((folder / "images" / "3.png").unlink(), os.mkfifo(folder / "images" / "3.png")),
        "3.png: not a file",
    ),
    "a device in place of an image": (
        lambda folder: (
            (folder / "images" / "3.png").unlink(),
            (folder / "images" / "3.png").symlink_to("/dev/zero"),
        ),
        "3.png: not a file",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusal_names_what_is_there_instead(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, message = REFUSED[name]
    change(pictured(tmp_path))
    assert main(["check", "Clinic", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("name", ["pipe", "pipe.1.2.840", ".pipe"])
def test_pipe_beside_the_images_is_not_waited_for(name: str, tmp_path: Path) -> None:
    os.mkfifo(pictured(tmp_path) / "images" / name)
    assert open_with_problems("Clinic", tmp_path).problems == ()


@pytest.mark.parametrize("other", ["dev", "Fold1", "unlabelled"])
def test_folders_of_which_some_are_a_set_are_refused(other: str, tmp_path: Path) -> None:
    for part in ("test", other):
        class_folders(tmp_path / "images" / part, images=2)
    (problem,) = open_with_problems("Clinic", write_card(tmp_path, FOLDERS)).problems
    assert (
        "some images are in a set and others in none; folders of a set are called train, training" in problem
    )


@pytest.mark.parametrize(("given", "lacking"), [("train", "test"), ("test", "training")])
def test_split_without_one_of_its_sets_is_noted(given: str, lacking: str, tmp_path: Path) -> None:
    folder = pictured(tmp_path)
    lines = [
        f"{line},{given if n else 'split'}"
        for n, line in enumerate(("image,label,patient\n" + ROWS).splitlines())
    ]
    (folder / "labels.csv").write_text("\n".join(lines))
    dataset = open_with_problems("Clinic", folder)
    assert not any("set" in problem for problem in dataset.problems)
    notes = judge(dataset.info, image_counts(dataset)).notes
    assert f"Clinic: no image is in the {lacking} set; it can be a source, but no target" in notes


def test_none_is_no_word_for_no_finding(tmp_path: Path) -> None:
    pictured(tmp_path)
    labels = ["healthy", "None", "glaucoma", "healthy|glaucoma", "glaucoma", "No Finding"]
    rows = "".join(f"{n}.png,{label},p{n}\n" for n, label in enumerate(labels))
    write_card(tmp_path, CLASSIFIED | {"task": "multilabel"}, f"image,label,patient\n{rows}")
    with pytest.raises(InputError, match=r"line 3: label 'None'"):
        raise InputError(open_with_problems("Clinic", tmp_path).problems)


@pytest.mark.parametrize(("key", "kind"), [("labels.csv", "file"), ("images", "folder")])
def test_what_is_there_as_another_kind_is_not_said_to_be_absent(key: str, kind: str, tmp_path: Path) -> None:
    path = pictured(tmp_path) / key
    path.rename(tmp_path / "moved")
    os.mkfifo(path)
    (problem,) = complaints(tmp_path)
    assert problem.endswith(f"is {key!r}: that is neither a file nor a folder; a {kind} is accepted")


def test_folder_with_the_name_of_an_image_is_named(tmp_path: Path) -> None:
    image = next((pictured(tmp_path) / "images").iterdir())
    image.unlink()
    image.mkdir()
    assert any(f"{image} is a folder; a file is accepted" in problem for problem in complaints(tmp_path))


def test_table_without_rows_is_named(tmp_path: Path) -> None:
    (pictured(tmp_path) / "labels.csv").write_text("image,label\n")
    assert any("labels.csv: no row below the header" in problem for problem in complaints(tmp_path))


def test_index_of_a_dicom_medium_is_no_image(tmp_path: Path) -> None:
    (pictured(tmp_path) / "images" / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    assert open_with_problems("Clinic", tmp_path).problems == ()


def test_names_are_no_commands_to_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_picture(pictured(tmp_path) / "images" / "\x1b[31m\n.png")
    assert main(["check", "Clinic", str(tmp_path)]) == 2
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out + shown.err
    assert "\\x1b[31m\\n.png: in no row" in shown.err
