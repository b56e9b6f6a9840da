"""Dataset cards: the keys of their files, and every mistake in one pass."""

import json
from pathlib import Path
from typing import get_args

import pytest
from user_data import CLASSIFIED, MASKED, write_card

from medpt.data import catalog
from medpt.data.card import FILE, DatasetCard, Modality
from medpt.data.card_reader import read_card
from medpt.data.fingerprint import fingerprint
from medpt.errors import InputError

VALUES = "a mapping of classes to grey values (0 to 255) or colours ([red, green, blue])"


def complaints(folder: Path) -> list[str]:
    with pytest.raises(InputError) as caught:
        read_card(folder / FILE, taken=["DRIVE", "M6-CLS"])
    return caught.value.problems


def test_built_in_and_users_cards_have_one_form(tmp_path: Path) -> None:
    drive = read_card(Path(catalog.__file__).parent / "cards" / "DRIVE.yaml")
    assert drive == catalog.card("drive")
    assert (drive.reader, drive.phantom, drive.official_split) == ("drive", "drive", True)
    home = write_card(tmp_path / "clinic", CLASSIFIED | {"classes": "[0, 1]"}, "image,label,split\n")
    card = read_card(home / FILE)
    assert (card.reader, card.phantom, card.official_split) == ("image_folder", None, True)
    assert (card.classes, card.folders, card.source) == (("0", "1"), ("clinic",), "clinic/dataset.yaml")
    assert (card.licence, card.counts, card.labels) == ("not stated", {}, "labels.csv")


def test_card_round_trips_through_json(tmp_path: Path) -> None:
    values = "{background: [0, 0, 0], vessel: [255, 0, 0]}"
    home = write_card(tmp_path, MASKED | {"values": values, "counts": "{train: 5}"})
    for card in (read_card(home / FILE), catalog.card("LUNA")):
        assert DatasetCard.from_json(json.loads(json.dumps(card.to_json()))) == card


def test_card_of_version_0_3_1_is_read() -> None:
    stored = catalog.card("DRIVE").to_json() | {"home": None}
    kept = ("name", "title", "modality", "task", "classes", "counts", "paper_counts", "official_split")
    kept += ("licence", "source", "citation", "folders", "notes", "pipeline", "home")
    card = DatasetCard.from_json({key: stored[key] for key in kept})
    assert (card.name, card.task, card.classes) == ("DRIVE", "segmentation", ("background", "vessel"))


def test_card_problems_are_all_reported_with_their_lines(tmp_path: Path) -> None:
    wrong = {
        "name": "DRIVE",
        "modality": "fundos",
        "task": "segmentation",
        "classes": "[background, vessel, no, vessel]",
        "images": "../outside",
        "masks": "absent",
        "values": "{background: 0, vesel: 300, no: [1, 2]}",
        "pipeline": "resize(256)|clache(2)",
        "counts": "{train: many}",
        "license": "MIT",
    }
    folder = write_card(tmp_path / "x", wrong)
    (folder / "masks").rmdir()
    path = folder / FILE
    assert [problem.removeprefix(f"{path}:") for problem in complaints(folder)] == [
        "1: `name` is 'DRIVE', which is taken (DRIVE); choose another",
        f"2: `modality` is 'fundos'; accepted: {', '.join(get_args(Modality))}",
        '4: `classes` is no, which YAML reads as true or false; for text write "no"',
        "4: the class `vessel` is given twice; keep one",
        "5: `images` is '../outside'; a path below the folder of dataset.yaml is accepted",
        "6: `masks` is 'absent': no such folder",
        f"7: `no` is [1, 2]; {VALUES} is accepted",
        "7: unknown class `vesel`; did you mean vessel?",
        "7: the class `vessel` has no value; every class needs one",
        "7: the value of `vesel` is 300; numbers from 0 to 255 are accepted",
        "8: 'resize(256)|clache(2)', operation 2: unknown operation 'clache(2)'; did you mean clahe?",
        "9: `train` is 'many'; a whole number is accepted",
        "10: unknown key `license`; did you mean licence?",
    ]


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"name": "M6-CLS"}, "which is taken (M6-CLS)"),
        ({"name": "random"}, "which is taken (a word of space files)"),
        ({"name": "Mine-20k"}, "which is taken (a word of space files)"),
        ({"name": "../../etc"}, "`name` is '../../etc'; a letter, then up to 39"),
        ({"name": "7"}, 'reads as a number; for text write "7" (a letter, then'),
        ({"name": "007"}, '`name` is 007, which YAML readers take for different numbers; write "007"'),
        (
            {"classes": "[NO, healthy]"},
            '`classes` is NO, which YAML reads as true or false; for text write "NO"',
        ),
        ({"name": "~"}, "no `name`; needed: name, modality, task, classes"),
        ({"labels": "absent.csv"}, "'absent.csv': no such file"),
        ({"images": "a" * 5000}, "no such folder"),
        ({"images": r'"a\0b"'}, "a value has the character NUL"),
        ({"images": "~"}, "no `images`; needed for classification: images"),
        ({"task": "detection"}, "accepted: classification, multilabel, segmentation"),
        ({"task": "survival"}, "`task` is 'survival'; classification, multilabel, segmentation are accepted"),
        ({"values": "{healthy: 0, glaucoma: 1}"}, "`values` without `masks`"),
        ({"classes": "healthy"}, "`classes` is 'healthy'; a list of 2 to 250 names is accepted"),
        ({"classes": "[healthy]"}, "`classes` has 1 names; 2 to 250 are accepted"),
        ({"classes": '[healthy, " glaucoma"]'}, "the class ' glaucoma': a name without spaces around it"),
        ({"classes": '[healthy, "a\\nb"]'}, "without control characters is accepted"),
        ({"classes": '[healthy, ""]'}, "the class '': a name"),
        ({"licence": '""'}, "`licence` is ''; text that is not empty is accepted"),
        ({"classes": "[healthy, ignore]"}, "that word stands for unlabelled pixels"),
        ({"counts": "{train: 3, tset: 1}"}, "unknown key `tset`; did you mean test?"),
        ({"counts": "{train: -3}"}, "`train` is -3; a number of images is accepted"),
        ({"counts": "12"}, "`counts` is 12; a mapping such as {train: 80, test: 20} is accepted"),
        ({"official_split": "true"}, "the column `split` of `labels` decides"),
        ({"name": "A\nname: B"}, "the key `name` is given twice"),
        ({"name": "[unclosed"}, "not YAML"),
        ({"reader": "../x"}, "`reader` is '../x'; image_folder is accepted in a card of your own"),
        ({"phantom": "drive"}, "only built-in datasets have a synthetic version; remove the key"),
        ({"images": "''"}, "`images` is ''; the name of a folder is accepted"),
        ({"images": "5"}, 'reads as a number; for text write "5"'),
    ],
    ids=str,
)
def test_wrong_card_is_refused(facts: dict[str, str], message: str, tmp_path: Path) -> None:
    (problem,) = complaints(write_card(tmp_path, CLASSIFIED | facts, "image,label\n1,healthy\n"))
    assert message in problem
    assert problem.startswith(f"{tmp_path / FILE}:")


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"masks": "images"}, "`masks` is 'images', which has the images; another folder is accepted"),
        ({"masks": "./images/"}, "`masks` is './images/', which has the images"),
        ({"masks": "."}, "`masks` is '.', which has the images; another folder is accepted"),
        ({"values": "{background: 0}"}, "the class `vessel` has no value"),
        ({"values": "{background: 0, vessel: 0}"}, "`vessel` has the value of `background`"),
        ({"values": "{background: 0, vessel: [1, 2, 3]}"}, "grey values and colours are mixed"),
        ({"values": "[0, 255]"}, "`values` is [0, 255]; a mapping"),
    ],
    ids=str,
)
def test_wrong_card_of_masks_is_refused(facts: dict[str, str], message: str, tmp_path: Path) -> None:
    (problem,) = complaints(write_card(tmp_path, MASKED | facts))
    assert message in problem


