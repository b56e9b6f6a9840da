"""Helpers of the golden tests, and the only module of them that imports the project.

The values in `pinned/` were computed by version 0.3.1. They must not change while code is moved or renamed:
a different digest repeats finished work, a different random stream changes results.
"""

import ast
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from grid.plan.initialization import space_datasets
from grid.plan.plan import Plan
from grid.plan.planner import build_plan
from grid.results import load as load_results
from grid.space import reader as spaces
from grid.space.protocols import PROTOCOL_FIELDS
from medpt.data import catalog
from medpt.identity import stream_seed
from medpt.phantom import write as write_phantom
from medpt.specs import SPECS

ROOT = Path(__file__).parents[2]
PINNED = Path(__file__).parents[1] / "golden" / "pinned"
WEIGHTS = {"resnet18": "f37072fd", "shufflenet_v2": "5666bf0f80", "densenet121": "a639ec97"}
SOURCE_PACKAGES = ("grid", "medpt")
STREAM_FUNCTION = stream_seed.__name__
PORTABLE = {  # OpenCV and NumPy without the code that only some processors run
    "OPENCV_IPP": "disabled",
    "OPENCV_CPU_DISABLE": "AVX512-SKX",
    "OPENCV_LOG_LEVEL": "SILENT",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
}


def pinned(name: str) -> Any:
    """Read the values that version 0.3.1 computed."""
    return json.loads((PINNED / name).read_text())


# Plans


def space_names() -> list[str]:
    """List the built-in spaces."""
    return sorted(path.stem for path in spaces.FOLDER.glob("*.yaml"))


def plan_summary(name: str) -> dict[str, Any]:
    """Plan a built-in space without data: the hashes of its units and trials, and its units by kind.

    `units` hashes the sorted digests of the units, `trials` the digests of the trials in order, and
    `without_sources` the sorted digests of results that no pre-training precedes, with their inputs. Kinds
    that version 0.3.1 did not have are excluded.
    """
    space = spaces.load(name)
    fingerprints = {dataset: f"print of {dataset}" for dataset in space_datasets(space)}
    plan = build_plan(space, fingerprints, WEIGHTS)
    kinds = {entry["kind"] for entry in pinned("units.json")}
    plan = replace(plan, controls=())
    old = [digest for digest, unit in plan.units.items() if unit.kind in kinds]
    return {
        "units": _hash_of_lines(sorted(old)),
        "trials": _hash_of_lines([digest for _, digest in plan.trials]),
        "without_sources": _hash_of_lines(sorted(_without_sources(plan))),
        "kinds": {kind: count for kind, count in sorted(plan.counts().items()) if kind in kinds},
    }


def _without_sources(plan: Plan) -> set[str]:
    return set().union(
        *(
            inputs
            for inputs in (_with_inputs(plan, name) for name in plan.results)
            if not any(plan.units[each].kind == "pretrain" for each in inputs)
        )
    )


def _with_inputs(plan: Plan, name: str) -> set[str]:
    return {name}.union(*(_with_inputs(plan, need) for need in plan.units[name].needs))


