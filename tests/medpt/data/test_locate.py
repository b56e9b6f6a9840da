"""Names of datasets, their folders, and the digest of their files."""

import errno
import os
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path

import pytest
from user_data import CLASSIFIED, write_card, write_picture

from medpt.data import card, open_dataset
from medpt.data.catalog import names
from medpt.data.file_tree import find_root, walk
from medpt.data.fingerprint import fingerprint
from medpt.data.locate import card_problems, find_user_datasets, locate, user_cards
from medpt.errors import InputError


@pytest.mark.parametrize("spelled", ["chaos_ct", "CHAOS-CT", "chaosct", "Chaos CT"])
def test_card_ignores_case_and_punctuation(spelled: str) -> None:
    assert card(spelled).name == "CHAOS-CT"


def test_unknown_name_suggests_near_ones() -> None:
    with pytest.raises(InputError, match="did you mean DRIVE"):
        card("DRIV")


def test_each_card_has_a_layout_and_is_filled_in() -> None:
    for name in names():
        entry = card(name)
        assert name == entry.name
        assert find_spec(f"medpt.data.readers.{entry.reader}")
        assert find_spec(f"medpt.phantom.{entry.phantom}")
        assert set(entry.counts) == set(entry.paper_counts) == {"train", "test"}
        empty = [f.name for f in fields(entry) if getattr(entry, f.name) in ("", (), None)]
        optional = {"classes", "pipeline", "images", "labels", "masks", "bits", "damaged", "evaluate_by"}
        assert set(empty) <= optional
        assert len(set(entry.classes)) == len(entry.classes)
    assert (len(card("ADE20K-Seg").classes), len(card("CIFAR-100").classes)) == (150, 100)


def test_locate_here_or_one_level_deeper_in_any_case(tmp_path: Path) -> None:
    (tmp_path / "fundus" / "drive").mkdir(parents=True)
    assert locate("DRIVE", tmp_path) == tmp_path / "fundus" / "drive"
    (tmp_path / "DRIVE").mkdir()
    assert locate("DRIVE", tmp_path) == tmp_path / "DRIVE"


def test_locate_refuses_two_and_none(tmp_path: Path) -> None:
    (tmp_path / "a" / "DRIVE").mkdir(parents=True)
    (tmp_path / "b" / "DRIVE").mkdir(parents=True)
    with pytest.raises(InputError, match="several folders"):
        locate("DRIVE", tmp_path)
    with pytest.raises(InputError, match=r"no folder ISIC2019 .* challenge\.isic-archive\.com"):
        locate("ISIC2019", tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        locate("DRIVE", tmp_path / "absent")


def test_user_datasets_are_found_by_name_below_the_data(tmp_path: Path) -> None:
    top = write_card(tmp_path / "a" / "b", CLASSIFIED, "image,label\n1,healthy\n2,glaucoma\n")
    write_picture(top / "images" / "1.png")
    write_picture(top / "images" / "2.png")
    assert locate("CLINIC", tmp_path) == top
    assert open_dataset("clinic", tmp_path).root == top
    users = user_cards(tmp_path)
    assert card("clinic", users) == users["Clinic"]
    assert card("drive", users).name == "DRIVE"
    with pytest.raises(InputError, match="did you mean Clinic"):
        card("clinik", users)
    with pytest.raises(InputError, match="unknown dataset 'Clinic'"):
        card("Clinic", {})
    assert user_cards(None) == {}


@pytest.mark.parametrize(("name", "reason"), [("drive", "DRIVE"), ("M6-CLS", "M6-CLS"), ("random", "a word")])
def test_user_datasets_have_names_of_their_own(name: str, reason: str, tmp_path: Path) -> None:
    write_card(tmp_path, CLASSIFIED | {"name": name}, "image,label\n")
    (problem,) = find_user_datasets(tmp_path).problems
    assert f"dataset.yaml:1: `name` is '{name}', which is taken ({reason}" in problem


def test_user_datasets_of_one_name_are_refused(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write_card(tmp_path / folder, CLASSIFIED, "image,label\n")
    write_card(tmp_path / "c", CLASSIFIED | {"name": "Other"}, "image,label\n")
    users = find_user_datasets(tmp_path)
    assert list(users.found) == ["Other"]
    with pytest.raises(InputError, match=r"b/dataset.yaml: the name Clinic is also that of .*a/dataset.yaml"):
        open_dataset("Clinic", tmp_path)


@pytest.mark.parametrize("card_text", ["classes: [", "name: 5", "name: Faulty\nmodality: fundus\n"])
def test_faulty_card_stops_no_other_dataset(card_text: str, tmp_path: Path) -> None:
    top = write_card(tmp_path / "good", CLASSIFIED, "image,label\n1,healthy\n2,glaucoma\n")
    for number in (1, 2):
        write_picture(top / "images" / f"{number}.png")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "dataset.yaml").write_text(card_text)
    assert len(open_dataset("Clinic", tmp_path)) == 2
    assert list(user_cards(tmp_path)) == ["Clinic"]
    assert all("bad/dataset.yaml" in problem for problem in card_problems(tmp_path))
    with pytest.raises(InputError, match=r"bad/dataset\.yaml"):
        open_dataset("Faulty", tmp_path)


def _good_and_bad(data: Path) -> tuple[Path, Path]:
    """Return a sound dataset and an empty folder, both below `data`."""
    (data / "bad").mkdir(parents=True)
    return write_card(data / "good", CLASSIFIED, "image,label\n1,healthy\n2,glaucoma\n"), data / "bad"


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("folder", "bad/dataset.yaml: not a file"),
        ("pipe", "bad/dataset.yaml: not a file"),
        ("device", "bad/dataset.yaml: not a file"),
        ("link to itself", "bad/dataset.yaml: cannot be read: Too many levels"),
        ("link to what is missing", "bad/dataset.yaml: cannot be read: No such file"),
        ("millions of values", "bad/dataset.yaml: more than 250,000 values"),
    ],
)
def test_card_that_is_no_text_file_stops_no_other_dataset(kind: str, reason: str, tmp_path: Path) -> None:
    good, bad = _good_and_bad(tmp_path)
    {
        "folder": Path.mkdir,
        "pipe": os.mkfifo,
        "device": lambda path: path.symlink_to("/dev/zero"),
        "link to itself": lambda path: path.symlink_to(path),
        "link to what is missing": lambda path: path.symlink_to("absent"),
        "millions of values": lambda path: path.write_text(f"name: [{'1,' * 600_000}]"),
    }[kind](bad / "dataset.yaml")
    assert locate("Clinic", tmp_path) == good
    (problem,) = card_problems(tmp_path)
    assert reason in problem


