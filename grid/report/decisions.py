"""What the paper leaves open, what was decided, and why: the dataclass fields that give a reason.

`medpt.protocol.decision` declares such a field. Protocols of training have a table of their own
(provenance.py).
"""

from collections.abc import Iterable, Mapping
from dataclasses import Field, dataclass, fields
from importlib import import_module
from typing import Any

from grid.results.stored_space import StoredSpace
from medpt.specs import Survive, UnitSpec
from medpt.survival.registry import SURVIVAL_MODELS

HOLDERS = {  # kind of unit: title, dataclass, field of the specification with values that differ
    "coordinates": ("Distances of datasets", "medpt.analysis.settings.Settings", "options"),
    "frozen": ("Frozen evaluation", "medpt.specs.Frozen", ""),
    "svcca": ("SVCCA", "medpt.specs.Svcca", ""),
    "slides": ("Patches of slides", "medpt.survival.patches.PatchOptions", "patches"),
}
MODEL_TITLES = {  # by module of medpt.survival
    "direct": "Clustered patches",
    "wsisa": "WSISA",
    "mtlsa": "MTLSA",
    "deepattnmisl": "DeepAttnMISL",
    "forest": "Random survival forest",
    "boostci": "BoostCI",
    "cox": "Cox",
}


@dataclass(frozen=True)
class Decision:
    """A setting with its default; `used` are the values in this space, empty where all are the default."""

    name: str
    default: str
    used: str
    reason: str


@dataclass(frozen=True)
class Group:
    title: str
    decisions: list[Decision]


def groups(stored: StoredSpace) -> list[Group]:
    """Return the decisions behind the units of a plan, those with a reason."""
    used: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for unit in stored.units.values():
        for title, holder, values in _holders(unit.spec):
            used.setdefault((title, holder), []).append(values)
    return [
        Group(title, [_decision(item, values) for item in decided(holder)])
        for (title, holder), values in used.items()
    ]


def decided(holder: str) -> list[Field[Any]]:
    """Return the fields of a dataclass that have a reason; `holder` is its full name."""
    module, _, name = holder.rpartition(".")
    return [item for item in fields(getattr(import_module(module), name)) if "reason" in item.metadata]


def _holders(spec: UnitSpec) -> Iterable[tuple[str, str, Mapping[str, Any]]]:
    if isinstance(spec, Survive):
        model = SURVIVAL_MODELS[spec.model]
        holder = f"{model.options_type.__module__}.{model.options_type.__name__}"
        yield MODEL_TITLES[model.module], holder, spec.options
        if model.module == "wsisa":  # its second stage, whose options a space cannot change
            yield MODEL_TITLES["mtlsa"], "medpt.survival.mtlsa.Options", {}
    elif spec.kind in HOLDERS:
        title, holder, name = HOLDERS[spec.kind]
        yield title, holder, getattr(spec, name) if name else vars(spec)


def _decision(item: Field[Any], given: Iterable[Mapping[str, Any]]) -> Decision:
    values = dict.fromkeys(_text(options[item.name]) for options in given if item.name in options)
    default = _text(item.default)
    used = ", ".join(value for value in values if value != default)
    return Decision(item.name, default, used, item.metadata["reason"])


def _text(value: Any) -> str:
    return repr(tuple(value) if isinstance(value, list) else value)
