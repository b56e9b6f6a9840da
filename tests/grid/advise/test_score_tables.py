"""Scores from the paper's cells, from CSV files and from a finished space."""

from pathlib import Path

import made_space
import numpy as np
import pytest

from grid.advise.score_tables import csv_table, paper_table, space_table
from grid.results import frame
from medpt.errors import InputError

LONG = "source,target,score,probe\nrandom,A,70,60\nEyePACS,A,80,55\nrandom,B,71.5,\nEyePACS,B,75,90\n"
WIDE = "source,A,B\nrandom,70,71.5\nEyePACS,80,75\n"


def test_paper_has_six_sources_on_three_targets_of_classes() -> None:
    table = paper_table("classification")
    assert set(table.sources) == {"random", "ADE20K", "SS-Context", "SS-Jigsaw", "CheXpert", "EyePACS"}
    assert set(table.names) == {"ChestXRay2017", "MESSIDOR", "CIFAR-100"}
    assert table.scores.shape == (6, 6)
    assert table.scores[table.sources.index("random"), table.targets.index("ChestXRay2017")] == 92.17
    assert paper_table("multilabel").names == table.names


def test_paper_has_five_targets_of_masks_and_sources_of_both_tables() -> None:
    table = paper_table("segmentation")
    assert set(table.names) == {"DRISHTI-GS", "DRIVE", "HRF", "CardiacMRI", "NIH-CT-82"}
    assert {"REFUGE-OD", "ADE20K-Seg", "EyePACS", "random"} <= set(table.sources)
    assert set(table.of_targets(table.names).sources) == set(table.sources)


@pytest.mark.parametrize("text", [LONG, WIDE])
def test_csv_file_is_long_or_wide(text: str, tmp_path: Path) -> None:
    (tmp_path / "scores.csv").write_text(text)
    table = csv_table(tmp_path / "scores.csv")
    assert table.sources == ("random", "EyePACS")
    assert table.targets == ("A", "B")
    np.testing.assert_allclose(table.scores, [[70, 71.5], [80, 75]])
    if text == LONG:
        np.testing.assert_allclose(table.choosers["probe"], [[60, np.nan], [55, 90]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,A\nrandom,1\n", "accepted: columns source, target, score"),
        ("source,target,score\nr,A,high\n", "column score has values that are no numbers"),
        ("source,target,score\nr,A,1\nr,A,2\n", "two rows of r on A"),
        ("", "cannot be read as CSV"),
        ("source,target,score\nr,A,inf\n", "column score has inf; up to 1e\\+06 is accepted"),
        ("source,target,score\nr,A,-2e6\n", "column score has 2e\\+06; up to"),
        ("source,target,score\nr,A,\n", "no score is there"),
        ("source,target,score\nr,,1\n", "a row without source or target"),
        ("source,A,A\nr,1,2\n", "the column A is there twice"),
    ],
)
def test_csv_file_of_something_else_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "scores.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        csv_table(tmp_path / "scores.csv")


def test_missing_csv_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path, Path("/dev/zero")):
        with pytest.raises(InputError, match=f"{path}: no such file; accepted: columns"):
            csv_table(path)


def test_finished_space_has_a_column_for_each_comparison_group(tmp_path: Path) -> None:
    plan = made_space.plan(tmp_path, made_space.SPACE.replace("controls: false", "probes: true"), "made")
    made_space.publish(plan, tmp_path / "runs", set(), {})
    found = frame.load("made", str(tmp_path / "runs"))
    table = space_table(found, "made")
    assert table.sources == ("random", "ISIC2019", "ADE20K")
    assert table.targets == ("ChestXRay2017", "DRIVE", "DRIVE")
    assert np.isfinite(table.scores).tolist() == [[True] * 3, [True] * 3, [True, False, False]]
    (name,) = [name for name in table.choosers if "frozen probe" in name and "micro-AUC" in name]
    assert np.isfinite(table.choosers[name]).tolist() == [
        [False] * 3,
        [True, False, False],
        [True, False, False],
    ]
    assert space_table(found, "made", "segmentation").names == ("DRIVE",)
