"""The table of docs/reliability.md, from what was measured: no figure in it is typed.

`python tests/support/table.py --tests` names the tests of all rows; `... faults.xml kills.json` takes the
results of running them and of the campaign, and writes docs/reliability.json and the table in
docs/reliability.md.
"""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from row import Row
from rows import ROWS

DOCS = Path(__file__).parents[2] / "docs"
PAGE, FIGURES = DOCS / "reliability.md", DOCS / "reliability.json"
BEGIN, END = "<!-- from reliability.json -->\n", "<!-- end -->\n"
HEADER = "| | fault | injected | expected | seen | survived | tests |\n|---|---|---|---|---|---|---|\n"

FOLDER = "left: "  # a problem of the campaign that touches no unit: the row of orphans has it

Results = dict[str, dict[str, int]]


def main(arguments: list[str]) -> int:
    if arguments == ["--tests"]:
        print("\n".join(sorted({test for row in ROWS for test in row.tests})))
        return 0
    junit, kills = map(Path, arguments)
    figures = {"tests": outcomes(junit), "kills": json.loads(kills.read_text())}
    FIGURES.write_text(json.dumps(figures, indent=1) + "\n")
    PAGE.write_text(filled(PAGE.read_text(), figures))
    return 0 if all(survived == tried for survived, tried in counted(figures)) else 1


def outcomes(junit: Path) -> Results:
    """passed, failed and skipped of each test, its parameters together."""
    found: dict[str, Counter[str]] = {}
    for case in ElementTree.parse(junit).iter("testcase"):  # noqa: S314 - pytest wrote it
        name = f"{case.attrib['classname'].replace('.', '/')}.py::{case.attrib['name'].partition('[')[0]}"
        tags = {child.tag for child in case}
        outcome = "failed" if tags & {"failure", "error"} else "skipped" if "skipped" in tags else "passed"
        found.setdefault(name, Counter())[outcome] += 1
    return {name: dict(counts) for name, counts in found.items()}


def filled(page: str, figures: dict[str, Any]) -> str:
    before, rest = page.split(BEGIN)
    return before + BEGIN + render(figures) + END + rest.split(END)[1]


def render(figures: dict[str, Any]) -> str:
    lines = [cells(number, ROWS[number - 1], *count) for number, count in enumerate(counted(figures), 1)]
    kills = figures["kills"]
    told = [f"- {name}: {_plain(value)}" for name, value in kills.items() if name != "problems"]
    return HEADER + "".join(lines) + "\nThe random kills:\n\n" + "\n".join(told) + "\n"


def counted(figures: dict[str, Any]) -> list[tuple[int, int]]:
    """Times survived and times tried, of each row."""
    return [_count(row, figures["tests"], figures["kills"]) for row in ROWS]


def _count(row: Row, tests: Results, kills: dict[str, Any]) -> tuple[int, int]:
    counts = Counter[str]()
    for test in row.tests:
        counts.update(tests.get(test, {}))
    random = sum(kills["kills"].get(kind, 0) for kind in row.kills)
    broken = [problem for problem in kills["problems"] if not problem.startswith(FOLDER)]
    spaces = kills["spaces"] if row.folders else 0
    tidy = max(0, spaces - kills["folders left"]) if spaces else 0
    passed = counts["passed"] + (0 if broken else random) + tidy
    return passed, counts["passed"] + counts["failed"] + random + spaces


def cells(number: int, row: Row, survived: int, tried: int) -> str:
    seen = row.untried or ("as expected" if tried else "not run")
    if survived < tried:
        seen = "**not as expected**"
    tests = "<br>".join(f"`{test.removeprefix('tests/')}`" for test in row.tests)
    share = f"{survived} of {tried}" if tried else "–"
    return f"| {number} | {row.fault} | {row.injected} | {row.expected} | {seen} | {share} | {tests} |\n"


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {count}" for name, count in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
