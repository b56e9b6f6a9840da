"""`python -m medpt.data`: tables, verdicts, exit codes, and what it does not import."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from user_data import CLASSIFIED, write_card

from medpt import phantom
from medpt.data import catalog, open_dataset
from medpt.data.__main__ import main
from medpt.data.check import check


def test_list_names_every_dataset(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(catalog.names())
    (imagenet,) = [line for line in lines if line.startswith("ImageNet")]
    assert "1,281,167" in imagenet


def test_list_names_users_datasets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_card(tmp_path / "a" / "b", CLASSIFIED, "image,label\n")
    assert main(["list", "--data", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[:3] == ["Clinic", "fundus", "classification"]


def test_list_says_where_datasets_are_and_come_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "retina" / "DRIVE").mkdir(parents=True)
    assert main(["list", "--data", str(tmp_path)]) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "retina/DRIVE" in rows["DRIVE"]
    assert "retina" not in rows["HRF"]
    assert catalog.card("HRF").source in rows["HRF"]


def test_list_names_no_folder_of_a_dataset_that_has_several(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "several"
    for folder in ("a", "b"):
        (data / folder / "DRIVE").mkdir(parents=True)
    assert main(["list", "--data", str(data)]) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "several folders" in rows["DRIVE"]
    assert "several" not in rows["HRF"]


def test_check_of_a_bare_folder_points_to_init_and_compare(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "Clinic", str(tmp_path)]) == 2
    printed = capsys.readouterr().err
    assert f"`medpt-data init {tmp_path}` drafts one" in printed
    assert f"`medpt-grid compare {tmp_path}` compares" in printed
    assert main(["check", "DRIVE", str(tmp_path)]) == 2
    assert "dataset.yaml" not in capsys.readouterr().err


def test_schema_prints_the_keys_of_a_card(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {"name", "modality", "task", "classes"} == set(printed["required"])
    assert "fundus" in printed["properties"]["modality"]["enum"]


def test_check_of_a_complete_copy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    phantom.write("DRIVE", tmp_path / "DRIVE", size=32)
    assert main(["check", "drive", str(tmp_path / "DRIVE")]) == 0
    assert "DRIVE: complete; 40 labelled images, 2 classes" in capsys.readouterr().out


def test_check_of_a_copy_without_masks_of_the_test_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the publisher's test.zip: a run refuses it as a target, so `check` does not call it complete."""
    phantom.write("DRIVE", tmp_path / "DRIVE", size=32)
    shutil.rmtree(tmp_path / "DRIVE" / "test" / "1st_manual")
    assert main(["check", "DRIVE", str(tmp_path / "DRIVE")]) == 3
    assert "not as a target: DRIVE: split: official: no record is in the test set" in capsys.readouterr().out
    assert main(["check", "DRIVE", str(tmp_path / "DRIVE"), "--partial"]) == 0


def test_check_reports_everything_in_one_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    top = tmp_path / "DRIVE"
    phantom.write("DRIVE", top, train=3, test=20, size=32)
    image = top / "training" / "images" / "21_training.tif"
    image.write_bytes(image.read_bytes()[:200])
    (top / "training" / "1st_manual" / "22_manual1.gif").write_bytes(b"")
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(top / "training" / "1st_manual" / "23_manual1.gif")
    assert main(["check", "DRIVE", str(top)]) == 2
    printed = capsys.readouterr()
    text = printed.err
    assert "note: " + f"{top}: 3 images of the training set; published: 20" in printed.out
    assert "21_training.tif" in text
    assert "22_manual1.gif: empty file (0 bytes)" in text
    assert "23_manual1.gif: shape (9, 9) for an image of shape (32, 31)" in text
    assert "Traceback" not in text


def test_check_finds_patients_on_both_sides_and_classes_that_are_none(tmp_path: Path) -> None:
    from dataclasses import replace

    phantom.write("DRIVE", tmp_path, train=2, test=1, size=32)
    dataset = open_dataset("DRIVE", tmp_path)
    first, second, third = dataset.records
    leaking = replace(dataset, records=(first, second, replace(third, patient_id=first.patient_id)))
    assert (
        f"patient {first.patient_id} is in the training and in the test set"
        in check(leaking, sys.stderr).problems
    )
    fewer = replace(dataset, info=replace(dataset.info, classes=("background",)))
    assert sum("class 1; accepted: under 1" in problem for problem in check(fewer, sys.stderr).problems) == 3


def test_phantom_never_writes_over_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["phantom", str(tmp_path / "data"), "--seed", "3", "--only", "cifar100", "DRIVE"]
    assert main(command) == 0
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["CIFAR-100", "DRIVE"]
    assert main(command) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "DRIV", "."], "unknown dataset 'DRIV'; did you mean DRIVE?"),
        (["check", "DRIVE", "absent"], "absent: no such folder"),
        (["phantom", "x", "--only", "foo"], "unknown dataset 'foo'"),
        (["prepare", "foo", ".", "--to", "x"], "unknown dataset 'foo'"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_prepare_hands_over_to_the_grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []

    def call(command: list[str]) -> int:
        calls.append(command)
        return 2

    monkeypatch.setattr(subprocess, "call", call)
    arguments = ["prepare", "chaos_ct", "in", "--to", "out", "--size", "64", "--split", "random"]
    assert main(arguments) == 2
    rest = ["CHAOS-CT", "in", "--to", "out", "--size", "64", "--split", "random"]
    assert calls == [[sys.executable, "-m", "grid.prepare", *rest]]


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, medpt.data.__main__, medpt.phantom, medpt.data.fingerprint\n"
        "from medpt.data.preprocess import canonical\n"
        "canonical('resize(8)')\n"
        "heavy = {'torch', 'cv2', 'PIL', 'pandas', 'pyarrow', 'pydicom', 'scipy', 'ray', 'mlflow', 'grid'}\n"
        "print(*(heavy | {'pydantic'}) & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")
