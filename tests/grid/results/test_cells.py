"""Cells: what makes one, which repeats it has, and how it is named and written."""

import math

import numpy as np
import pandas as pd
import pytest
from drawn_frames import TARGETS, frame_of, trial
from scipy import stats

from grid import query, results
from grid.results.cells import Cell, Repeat, find_cells
from grid.results.comparisons import differences
from grid.results.display import format_cell
from grid.results.groups import compared_groups
from medpt.errors import InputError

START = ("EyePACS-5k", "cccccccc")


def test_two_protocols_are_two_cells_that_name_what_differs() -> None:
    rows = [trial((START, "DRIVE", 1.0, name), 0, "finished", 0.5) for name in ("aaaaaaaa", "bbbbbbbb")]
    rows.append(trial((("EyePACS-5k", "dddddddd"), "DRIVE", 1.0, "aaaaaaaa"), 0, "finished", 0.5))
    cells = find_cells(frame_of(rows))
    assert [(cell.network_id, cell.label) for cell in cells] == [
        ("unet/resnet18 [learning_rate 0.1]", "EyePACS-5k [pretrain.max_steps 100]"),
        ("unet/resnet18 [learning_rate 0.01]", "EyePACS-5k [pretrain.max_steps 100]"),
        ("unet/resnet18 [learning_rate 0.1]", "EyePACS-5k [pretrain.max_steps 200]"),
    ]
    table = results.cells(frame_of(rows), "miou", ["target"])
    assert table["learning_rate"].to_list() == [0.1, 0.01, 0.1]
    assert table["settings"].to_list() == [f"pretrain.max_steps {steps}" for steps in (100, 100, 200)]


def test_one_protocol_is_not_named() -> None:
    cells = find_cells(
        frame_of([trial((START, name, 1.0, "aaaaaaaa"), 0, "finished", 0.5) for name in TARGETS])
    )
    assert [(cell.network, cell.label) for cell in cells][:2] == [("U-Net / ResNet-18", "EyePACS-5k")] * 2


def test_protocols_of_joined_frames_are_named_by_their_hashes() -> None:
    frames = [
        frame_of([trial((START, "DRIVE", 1.0, name), 0, "finished", 0.5)])
        for name in ("aaaaaaaa", "bbbbbbbb")
    ]
    for number, frame in enumerate(frames):
        frame.attrs["protocols"] = {"space": number}
    assert [cell.settings for cell in find_cells(pd.concat(frames))] == [
        "protocol aaaaaaaa",
        "protocol bbbbbbbb",
    ]


def test_units_of_unrecorded_protocols_are_refused_where_they_are_one_repeat() -> None:
    row = trial((("random", ""), "DRIVE", 1.0, ""), 0, "finished", 0.5)
    frame = frame_of([row, row | {"digest": "another"}])
    with pytest.raises(InputError, match=r"random → DRIVE, unet/resnet18: 2 units are seed 0 of one cell"):
        find_cells(frame)


def test_frame_without_protocols_and_states_is_read() -> None:
    rows = [trial((("random", ""), "DRIVE", 1.0, "aaaaaaaa"), seed, "finished", 0.5) for seed in range(2)]
    frame = frame_of(rows).drop(columns=["protocol", "source_protocol", "state", "status"])
    frame.loc[1, "miou"] = math.nan
    (cell,) = find_cells(frame)
    assert (cell.key.protocol, cell.values, cell.states) == (
        "",
        {Repeat(0, 0, 0): 50.0},
        {"finished": 1, "missing": 1},
    )


def test_counts_of_steps_are_not_scaled() -> None:
    row = trial((("random", ""), "DRIVE", 1.0, "aaaaaaaa"), 0, "finished", 0.5)
    (cell,) = find_cells(frame_of([row | {"steps_to_95": 120.0}]), "steps_to_95")
    assert cell.mean == 120.0


def test_by_seed_and_experiment_divide_cells() -> None:
    row = trial((("random", ""), "DRIVE", 1.0, "aaaaaaaa"), 0, "finished", 0.5)
    other = trial((("random", ""), "DRIVE", 1.0, "aaaaaaaa"), 1, "finished", 0.7)
    frame = frame_of([row, row | {"experiment": "two"}, other])
    assert results.cells(frame, "miou", ["experiment"])["planned"].to_list() == [2, 1]
    assert results.cells(frame, "miou", ["seed"])["mean"].to_list() == pytest.approx([50.0, 70.0])
    assert results.cells(frame, "miou", ["target"])[["n", "planned"]].to_numpy().tolist() == [[2, 2]]


