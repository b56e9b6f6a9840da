"""Values of a field that the validation set selects: never by test, and the same in every table."""

import io
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from grid import query, results
from grid.plan.initialization import space_datasets
from grid.plan.plan import Plan
from grid.plan.planner import build_plan
from grid.report.tables import print_tables
from grid.results.cells import find_cells
from grid.results.effects import effects
from grid.results.selection import score, select
from grid.space import load
from grid.space.protocols import Values
from medpt.errors import InputError

RATES = {"aaaaaaaa": 1e-3, "bbbbbbbb": 1e-4, "cccccccc": 1e-5}
PROTOCOLS: dict[str, Values] = {
    name: {"learning_rate": rate, "weight_clip": [0.1, 20], "size": 32} for name, rate in RATES.items()
}
Row = dict[str, Any]
SCORES = st.floats(0, 1, width=32)


def trial(initialization: str, protocol: str, seed: int, validation: float, test: float) -> Row:
    return {
        "experiment": "one",
        "initialization": initialization,
        "source": initialization,
        "sample_size": None,
        "backbone": "resnet18",
        "architecture": "unet",
        "target": "DRIVE",
        "target_size": 1.0,
        "seed": seed,
        "pretrain_seed": None,
        "fold": None,
        "protocol": protocol,
        "source_protocol": "",
        "headline": "miou",
        "status": "finished",
        "val_miou": validation,
        "miou": test,
        "learning_rate": RATES[protocol],
        "digest": f"{initialization} {protocol} {seed}",
    }


def frame_of(rows: Sequence[Row]) -> pd.DataFrame:
    """The frame that grid.results.load gives of a space that selects the learning rate."""
    found = select(rows, ["learning_rate"], PROTOCOLS)
    frame = pd.DataFrame(rows).assign(selected=found.kept, compared_protocol=found.compared)
    frame.attrs |= {"protocols": PROTOCOLS | dict(found.protocols), "select": ("learning_rate",)}
    return frame


@st.composite
def trials(draw: st.DrawFn) -> list[Row]:
    keys = list(product(["random", "EyePACS"], RATES, range(draw(st.integers(1, 3)))))
    rows = [trial(*key, draw(SCORES), draw(SCORES)) for key in keys]
    for row in draw(st.lists(st.sampled_from(rows), max_size=3)):
        row |= {"status": "failed", "val_miou": None, "miou": None}
    return rows


@given(trials(), st.randoms())
def test_selection_does_not_depend_on_the_test_scores(rows: list[Row], random: Any) -> None:
    scores = [row["miou"] for row in rows]
    random.shuffle(scores)
    permuted = [row | {"miou": value} for row, value in zip(rows, scores, strict=True)]
    found, other = (select(each, ["learning_rate"], PROTOCOLS) for each in (rows, permuted))
    assert (found.kept, found.notes) == (other.kept, other.notes)


def rank(rows: Sequence[Row]) -> tuple[bool, float]:
    known = [row["val_miou"] for row in rows if row["status"] == "finished"]
    return len(known) == len(rows), mean(known) if known else -1.0


@given(trials())
def test_each_cell_keeps_the_value_with_the_best_mean_validation_score(rows: list[Row]) -> None:
    for cell in find_cells(frame_of(rows)):
        own = [row for row in rows if row["initialization"] == cell.key.initialization]
        members = {rate: [row for row in own if row["learning_rate"] == rate] for rate in RATES.values()}
        best = max(members, key=lambda rate: rank(members[rate]))
        assert cell.fields["learning_rate"] == best
        assert cell.planned == len(own) // len(RATES)


ROWS = [
    trial("random", "aaaaaaaa", 0, 0.5, 0.9),
    trial("random", "bbbbbbbb", 0, 0.6, 0.4),
    trial("EyePACS", "aaaaaaaa", 0, 0.8, 0.5),
    trial("EyePACS", "bbbbbbbb", 0, 0.7, 0.95),
]


def test_selected_cells_are_compared_with_each_other() -> None:
    """Random weights at 1e-4 and a source at 1e-3 are one comparison group, as each was tuned."""
    frame = frame_of(ROWS)
    random, source = find_cells(frame)
    assert (random.mean, source.mean) == (40, 50)
    assert random.key.group == source.key.group
    assert (random.label, source.label) == ("random", "EyePACS")
    table = results.compare(frame)
    assert table[["initialization", "learning_rate", "difference"]].values.tolist() == [["EyePACS", 1e-3, 10]]
    (gain,) = effects([random, source])["gain"]
    assert gain == pytest.approx(10)


