"""Cells: the same n, mean and planned wherever they are shown, compared with slow and obvious counts."""

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from scipy import stats

from grid import query, results
from grid.claims import scores
from grid.report import export, trial_section
from grid.report.tables import print_tables
from grid.results import effects
from grid.results.cells import Cell, Repeat, find_cells
from grid.results.comparisons import differences, intervals
from grid.results.display import format_cell
from grid.results.groups import compared_groups
from medpt.errors import InputError

PROTOCOLS = {
    "aaaaaaaa": {"learning_rate": 0.1, "size": 32},
    "bbbbbbbb": {"learning_rate": 0.01, "size": 32},
    "cccccccc": {"pretrain.max_steps": 100},
    "dddddddd": {"pretrain.max_steps": 200},
}
TARGETS = {"DRIVE": ("unet", "miou"), "HRF": ("unet", "miou"), "ChestXRay2017": ("classifier", "auc")}
SOURCES = {"random": ("",), "imagenet*": ("",), "EyePACS-5k": ("cccccccc", "dddddddd")}
STATES = ("finished", "finished", "finished", "failed", "blocked", "running", "missing")
IDENTITY = ("initialization", "target", "target_size", "protocol", "source_protocol")
KINDS = st.tuples(
    st.sampled_from([(name, source) for name, hashes in SOURCES.items() for source in hashes]),
    st.sampled_from(sorted(TARGETS)),
    st.sampled_from([1.0, 0.5]),
    st.sampled_from(["aaaaaaaa", "bbbbbbbb"]),
)
Kind = tuple[tuple[str, str], str, float, str]  # initialization and its protocol, target, share, protocol
Row = dict[str, Any]
FEW = settings(max_examples=30)  # each example makes frames


@st.composite
def trials(draw: st.DrawFn) -> list[Row]:
    """Trials of a few cells with gaps, failures and up to two protocols each, in one or two experiments."""
    rows = []
    for kind in draw(st.lists(KINDS, min_size=1, max_size=8, unique=True)):
        for seed in draw(st.lists(st.integers(0, 3), min_size=1, max_size=4, unique=True)):
            value = draw(st.none() | st.floats(0, 1))
            row = trial(kind, seed, draw(st.sampled_from(STATES)), value)
            experiments = draw(st.sampled_from([("one",), ("two",), ("one", "two")]))
            rows += [row | {"experiment": name} for name in experiments]
    return rows


def trial(kind: Kind, seed: int, state: str, value: float | None) -> Row:
    (name, source), target, size, protocol = kind
    architecture, metric = TARGETS[target]
    row = {
        "experiment": "one",
        "initialization": name,
        "source": name.removesuffix("-5k"),
        "sample_size": 5000 if name.endswith("-5k") else None,
        "backbone": "resnet18",
        "architecture": architecture,
        "target": target,
        "target_size": size,
        "seed": seed,
        "protocol": protocol,
        "source_protocol": source,
        "status": "finished" if state == "finished" else "missing",
        "state": state,
        "auc": None,
        "miou": None,
        metric: value,
    }
    return row | {"digest": repr((kind, seed))}


def frame_of(rows: list[Row]) -> pd.DataFrame:
    frame = pd.DataFrame(rows).astype({"auc": float, "miou": float})
    frame.attrs["protocols"] = PROTOCOLS
    return frame


def counted(rows: list[Row]) -> dict[tuple[Any, ...], tuple[int, int, float]]:
    """Finished, planned and mean of each cell, by a look at every trial for every cell."""
    found = {}
    for identity in dict.fromkeys(identity_of(row) for row in rows):
        units = {row["digest"]: row for row in rows if identity_of(row) == identity}.values()
        known = [row[TARGETS[row["target"]][1]] for row in units if row["state"] == "finished"]
        values = [100 * value for value in known if value is not None]
        found[identity] = (len(values), len(units), sum(values) / len(values) if values else math.nan)
    return found


def identity_of(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in IDENTITY)


def same(found: Iterable[tuple[int, int, float]], expected: Iterable[tuple[int, int, float]]) -> None:
    """Compare as sets with repetition; means to eight digits."""

    def rounded(entries: Iterable[tuple[int, int, float]]) -> Counter[tuple[int, int, str]]:
        return Counter((int(n), int(planned), f"{mean:.8f}") for n, planned, mean in entries)

    assert rounded(found) == rounded(expected)


@given(trials())
@FEW
def test_table_of_cells_has_the_counted_numbers(rows: list[Row]) -> None:
    table: list[Row] = results.cells(frame_of(rows)).to_dict("records")  # type: ignore[assignment]
    expected = counted(rows)
    assert [identity_of(row) for row in table] == list(expected)
    for row, numbers in zip(table, expected.values(), strict=True):
        assert (row["n"], row["planned"], row["mean"]) == pytest.approx(numbers, nan_ok=True)


