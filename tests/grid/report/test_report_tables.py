"""Cells, contrasts and LaTeX against slow and obvious ways to get them."""

import math
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_cells import cells, made, trial

from grid.report import export, findings, tables
from grid.results.cells import Repeat

SCORES = st.lists(st.floats(0, 1), min_size=0, max_size=5)


@given(SCORES, st.integers(0, 4))
def test_cell_is_the_mean_of_finished_seeds(values: list[float], lost: int) -> None:
    if not values and not lost:
        return
    (cell,) = made("random", values, len(values) + lost)
    assert (cell.n, cell.planned, cell.missing) == (len(values), len(values) + lost, lost)
    if not values:
        assert math.isnan(cell.mean)
    else:
        assert cell.mean == pytest.approx(np.mean(values) * 100)
    if len(values) < 2:
        assert math.isnan(cell.std)
    else:
        assert cell.std == pytest.approx(np.std(values, ddof=1) * 100, abs=1e-9)


def test_cell_ignores_values_of_unfinished_trials() -> None:
    (cell,) = cells(trial(0, 0.5), trial(1, 0.9, "running"), trial(2, float("nan")))
    assert cell.values == {Repeat(0, 0, 0): 50.0}
    assert (cell.n, cell.planned) == (1, 3)


def test_cell_counts_a_finished_trial_without_a_number_as_undefined() -> None:
    (cell,) = cells(trial(0, float("nan")), trial(1, float("nan")))
    assert (cell.n, cell.undefined, cell.missing) == (0, 2, 0)
    assert export.latex_cell(cell, math.nan) == "undef (0 of 2)"
    assert export.to_csv([cell]).splitlines()[1].endswith(",,,0,2,0,0,2,0")


def test_cell_counts_a_unit_of_two_experiments_once() -> None:
    (cell,) = cells(trial(0, 0.5), trial(0, 0.5, experiment="two"), trial(1, 0.7))
    assert (cell.n, cell.planned, cell.experiments) == (2, 2, ("one", "two"))


def test_metric_follows_the_task() -> None:
    both = cells(
        trial(0, 0.5) | {"auc": None},
        trial(0, None, target="ISIC2019", architecture="classifier") | {"auc": 0.9},
    )
    assert [(cell.metric, cell.mean) for cell in both] == [("miou", 50.0), ("auc", 90.0)]


@pytest.mark.parametrize(
    ("random", "trained", "verdict"),
    [
        ([0.70, 0.71, 0.72], [0.80, 0.81, 0.82], "better"),
        ([0.70, 0.71, 0.72], [0.60, 0.61, 0.62], "worse"),
        ([0.700, 0.701, 0.702], [0.701, 0.702, 0.703], "equivalent"),
        ([0.70, 0.76], [0.74, 0.75], "undecided"),
        ([0.70], [0.80], "undecided"),
        ([], [0.80, 0.81], "none"),
        ([0.70, 0.72], [], "none"),
    ],
)
def test_verdicts(random: list[float], trained: list[float], verdict: str) -> None:
    (contrast,) = tables.contrasts([*made("random", random, 3), *made("ISIC2019", trained, 3)])
    assert contrast.verdict == verdict


def test_contrast_compares_the_best_of_several() -> None:
    group = [*made("random", [0.5, 0.5]), *made("ISIC2019", [0.6, 0.7]), *made("ADE20K", [0.8, 0.7])]
    (contrast,) = tables.contrasts(group)
    assert contrast.best is group[2]
    assert contrast.gain == pytest.approx(25)
    assert contrast.among_best == ("ADE20K", "ISIC2019")  # ten points apart, and two seeds each


def test_latex_bold_is_the_best_of_a_block() -> None:
    (table,) = tables.tables([*made("random", [], 2), *made("ISIC2019", [0.6, 0.7])])
    (block,) = table.blocks
    assert block.best(0) == pytest.approx(65)
    assert export.latex_cell(block.rows[0][1][0], block.best(0)) == "-- (0 of 2)"
    assert export.latex_cell(block.rows[1][1][0], block.best(0)) == "\\textbf{65.00} $\\pm$ 7.07"


def test_answer_counts_verdicts_and_names_all_that_may_be_best() -> None:
    found = [
        *tables.contrasts([*made("random", [0.7, 0.71, 0.7]), *made("ISIC2019", [0.8, 0.81, 0.8])]),
        *tables.contrasts([*made("random", [0.7, 0.71, 0.7]), *made("ADE20K", [0.6, 0.61, 0.6])]),
    ]
    assert findings.answer(found) == (
        "Over 2 pairs of target and network, the pre-training with the highest mean is better than random "
        "weights in 1 (by 10.0 points) and is worse than random weights in 1 (by 10.0 points). Most often "
        "among those that cannot be distinguished from the best: ISIC2019 (1 of 2)."
    )
    assert "no comparison" in findings.answer([])
    assert findings.answer(found[:1]) == (
        "ISIC2019 is better than random weights for DRIVE (U-Net / ResNet-18): +10.00 points."
    )


def test_headlines_begin_with_the_largest_gain_that_is_decided() -> None:
    def against(*trained: float) -> tables.Contrast:
        (found,) = tables.contrasts([*made("random", [0.7, 0.71, 0.7]), *made("ISIC2019", trained)])
        return found

    unknown, worse, small, large = (
        against(0.7, 0.9, 0.5),
        against(0.4, 0.41, 0.4),
        against(0.8, 0.81, 0.8),
        against(0.9, 0.91, 0.9),
    )
    alone = tables.contrasts(made("random", [0.7, 0.71]))
    assert findings.headlines([unknown, worse, small, *alone, large]) == [large, small, worse, unknown]
    assert "in 2 (by 10.0 to 20.0 points)," in findings.answer([unknown, worse, small, large])


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX here")
def test_latex_compiles(tmp_path: Path) -> None:
    hostile = made("a_b & 50 % #1 {x} ~^\\ <$>", [0.5, 0.6])
    (tmp_path / "table.tex").write_text(export.to_latex(hostile, {("DRIVE", 1.0): 47.0}))
    document = "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\\input{table}\\end{document}"
    (tmp_path / "main.tex").write_text(document)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == 0


def test_latex_escapes_special_characters() -> None:
    assert export.escape("50%_a&b#$") == "50\\%\\_a\\&b\\#\\$"
    assert export.escape("\\{}") == "\\textbackslash{}\\{\\}"