def test_query_names_the_selected_value_and_finds_it() -> None:
    frame = frame_of(ROWS)
    table = query.answer(frame, query.QueryOptions("made"))
    assert table[["initialization", "learning_rate", "mean"]].values.tolist() == [
        ["random", 1e-4, 40],
        ["EyePACS", 1e-3, 50],
    ]
    found = query.answer(frame, query.QueryOptions("made", where={"learning_rate": ("1e-3",)}))
    assert found["initialization"].to_list() == ["EyePACS"]


def test_terminal_names_no_selected_value_of_a_row_whose_targets_differ_in_it() -> None:
    """The first target has 1e-4, the second 1e-3; the notes say so."""
    rows = [trial("random", "aaaaaaaa", 0, 0.8, 0.5), trial("random", "bbbbbbbb", 0, 0.7, 0.6)]
    other = [row | {"target": "HRF", "digest": f"HRF {row['digest']}"} for row in rows]
    other[0]["val_miou"] = 0.1
    console = Console(width=200, file=io.StringIO())
    print_tables(find_cells(frame_of([*rows, *other])), console)
    assert isinstance(console.file, io.StringIO)
    assert [line.split() for line in console.file.getvalue().splitlines()[1:]] == [
        ["network", "initialization", "DRIVE", "HRF"],
        ["unet/resnet18", "random", "50.00", "60.00"],
    ]


def test_selection_says_what_was_selected_and_why() -> None:
    notes = select(ROWS, ["learning_rate"], PROTOCOLS).notes
    assert notes[0] == (
        "random → DRIVE, unet/resnet18: learning_rate 0.0001 is selected by a mean validation miou of "
        "0.6000, of learning_rate 0.001, learning_rate 0.0001"
    )
    assert len(notes) == 2


def test_value_with_an_unfinished_trial_is_selected_only_without_another() -> None:
    failed = trial("random", "aaaaaaaa", 1, 0.9, 0.9) | {"status": "failed", "val_miou": None}
    rows = [trial("random", "aaaaaaaa", 0, 0.9, 0.9), failed]
    rows += [trial("random", "bbbbbbbb", seed, 0.2, 0.2) for seed in (0, 1)]
    found = select(rows, ["learning_rate"], PROTOCOLS)
    assert found.kept == [False, False, True, True]
    assert "not all trials of learning_rate 0.001 are finished" in found.notes[0]
    assert select(rows[:2], ["learning_rate"], PROTOCOLS).kept == [True, True]


def test_score_is_the_mean_over_splits_of_the_mean_over_seeds() -> None:
    rows = [
        trial("random", "aaaaaaaa", seed, value, 0) | {"fold": fold} for seed, fold, value in SPLIT_SCORES
    ]
    for row in rows:
        row["digest"] += str(row["fold"])
    assert score([*rows, rows[0]]) == pytest.approx(((0.2 + 0.4) / 2 + 0.9) / 2)


SPLIT_SCORES = [(0, 0, 0.2), (1, 0, 0.4), (0, 1, 0.9)]
SPACE = """
phantom: {{}}
finetune: {{validation_fraction: {fraction}}}
select: {{{select}}}
experiments:
  - initialization: [random]
    target: [DRIVE]
    factors: {{learning_rate: [1e-4, 1e-3]}}
"""


def plan(folder: Path, select: str = "learning_rate: validation", fraction: float = 0.1) -> Plan:
    path = folder / "space.yaml"
    path.write_text(SPACE.format(select=select, fraction=fraction))
    space = load(str(path))
    return build_plan(space, dict.fromkeys(space_datasets(space), "f" * 64), {})


def test_plan_keeps_what_is_selected(tmp_path: Path) -> None:
    made = plan(tmp_path)
    assert made.select == Plan.from_json(made.to_json()).select == ("learning_rate",)


@pytest.mark.parametrize(
    ("select", "fraction", "message"),
    [
        ("learning_rate: test", 0.1, "`learning_rate` is 'test'"),
        ("rate: validation", 0.1, "rate"),
        ("learning_rate: validation", 0, "`select` needs a validation set"),
    ],
)
def test_unfit_selections_are_refused(tmp_path: Path, select: str, fraction: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan(tmp_path, select, fraction)
