"""Limits on the size and the layers of the production code: short functions and files, no import cycles."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles

from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).parents[1]
FILES = {path: path.read_text() for package in ("grid", "medpt") for path in (ROOT / package).rglob("*.py")}
MODULES = {path: text for path, text in FILES.items() if path.name != "__init__.py"}

# Today's exceptions. The lists only shrink, and are empty at the end of the redesign.
LONG_FUNCTIONS: set[str] = set()
LONG_FILES = set[str]()
SHORT_FILES = set[str]()
ASSERTS = 3

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions() -> Iterator[tuple[str, Function]]:
    for path, text in FILES.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, Function):
                yield f"{name(path)}: {node.name}", node


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def lines(node: Function) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_functions_are_short() -> None:
    lengths = [lines(node) for _, node in functions()]
    assert median(lengths) <= 7
    assert quantiles(lengths, n=10)[-1] <= 20
    assert {where for where, node in functions() if lines(node) > 45} <= LONG_FUNCTIONS


def test_functions_take_at_most_six_arguments() -> None:
    def arguments(node: Function) -> int:
        found = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        return len([argument for argument in found if argument.arg not in ("self", "cls")])

    assert [where for where, node in functions() if arguments(node) > 6] == []


def test_files_are_neither_long_nor_tiny() -> None:
    lengths = {name(path): len(text.splitlines()) for path, text in MODULES.items()}
    assert median(lengths.values()) <= 130
    assert {path for path, length in lengths.items() if length > 300} <= LONG_FILES
    assert {path for path, length in lengths.items() if length < 15} <= SHORT_FILES


def test_production_code_has_no_mocks_and_few_asserts() -> None:
    assert sum(text.count("# noqa: S101") for text in FILES.values()) <= ASSERTS
    assert [name(path) for path, text in FILES.items() if "unittest" in text] == []


def test_imports_point_down_without_cycles() -> None:
    assert lint_imports(no_cache=True) == EXIT_STATUS_SUCCESS


def test_import_contracts_have_one_exception() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    ignored = {line for contract in contracts for line in contract.get("ignore_imports", [])}
    assert ignored == {"medpt.data.__main__ -> medpt.phantom"}


def test_text_files_name_their_encoding() -> None:
    """The POSIX locale reads ASCII. Ruff's rule sees only paths whose type it can infer."""
    bare = re.compile(r"\.(read_text|open)\(\)|\.open\(\"[wax]t?\"\)")
    assert [name(path) for path, text in FILES.items() if bare.search(text)] == []