@given(trials(), st.sampled_from(["auc", "miou"]), st.lists(st.sampled_from(query.BY), unique=True))
@FEW
def test_query_shows_every_cell_whatever_by_names(rows: list[Row], metric: str, by: list[str]) -> None:
    options = query.QueryOptions("made", by=by, metric=metric)
    expected = {name: numbers for name, numbers in counted(rows).items() if TARGETS[name[1]][1] == metric}
    if not any(row[metric] is not None for row in rows):
        with pytest.raises(InputError, match=f"--metric {metric}: no finished trial has it"):
            query.answer(frame_of(rows), options)
        return
    table = query.answer(frame_of(rows), options)
    same(zip(table["n"], table["planned"], table["mean"], strict=True), expected.values())
    named = table.drop(columns=["metric", "mean", "std", "low", "high", "n", "planned"])
    assert not named.duplicated().any()


@given(trials())
@FEW
def test_report_table_has_the_counted_numbers(rows: list[Row]) -> None:
    table = list(csv.DictReader(io.StringIO(export.to_csv(find_cells(frame_of(rows))))))
    found = [(int(row["n"]), int(row["planned"]), float(row["mean"] or "nan")) for row in table]
    expected = [(n, planned, round(mean, 4)) for n, planned, mean in counted(rows).values()]
    same(found, expected)


@given(trials())
@FEW
def test_terminal_shows_every_cell_once(rows: list[Row]) -> None:
    """Metrics without a finished trial have no table."""
    console = Console(width=1000, file=io.StringIO(), highlight=False)
    cells = find_cells(frame_of(rows))
    print_tables(cells, console)
    assert isinstance(console.file, io.StringIO)
    lines = [re.split(" {2,}", line.strip()) for line in console.file.getvalue().splitlines()]
    printed = Counter(text for line in lines if "resnet18" in line[0] for text in line[2:])
    shown = [cell for cell in cells if any(other.n for other in cells if other.metric == cell.metric)]
    assert printed == Counter(map(format_cell, shown))


@given(trials())
@FEW
def test_claims_have_the_counted_numbers_or_refuse_two_protocols(rows: list[Row]) -> None:
    expected = counted(rows)
    names = Counter(identity[:3] for identity in expected)
    if max(names.values()) > 1:
        with pytest.raises(InputError, match=r"cells under several protocols \(.*(learning_rate|max_steps)"):
            scores.from_trials(frame_of(rows), "score")
        return
    found = scores.from_trials(frame_of(rows), "score").cells.values()
    numbers = [entry for entry in expected.values() if entry[0]]
    same([(score.n, score.planned, score.mean) for score in found], numbers)


@given(trials())
@FEW
def test_one_frame_gives_one_interval_everywhere(rows: list[Row]) -> None:
    """Compare, query, effects and sections have equal differences; table and query have equal cells."""
    frame = frame_of(rows)
    cells = find_cells(frame)
    groups = compared_groups(cells)
    truth = {d.cell.key: d for group in groups.values() for d in differences(group)}
    limits = {key: one for group in groups.values() for key, one in intervals(group).items()}
    options = query.QueryOptions("made", where={"target": ("DRIVE",)})

    for row in query.answer(frame, options).to_dict("records") if has(rows, "DRIVE") else ():
        (cell,) = [c for c in cells if same_cell(c, row)]
        one = limits.get(cell.key)
        assert (row["low"], row["high"]) == pytest.approx(
            (one.low, one.high) if one else (math.nan, math.nan), nan_ok=True
        )
    by_gain = effects.effects(cells, effects.GROUP).to_dict("records")
    shown = {(d.cell.label, d.cell.key.group, d.cell.settings): d for d in truth.values()}
    gains = [row for row in by_gain if row["compared"]]
    assert len(gains) == len(shown)
    for difference in truth.values():
        (row,) = [r for r in gains if of_group(r, difference.cell)]
        expected = (difference.value, difference.low, difference.high, difference.p)
        assert (row["gain"], row["low"], row["high"], row["p"]) == pytest.approx(expected, nan_ok=True)
    for gain in trial_section.gains(cells, truth):
        assert gain == truth[gain.cell.key]


def has(rows: list[Row], target: str) -> bool:
    return any(row["target"] == target for row in rows)


def same_cell(cell: Cell, row: dict[Any, Any]) -> bool:
    names = [name for name in ("initialization", "target", "target_size") if name in row]
    known = all(getattr(cell.key, name) == row[name] for name in names)
    return (
        known
        and row.get("settings", cell.differences) == cell.differences
        and cell.column[1] == row.get("target_size", cell.column[1])
    )


def of_group(row: dict[Any, Any], cell: Cell) -> bool:
    factors = all(row[name] == getattr(cell.key, name) for name in effects.GROUP)
    return (
        factors
        and row["initialization"] == cell.label
        and row.get("settings", cell.settings) == cell.settings
    )


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
    assert results.cells(frame_of(rows), "miou", ["target"])["settings"].to_list() == [
        "learning_rate 0.1, pretrain.max_steps 100",
        "learning_rate 0.01, pretrain.max_steps 100",
        "learning_rate 0.1, pretrain.max_steps 200",
    ]


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
