"""What the paper leaves open, what was decided, and why: read from the fields that hold the decisions.

A field's reason is the comment behind it in the source, so that it stands in one place. Nothing is imported:
the sources are parsed. Protocols of training have a table of their own (provenance.py).
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from grid.results.stored_space import StoredSpace
from medpt.specs import Survive, UnitSpec

ROOT = Path(__file__).parents[2]
HOLDERS = {  # kind of unit: title, file, class, the specification's field with values that differ
    "coordinates": ("Distances of datasets", "medpt/analysis/settings.py", "Settings", "options"),
    "svcca": ("SVCCA", "medpt/specs.py", "Svcca", ""),
    "slides": ("Patches of slides", "medpt/survival/patches.py", "PatchOptions", "patches"),
}
MODELS = {  # of survival, by name: title and module of each part; options that differ are the first's
    "km": [("Clustered patches", "direct")],
    "spectral": [("Clustered patches", "direct")],
    "wsisa-mtlsa": [("WSISA", "wsisa"), ("MTLSA", "mtlsa")],
    "deepattnmisl": [("DeepAttnMISL", "deepattnmisl")],
    "rsf": [("Random survival forest", "forest")],
    "boostci": [("BoostCI", "boostci")],
    "cox": [("Cox", "cox")],
}


@dataclass(frozen=True)
class Decision:
    """`used` are the values in this space, empty where all are the default."""

    name: str
    default: str
    used: str
    reason: str


@dataclass(frozen=True)
class Group:
    title: str
    decisions: list[Decision]


def groups(stored: StoredSpace) -> list[Group]:
    """The decisions behind the units of a plan, those with a reason."""
    holders: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for unit in stored.units.values():
        for title, file, name, given in _holders(unit.kind, unit.spec):
            holders.setdefault((title, file, name), []).append(given)
    return [
        Group(title, [_decision(*field, given) for field in fields(file, name) if all(field)])
        for (title, file, name), given in holders.items()
    ]


def _holders(kind: str, spec: UnitSpec) -> Iterable[tuple[str, str, str, Mapping[str, Any]]]:
    if isinstance(spec, Survive):
        for part, (title, module) in enumerate(MODELS.get(spec.model, [])):
            yield title, f"medpt/survival/{module}.py", "Options", {} if part else spec.options
    if kind in HOLDERS:
        title, file, name, given = HOLDERS[kind]
        yield title, file, name, getattr(spec, given) if given else vars(spec)


def _decision(name: str, default: str, reason: str, given: Iterable[Mapping[str, Any]]) -> Decision:
    values = dict.fromkeys(_text(options[name]) for options in given if name in options)
    used = ", ".join(value for value in values if value != default)
    return Decision(name, default, used, reason)


def _text(value: Any) -> str:
    return repr(tuple(value) if isinstance(value, list) else value)


@cache
def fields(file: str, name: str) -> tuple[tuple[str, str, str], ...]:
    """(field, default, reason) of a dataclass, as its source has them; the reason may be empty."""
    text = (ROOT / file).read_text()
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT
    }
    (found,) = (n for n in ast.parse(text).body if isinstance(n, ast.ClassDef) and n.name == name)
    return tuple(
        (
            node.target.id,
            ast.unparse(node.value) if node.value else "",
            _reason(comments.get(n, "") for n in range(node.lineno, (node.end_lineno or 0) + 1)),
        )
        for node in found.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    )


def _reason(comments: Iterable[str]) -> str:
    """Without the number of a row of the specification."""
    return re.sub(r"^\d+: ", "", " ".join(filter(None, comments)))