def test_folder_that_cannot_be_read_stops_no_other_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = _good_and_bad(tmp_path)
    (tmp_path / "DRIVE").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    real = os.scandir

    def scandir(folder: Path) -> object:
        if Path(folder) == bad:
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return real(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != bad)
    assert locate("Clinic", tmp_path) == good
    assert locate("DRIVE", tmp_path) == tmp_path / "DRIVE"
    assert card_problems(tmp_path) == [f"{bad}: Permission denied"]
    with pytest.raises(InputError, match=f"no permission to look into {bad}"):
        locate("HRF", tmp_path)


@pytest.mark.parametrize("link", ["good", "."])
def test_links_to_a_dataset_are_no_second_one(link: str, tmp_path: Path) -> None:
    good, _ = _good_and_bad(tmp_path)
    (tmp_path / "DRIVE").mkdir()
    (tmp_path / "latest").symlink_to(link)
    (tmp_path / "drive").symlink_to("DRIVE")
    assert locate("Clinic", tmp_path) == good
    assert card_problems(tmp_path) == []
    assert locate("DRIVE", tmp_path) == tmp_path / "DRIVE"


@pytest.mark.parametrize("name", ["dataset.yml", "Dataset.yaml", "dataset.yaml.txt"])
def test_card_under_another_name_is_found(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("name: Clinic\n")
    with pytest.raises(InputError, match=rf"{name}: is it a card\? Rename it to dataset\.yaml"):
        open_dataset("Clinic", tmp_path)
    with pytest.raises(InputError, match=r"absent: no such folder"):
        open_dataset("Clinic", tmp_path / "absent")


def test_find_root_takes_the_shallowest_and_ignores_debris(tmp_path: Path) -> None:
    for folder in ("__MACOSX/marked", "x/x/marked", "x/marked"):
        (tmp_path / folder).mkdir(parents=True)
    assert find_root(tmp_path, lambda f: f.name == "marked", "marked") == tmp_path / "x" / "marked"


def _tree(top: Path) -> Path:
    (top / "images").mkdir(parents=True)
    (top / "images" / "a.jpg").write_bytes(b"12345")
    (top / "labels.csv").write_text("a,1\n")
    return top


def test_fingerprint_is_of_the_files_and_not_of_the_place(tmp_path: Path) -> None:
    one, other = _tree(tmp_path / "here"), _tree(tmp_path / "deep" / "there")
    before = fingerprint(one)
    assert before == fingerprint(other)
    assert len(before) == 64
    (one / ".DS_Store").write_bytes(b"x")
    (one / "__MACOSX").mkdir()
    (one / "__MACOSX" / "._a.jpg").write_bytes(b"x")
    assert fingerprint(one) == before
    assert [Path(entry.path).name for entry in walk(one)] == ["a.jpg", "labels.csv"]


def test_fingerprint_sees_labels_sizes_and_names_but_not_pixels_of_equal_size(tmp_path: Path) -> None:
    seen = {fingerprint(_tree(tmp_path / "0"))}
    (_tree(tmp_path / "1") / "labels.csv").write_text("a,2\n")
    (_tree(tmp_path / "2") / "images" / "a.jpg").write_bytes(b"123456")
    (_tree(tmp_path / "3") / "images" / "a.jpg").rename(tmp_path / "3" / "images" / "b.jpg")
    seen |= {fingerprint(tmp_path / str(n)) for n in (1, 2, 3)}
    assert len(seen) == 4
    (_tree(tmp_path / "4") / "images" / "a.jpg").write_bytes(b"54321")
    assert fingerprint(tmp_path / "4") == fingerprint(_tree(tmp_path / "5"))


def test_unknown_option_and_absent_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown key `min_image`; did you mean min_images"):
        open_dataset("ADE20K", tmp_path, min_image=3)
    with pytest.raises(InputError, match="unknown key `fold`; none is accepted here"):
        open_dataset("DRIVE", tmp_path, fold=3)
    for name in names():
        with pytest.raises(InputError, match="no such folder"):
            open_dataset(name, tmp_path / "absent")
        with pytest.raises(InputError, match="expected"):
            open_dataset(name, tmp_path)


@pytest.mark.parametrize(
    "name",
    ["@eaDir", "#recycle", "$RECYCLE.BIN", "lost+found", ".ipynb_checkpoints", "Thumbs.db", "~$labels.xlsx"],
)
def test_debris_of_systems_is_passed_over(name: str, tmp_path: Path) -> None:
    write_picture(tmp_path / name / "1.png" / "SYNOPHOTO_THUMB_M.jpg")
    write_picture(tmp_path / "1.png")
    assert [entry.name for entry in walk(tmp_path)] == ["1.png"]


def test_links_that_lead_back_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path / "a")
    with pytest.raises(InputError, match="b/up: a link to a folder above it"):
        list(walk(tmp_path))
