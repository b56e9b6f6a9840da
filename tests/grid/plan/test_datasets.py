"""The datasets of a space: what is refused before anything starts."""

from pathlib import Path

import pytest
import tiny

from grid.plan import datasets
from grid.space import reader
from grid.space.trials import Space
from medpt.data.partial_copy import SYNTHETIC
from medpt.errors import InputError

ACCEPTED = "\ndatasets: {DRIVE: {partial: true}, ISIC2019: {partial: true}, ChestXRay2017: {partial: true}}\n"


def partial_copies(folder: Path, text: str) -> tuple[Space, datasets.SpaceDatasets]:
    """Open a space on folders that are not marked as synthetic data."""
    data = tiny.data(folder / "data")
    for mark in data.rglob(SYNTHETIC):
        mark.unlink()
    space = reader.load(str(tiny.written(folder, text)))
    return space, datasets.find(space, data, folder / "out", write=False)


def test_partial_copies_are_refused_together(tmp_path: Path) -> None:
    space, found = partial_copies(tmp_path, tiny.SPACE)
    with pytest.raises(InputError) as error:
        datasets.open_all(space, found)
    assert len(error.value.problems) == 3
    assert "DRIVE is a partial copy: 10 of 40 images (train 6 of 20, test 4 of 20)" in str(error.value)
    assert "write `datasets: {DRIVE: {partial: true}}` into" in str(error.value)


def test_partial_copies_are_used_on_purpose_and_counted(tmp_path: Path) -> None:
    space, found = partial_copies(tmp_path, tiny.SPACE + ACCEPTED)
    opened = datasets.open_all(space, found)
    assert datasets.partial_copies(opened) == {"ISIC2019": 40, "ChestXRay2017": 40, "DRIVE": 10}


def test_synthetic_data_are_no_partial_copy(tmp_path: Path) -> None:
    space = reader.load(str(tiny.written(tmp_path)))
    found = datasets.find(space, tiny.data(tmp_path / "data"), tmp_path / "out", write=False)
    assert datasets.partial_copies(datasets.open_all(space, found)) == {}


def test_synthetic_data_that_no_run_has_drawn_are_no_problem(tmp_path: Path) -> None:
    text = tiny.SPACE + "phantom: {seed: 0}\ndatasets: {DRIVE: {folder: mine}}\n"
    space = reader.load(str(tiny.written(tmp_path, text)))
    found = datasets.find(space, None, tmp_path / "out", write=False)
    assert set(found.fingerprints.values()) == {datasets.ABSENT}
    (problem,) = found.problems  # of the folder that the space names
    assert "datasets.DRIVE.folder" in problem


@pytest.mark.parametrize("below", ["", "DRIVE", "DRIVE/training/runs"])
def test_results_never_lie_among_original_files(below: str, tmp_path: Path) -> None:
    data, space = tiny.data(tmp_path / "data"), reader.load(str(tiny.written(tmp_path)))
    with pytest.raises(InputError, match=r"--out .*; another folder is accepted"):
        datasets.check_results(space, data, data / below)
    for accepted in (data / "runs", tmp_path / "runs", tmp_path):
        datasets.check_results(space, data, accepted)