def _hash_of_lines(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# Specifications of units


def unit_digest(kind: str, fields: Mapping[str, Any]) -> str:
    """Build a specification from the fields of a stored plan and return its digest."""
    return SPECS[kind].from_json(fields).digest


def declared_kinds() -> set[str]:
    """List the kinds of units that the project has."""
    return set(SPECS)


# Synthetic data


def dataset_names() -> list[str]:
    """List the built-in datasets."""
    return sorted(catalog.names())


def write_synthetic_data(sizes: Mapping[str, Mapping[str, int]], folder: Path) -> None:
    """Write datasets into `folder/NAME` in a process whose bytes do not depend on the processor.

    OpenCV's IPP rounds some pixels differently, and differs between processors.
    """
    subprocess.run(
        [sys.executable, __file__, str(folder)],
        input=json.dumps(sizes),
        text=True,
        check=True,
        env=os.environ | PORTABLE,
    )


def tree_hash(folder: Path) -> str:
    """Hash the sorted relative paths of a folder's files, each with its size and its bytes.

    The hidden file that says that data are synthetic is younger than version 0.3.1.
    """
    total = hashlib.sha256()
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    files.pop(".synthetic", None)
    for name in sorted(files):
        content = files[name].read_bytes()
        total.update(f"{name}\0{len(content)}\0".encode() + content)
    return total.hexdigest()


# Stores


def run_grid(space: Path, data: Path, out: Path, *options: str) -> str:
    """Run `python -m grid.run` to the end and return what it printed, without trailing spaces."""
    files = ["--space", str(space), "--data", str(data), "--out", str(out)]
    done = subprocess.run(
        [sys.executable, "-m", "grid.run", *files, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env=os.environ | {"COLUMNS": "160"},
    )
    assert done.returncode == 0, done.stdout
    return "\n".join(line.rstrip() for line in done.stdout.splitlines())


def frame_of(space: str, out: Path) -> dict[str, Any]:
    """Load the results of a space: its columns, and its rows with None for a missing value.

    `run_id` is excluded from the rows, because MLflow draws it; the others are younger than 0.3.1.
    """
    younger = ["headline", "items", "origin", "pretrain_seed", "fold", *PROTOCOL_FIELDS]
    frame = load_results(space, out).drop(columns=younger)
    rows = frame.drop(columns="run_id").to_dict("records")
    return {"columns": list(frame.columns), "rows": [_without_nan(row) for row in rows]}


def numbers_of(out: Path) -> dict[str, dict[str, float]]:
    """Read the numbers of every finished unit, by digest: its metrics, and the rows of its history."""
    return {path.stem: _numbers(out, path) for path in sorted((out / "done").glob("*.json"))}


def _numbers(out: Path, marker: Path) -> dict[str, float]:
    found: dict[str, float] = json.loads(marker.read_text())["metrics"]
    history = out / "units" / marker.stem / "history.json"
    for row in json.loads(history.read_text()) if history.exists() else []:
        found |= {
            f"{key} at step {row['step']}": value for key, value in row.items() if key not in ("step", "time")
        }
    return found


def processor() -> dict[str, str]:
    """Describe what decides which code PyTorch's libraries run: vendor, family, model, vector instructions.

    Empty where Linux does not say.
    """
    try:
        text = Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
    except OSError:
        return {}
    lines = dict(map(str.strip, line.split(":", 1)) for line in text.splitlines() if ":" in line)
    vectors = [flag for flag in lines.get("flags", "").split() if flag.startswith(("avx", "amx", "fma"))]
    names = ("vendor_id", "cpu family", "model")
    return {name: lines.get(name, "") for name in names} | {"vectors": " ".join(sorted(vectors))}


def _without_nan(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(key): None if value != value else value for key, value in row.items()}


# Random streams


@dataclass(frozen=True)
class _Call:
    """A call in the source: the function's name, its arguments, the file, and the functions around it."""

    function: str
    node: ast.Call
    file: Path
    inside: tuple[ast.FunctionDef, ...]


@dataclass(frozen=True)
class _Helper:
    """A function that passes names of a stream on; `names` are its own constants and parameters."""

    name: str
    file: Path
    seed: ast.expr
    names: tuple[ast.expr, ...]
    parameters: tuple[str, ...]
    variable: str | None  # the parameter of `*names`

    def is_called_by(self, call: _Call) -> bool:
        """Tell whether the call means this function; a private one is called in its own file."""
        private = self.name.startswith("_")
        return call.function == self.name and (call.file == self.file or not private)


def stream_value(stream: str) -> int:
    """Return the seed of a stream such as `*|misl|dropout|*`: a seed, then names; each `*` stands for 1."""
    seed, *names = stream.split("|")
    return stream_seed(1 if seed == "*" else int(seed), *(1 if name == "*" else name for name in names))


def streams_in_source() -> set[str]:
    """Find the seed and names of every random stream in the source; `*` is what the program computes.

    Constants count where the function is called, or where a function is called that passes them on.
    """
    calls = [
        call
        for package in SOURCE_PACKAGES
        for file in sorted((ROOT / package).rglob("*.py"))
        for call in _calls(ast.parse(file.read_text()), file)
    ]
    found: set[str] = set()
    for call in calls:
        if call.function == STREAM_FUNCTION:
            found |= _streams(call, calls)
    return found


def _calls(tree: ast.AST, file: Path, inside: tuple[ast.FunctionDef, ...] = ()) -> Iterator[_Call]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            yield _Call(name, node, file, inside)
        yield from _calls(node, file, (*inside, node) if isinstance(node, ast.FunctionDef) else inside)


def _streams(call: _Call, calls: list[_Call]) -> set[str]:
    """The streams of one call: those of its callers where it passes on names that they give as text."""
    seed, *names = call.node.args
    helper = _helper(call, seed, tuple(names))
    given = [_bound(other.node, helper) for other in calls if helper and helper.is_called_by(other)]
    texts = [values for values in given if any(isinstance(v, ast.Constant) for v in values[1:])]
    own = [[seed, *names]]
    return {"|".join(map(_text, values)) for values in (texts or own)}


def _helper(call: _Call, seed: ast.expr, names: tuple[ast.expr, ...]) -> _Helper | None:
    if not call.inside:
        return None
    function = call.inside[-1]
    parameters = tuple(a.arg for a in function.args.args if a.arg not in ("self", "cls"))
    variable = function.args.vararg.arg if function.args.vararg else None
    return _Helper(function.name, call.file, seed, names, parameters, variable)


def _bound(call: ast.Call, helper: _Helper) -> list[ast.expr]:
    """The seed and names of a stream with the caller's arguments instead of the helper's parameters."""
    values: dict[str, ast.expr] = dict(zip(helper.parameters, call.args, strict=False))
    values |= {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    bound: list[ast.expr] = []
    for name in (helper.seed, *helper.names):
        if isinstance(name, ast.Starred) and isinstance(name.value, ast.Name):
            passes = name.value.id == helper.variable
            bound += call.args[len(helper.parameters) :] if passes else [name]
        else:
            bound.append(values.get(name.id, name) if isinstance(name, ast.Name) else name)
    return bound


def _text(value: ast.expr) -> str:
    return str(value.value) if isinstance(value, ast.Constant) else "*"


if __name__ == "__main__":  # see write_synthetic_data
    for dataset, options in json.load(sys.stdin).items():
        write_phantom(dataset, Path(sys.argv[1]) / dataset, **options)
