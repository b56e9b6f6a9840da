"""docs/architecture.md names files and functions that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
STEPS = re.findall(r"^\| \d+ \| `([\w/.]+)` \| `([\w.]+)` \|", PAGE, re.MULTILINE)
FILES = set(re.findall(r"`((?:grid|medpt|tests|search_spaces|reports|docs)/[\w/.]+)`", PAGE))


def definitions(file: Path) -> set[str]:
    """Return the functions, classes and methods of a file, methods as `Class.method`."""
    found = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{item.name}" for item in node.body if isinstance(item, ast.FunctionDef)}
    return found


def test_path_of_a_trial_has_twelve_files() -> None:
    assert len(STEPS) == len({file for file, _ in STEPS}) == 12


@pytest.mark.parametrize(("file", "function"), STEPS)
def test_step_of_the_path_exists(file: str, function: str) -> None:
    assert function in definitions(ROOT / file)


def test_files_of_the_page_exist() -> None:
    assert sorted(name for name in FILES if not (ROOT / name).exists()) == []


def test_files_that_the_page_names_without_a_folder_exist() -> None:
    names = set(re.findall(r"`(\w+\.py)`", PAGE))
    there = {path.name for top in ("grid", "medpt", "tests") for path in (ROOT / top).rglob("*.py")}
    assert names
    assert names <= there


@pytest.mark.parametrize(("name", "file"), re.findall(r"`(\w+)` in `((?:grid|medpt)/[\w/]+\.py)`", PAGE))
def test_name_is_in_the_file_that_the_page_says(name: str, file: str) -> None:
    assert re.search(rf"^(?:class |def )?{name}\b", (ROOT / file).read_text(), re.MULTILINE)
