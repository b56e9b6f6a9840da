"""One frame has the same numbers wherever they are shown, compared with slow and obvious counts."""

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
from drawn_frames import TARGETS, Row, frame_of, trials
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from grid import query, results
from grid.claims import scores
from grid.report import export, trial_section
from grid.report.tables import print_tables
from grid.results import effects
from grid.results.cells import Cell, find_cells
from grid.results.comparisons import differences, intervals
from grid.results.display import format_cell
from grid.results.groups import compared_groups
from grid.results.protocol_columns import factors
from medpt.errors import InputError

IDENTITY = ("initialization", "target", "target_size", "protocol", "source_protocol")
FEW = settings(max_examples=30)  # each example makes frames


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


def after(line: list[str], labels: set[str]) -> list[str]:
    """The texts behind the initialization, before which fields of the protocol may stand."""
    return line[next(place for place, text in enumerate(line) if text in labels) + 1 :]


@given(trials())
@FEW
def test_terminal_shows_every_cell_once(rows: list[Row]) -> None:
    """Metrics without a finished trial have no table."""
    console = Console(width=1000, file=io.StringIO(), highlight=False)
    cells = find_cells(frame_of(rows))
    print_tables(cells, console)
    assert isinstance(console.file, io.StringIO)
    lines = [re.split(" {2,}", line.strip()) for line in console.file.getvalue().splitlines()]
    labels = {cell.label for cell in cells}
    printed = Counter(text for line in lines if "resnet18" in line[0] for text in after(line, labels))
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
    named = factors(cell, cell.varied)
    names = ("initialization", "target", "target_size", "settings", *cell.varied)
    return all(row[name] == named[name] for name in names if name in row)


def of_group(row: dict[Any, Any], cell: Cell) -> bool:
    named = factors(cell, cell.varied) | {"initialization": cell.label, "settings": cell.other_settings}
    names = (*effects.GROUP, "initialization", "settings", *cell.varied)
    return all(row[name] == named[name] for name in names if name in row)