def test_card_that_is_no_mapping_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("- name\n")
    assert complaints(tmp_path) == [
        f"{tmp_path / FILE}:1: the file is ['name']; a mapping of keys to values is accepted"
    ]


def test_changed_card_changes_the_fingerprint(tmp_path: Path) -> None:
    top = write_card(tmp_path, CLASSIFIED, "image,label\n1,healthy\n")
    before = fingerprint(top)
    text = (top / FILE).read_text().replace("[healthy, glaucoma]", "[glaucoma, healthy]")
    (top / FILE).write_text(text)
    assert fingerprint(top) != before


def test_small_dataset_without_a_test_set_is_split_several_times(tmp_path: Path) -> None:
    facts = {key: value for key, value in CLASSIFIED.items() if key != "labels"}
    small = write_card(tmp_path / "small", facts)
    (small / "images" / "healthy").mkdir()
    for number in range(999):
        (small / "images" / "healthy" / f"{number}.png").touch()
    assert read_card(small / FILE).folds == 5
    (small / "images" / "healthy" / "last.png").touch()
    assert read_card(small / FILE).folds == 1
    own = write_card(tmp_path / "own", CLASSIFIED, "image,label,split\n")
    assert read_card(own / FILE).folds == 1
    asked = write_card(tmp_path / "asked", facts | {"split": "{folds: 3}"})
    assert read_card(asked / FILE).folds == 3


def test_debris_of_systems_does_not_change_how_often_a_dataset_is_split(tmp_path: Path) -> None:
    home = write_card(tmp_path, CLASSIFIED, "image,label\n")
    (home / "images" / "@eaDir").mkdir()
    for number in range(1_000):
        (home / "images" / "@eaDir" / f"{number}.jpg").touch()
    assert read_card(home / FILE).folds == 5


def test_folds_beside_a_test_set_of_the_data_are_refused(tmp_path: Path) -> None:
    home = write_card(tmp_path, CLASSIFIED | {"split": "{folds: 3}"}, "image,label,split\n")
    (problem,) = complaints(home)
    assert "`split` beside a training and a test set of the data's own" in problem


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("{folds: 0}", "`folds` is 0; 1 to 100 are accepted"),
        ("{fold: 3}", "unknown key `fold`; did you mean folds?"),
        ("5", "`split` is 5; a mapping such as {folds: 5} is accepted"),
    ],
)
def test_wrong_split_is_refused(split: str, message: str, tmp_path: Path) -> None:
    write_card(tmp_path, CLASSIFIED | {"split": split}, "image,label\n")
    assert any(message in problem for problem in complaints(tmp_path))


def test_masks_are_not_evaluated_by_patient(tmp_path: Path) -> None:
    write_card(tmp_path, MASKED | {"evaluate_by": "patient"})
    assert any("`evaluate_by` with the task 'segmentation'" in problem for problem in complaints(tmp_path))


def test_ordinal_masks_are_refused(tmp_path: Path) -> None:
    write_card(tmp_path, MASKED | {"ordinal": "true"})
    assert any("`ordinal` with the task 'segmentation'" in problem for problem in complaints(tmp_path))
