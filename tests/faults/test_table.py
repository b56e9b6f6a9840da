"""docs/reliability.md says what was measured, of tests that exist."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest
import table
from row import Row
from rows import ROWS

ROOT = Path(__file__).parents[2]


def functions(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.fault)
def test_every_row_has_tests_that_exist_or_says_why_not(row: Row) -> None:
    assert bool(row.tests or row.kills) != bool(row.untried)
    for test in row.tests:
        file, _, name = test.partition("::")
        assert name in functions(file)


def test_every_fault_has_one_row() -> None:
    assert len({row.fault for row in ROWS}) == len(ROWS) == 32


def test_page_is_what_the_results_say() -> None:
    page, figures = table.PAGE.read_text(), json.loads(table.FIGURES.read_text())
    assert table.filled(page, figures) == page


def made_kills(*problems: str) -> dict[str, Any]:
    left = sum(problem.startswith(table.FOLDER) for problem in problems)
    return {"kills": {"trial": 5}, "spaces": 3, "folders left": left, "problems": list(problems)}


def test_folder_that_was_left_is_of_the_orphans_and_a_lost_unit_of_every_kill() -> None:
    orphans = next(number for number, row in enumerate(ROWS) if row.folders)
    counts = [
        table.counted({"tests": {}, "kills": made_kills(*problems)})
        for problems in ((), ("left: a folder",), ("lost: a unit",))
    ]
    assert [count[0] for count in counts] == [(5, 5), (5, 5), (0, 5)]
    assert [count[orphans] for count in counts] == [(3, 3), (2, 3), (3, 3)]


def test_failure_is_shown_and_a_skipped_test_is_not_counted(tmp_path: Path) -> None:
    name = ROWS[0].tests[0]
    file, _, function = name.removesuffix(".py").partition(".py::")
    case = f'<testcase classname="{file.replace("/", ".")}" name="{function}[%s]">%s</testcase>'
    cases = [case % (0, ""), case % (1, "<failure/>"), case % (2, "<skipped/>")]
    junit = tmp_path / "junit.xml"
    junit.write_text(f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>")
    figures = {"tests": table.outcomes(junit), "kills": made_kills()}
    assert figures["tests"] == {name: {"passed": 1, "failed": 1, "skipped": 1}}
    assert table.counted(figures)[0] == (6, 7)
    assert "**not as expected** | 6 of 7" in table.render(figures)
