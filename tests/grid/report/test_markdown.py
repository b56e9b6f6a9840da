"""The report as Markdown: the same numbers as table.csv and `compare`, and names that cannot break it."""

import csv
from pathlib import Path

import made_space
import pytest

from grid import report
from grid.report.chart_files import Figures
from grid.report.markdown import literal
from grid.report.tables import signed
from grid.results import frame
from grid.results.comparisons import compare


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("markdown")
    plan = made_space.plan(out)
    made_space.record_all(made_space.publish(plan, out, set(), {}), plan)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figures, "files", lambda _: {})
        report.build("made", out, images=False)
    return out / "reports" / "made"


def rows(folder: Path) -> list[list[str]]:
    lines = (folder / "report.md").read_text().splitlines()
    return [[field.strip() for field in line[1:-1].split(" | ")] for line in lines if line.startswith("|")]


def test_tables_have_the_means_and_intervals_of_the_csv(folder: Path) -> None:
    written = [row[1:3] for row in rows(folder)]
    with (folder / "table.csv").open(encoding="utf-8") as file:
        cells = [row for row in csv.DictReader(file) if row["architecture"] != "none"]
    assert cells
    for cell in cells:
        mean = f"{float(cell['mean']):.2f} [{float(cell['low']):.2f}, {float(cell['high']):.2f}]"
        assert [f"{cell['n']} of {cell['planned']}", mean] in written


def test_tables_have_the_gains_and_verdicts_of_compare(folder: Path) -> None:
    written = [row[3:5] for row in rows(folder) if len(row) == 5]
    found = compare(frame.load("made", folder.parents[1]))
    assert len(found)
    for row in found.itertuples():
        gain = f"{signed(row.difference)} [{signed(row.low)}, {signed(row.high)}]"
        assert [gain, row.verdict] in written


def test_tables_have_as_many_fields_as_their_head(folder: Path) -> None:
    lines = (folder / "report.md").read_text().split("\n\n")
    tables = [part.splitlines() for part in lines if part.startswith("|")]
    assert len(tables) >= 3
    assert all(len({line.count("|") for line in table}) == 1 for table in tables)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("a|b", r"a\|b"),
        ("<img src=x>", r"\<img src=x\>"),
        ("two\nlines", "two lines"),
        ("_a_ *b*", r"\_a\_ \*b\*"),
        ("run `medpt-grid x_y`", "run `medpt-grid x_y`"),
    ],
)
def test_names_are_shown_as_they_are(value: str, written: str) -> None:
    assert literal(value) == written
