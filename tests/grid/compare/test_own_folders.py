"""Five kinds of folders from nothing to a written space and its plan, without a file written by hand."""

import os
from collections.abc import Callable
from pathlib import Path

import own_folders
import pytest

from grid import run
from grid.compare import __main__ as command
from grid.compare import step_time
from grid.options import RunOptions
from grid.space import reader
from grid.space.trials import Settings, Space

EYES = Path(__file__).parents[4] / "shared" / "study" / "EyeDiseases"

IMAGES = 40
Write = Callable[[Path, int], Path]


def dry_run(options: RunOptions) -> int:
    """Plan the space that a run would train."""
    return run.main(["--space", options.space, "--dry-run"])


def planned(home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Space:
    """Run the command on a folder of images up to the plan of the space that it wrote, and load that."""
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TORCH_HOME", str(folder / "torch"))
    monkeypatch.setattr(step_time, "measure", lambda architecture, backbone: (0.1, 1.0))
    monkeypatch.setattr(command, "run_space", dry_run)
    assert command.main([str(home), "--budget", "10m", "--yes", "--cpus", "2"]) == 0
    return reader.load("compare.yaml")


RADIOGRAPHS = ("classification", ("normal", "pneumonia"), "x-ray")


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        (own_folders.class_folders, RADIOGRAPHS),
        (own_folders.table, RADIOGRAPHS),
        (own_folders.masks, ("segmentation", ("background", "foreground"), None)),
        (own_folders.dicom, ("classification", ("abdomen", "chest"), "ct")),
    ],
    ids=own_folders.FOLDERS,
)
def test_folder_becomes_a_space_with_a_plan(
    write: Write,
    expected: tuple[str, tuple[str, ...], str | None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    task, classes, modality = expected
    space = planned(write(tmp_path / "mine", IMAGES), tmp_path / "work", monkeypatch)
    (card,) = space.cards.values()
    assert (card.task, card.classes) == (task, classes)
    assert modality in (None, card.modality)
    assert {trial.initialization for trial in space.trials} == {"random", "SS-Jigsaw"}
    assert 64 <= space.settings.size <= 96
    printed = capsys.readouterr().out
    assert "here, of a budget of 10 min" in printed
    assert f"{len(space.trials)} trials" in printed
    assert "prepare" in printed


@pytest.mark.real
@pytest.mark.skipif(not EYES.is_dir(), reason="the photographs of ../shared are not here")
def test_photographs_without_their_card_become_a_space_with_a_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "EyeDiseases"
    home.mkdir()
    for name in ("images", "labels.csv"):
        os.symlink(EYES / name, home / name)
    space = planned(home, tmp_path / "work", monkeypatch)
    (card,) = space.cards.values()
    assert card.classes == ("cataract", "glaucoma", "normal")
    assert card.modality == "fundus"
    assert Settings.size > space.settings.size >= 64


def test_folder_of_something_else_is_refused_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "read.me").write_text("nothing to see")
    monkeypatch.chdir(tmp_path)
    assert command.main([str(tmp_path / "notes"), "--yes"]) == 2
    message = capsys.readouterr().err
    assert "no image; found: read.me" in message
    assert "a folder for each class" in message
    assert not Path("compare.yaml").exists()