def test_pretrain_seeds_are_repeats_of_one_cell() -> None:
    kind = (("ISIC2019", "bbbbbbbb"), "DRIVE", 1.0, "aaaaaaaa")
    runs = [(0, 0, 0.5), (0, 1, 0.7), (1, 0, 0.9)]  # pre-training, seed, value
    rows = [
        trial(kind, seed, "finished", value) | {"pretrain_seed": source, "digest": f"{source}{seed}"}
        for source, seed, value in runs
    ]
    rows.append(trial((("random", ""), *kind[1:]), 0, "finished", 0.4) | {"pretrain_seed": None})
    frame = frame_of(rows).astype({"pretrain_seed": "Int64"})
    source, random = find_cells(frame, "miou")
    assert [repeat.label for repeat in source.values] == ["seed 0", "seed 1", "pre-training 1, seed 0"]
    assert source.mean == pytest.approx((60 + 90) / 2)
    assert [repeat.label for repeat in random.values] == ["seed 0"]
    assert [
        difference.subject for difference in differences(*compared_groups([source, random]).values())
    ] == ["this source"]
    divided = results.cells(frame, "miou", ["pretrain_seed"])
    assert divided["mean"].to_list() == pytest.approx([60.0, 90.0, 40.0])


def test_infinite_value_is_undefined() -> None:
    kind = (("random", ""), "DRIVE", 1.0, "aaaaaaaa")
    values = (0.5, math.inf, -math.inf, 0.7)
    (cell,) = find_cells(frame_of([trial(kind, seed, "finished", v) for seed, v in enumerate(values)]))
    assert (cell.n, cell.undefined, cell.mean) == (2, 2, pytest.approx(60))


def test_folds_have_the_corrected_resampled_variance() -> None:
    numbers = {"random": [50, 52, 51, 49, 50], "ISIC2019": [53, 55, 52, 53, 54]}
    rows = [
        trial(((name, ""), "DRIVE", 1.0, "aaaaaaaa"), 0, "finished", value / 100)
        | {"fold": fold, "digest": f"{name}{fold}"}
        for name, values in numbers.items()
        for fold, value in enumerate(values)
    ]
    (group,) = compared_groups(find_cells(frame_of(rows), "miou")).values()
    (difference,) = differences(group)
    gains = np.subtract(numbers["ISIC2019"], numbers["random"])
    reach = stats.t.ppf(0.975, 4) * math.sqrt(gains.var(ddof=1) * (1 / 5 + 0.25))
    assert difference.value == pytest.approx(gains.mean())
    assert (difference.low, difference.high) == pytest.approx((gains.mean() - reach, gains.mean() + reach))
    assert difference.note == "repeated splits of the data"
    assert [repeat.label for repeat in difference.cell.values][:2] == ["seed 0", "split 1, seed 0"]


def test_repeats_are_counted_by_what_was_repeated() -> None:
    rows = [
        trial((("random", ""), "DRIVE", 1.0, "aaaaaaaa"), seed, "failed" if fold == 4 else "finished", 0.5)
        | {"fold": fold, "digest": f"{fold}{seed}"}
        for fold in range(5)
        for seed in range(2)
    ]
    table = results.cells(frame_of(rows), "miou")
    assert table["repeated"].tolist() == ["8 of 10 (2 of 2 seeds, 4 of 5 splits)"]
    names, shown = query.texts(table, "cells")
    assert dict(zip(names, shown[0], strict=True))["repeats"] == "8 of 10 (2 of 2 seeds, 4 of 5 splits)"
    assert "seeds" not in names
    seeds_alone = results.cells(frame_of([row for row in rows if row["fold"] == 0]), "miou")
    names, shown = query.texts(seeds_alone, "cells")
    assert dict(zip(names, shown[0], strict=True))["seeds"] == "2 of 2"
    assert "repeats" not in names


def test_unknown_factor_is_named() -> None:
    row = trial((("random", ""), "DRIVE", 1.0, "aaaaaaaa"), 0, "finished", 0.5)
    with pytest.raises(InputError, match="--by targt: no such factor; did you mean target"):
        results.cells(frame_of([row]), by=["targt"])


def test_module_and_function_of_one_name_are_both_importable() -> None:
    assert (
        results.cells(frame_of([trial((("random", ""), "DRIVE", 1.0, ""), 0, "missing", None)])).shape[0] == 1
    )
    assert Cell.__module__ == "grid.results.cells"


@pytest.mark.parametrize(
    ("values", "state", "text", "latex"),
    [
        ([0.5, 0.7], "finished", "60.00 ± 14.14", "60.00 $\\pm$ 14.14"),
        ([0.5, 0.7, None], "missing", "60.00 ± 14.14 (2 of 3)", "60.00 $\\pm$ 14.14 (2 of 3)"),
        ([0.5], "finished", "50.00", "50.00"),
        ([None], "missing", "– (0 of 1)", "-- (0 of 1)"),
        ([None, None], "failed", "failed (0 of 2)", "failed (0 of 2)"),
        ([None], "finished", "undef (0 of 1)", "undef (0 of 1)"),
    ],
)
def test_cell_is_written_with_two_decimals(
    values: list[float | None], state: str, text: str, latex: str
) -> None:
    rows = [
        trial((("random", ""), "DRIVE", 1.0, ""), seed, state if value is None else "finished", value)
        for seed, value in enumerate(values)
    ]
    (cell,) = find_cells(frame_of(rows))
    assert (format_cell(cell), format_cell(cell, "latex")) == (text, latex)
