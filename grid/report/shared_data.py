"""For the report: images, patients and classes that sources share with the targets of a space."""

from dataclasses import dataclass

from grid.execution import leak_guard
from grid.execution.leak_guard import Pair
from grid.results.stored_space import StoredSpace
from medpt.data import shared_classes
from medpt.data.leakage import Leak
from medpt.data.shared_classes import Shared
from medpt.specs import Finetune, Prepare, Pretrain

TURNED = ("", "a quarter turn", "half a turn", "three quarter turns", *["mirrored"] * 4)


def compared(stored: StoredSpace) -> list[Pair]:
    """Every pair that a finished pre-training of the space was guarded for, once, whatever its network."""
    found = {}
    for unit, spec in stored.units_of(Pretrain):
        if spec.guards and unit.digest in stored.finished:
            for values in (stored.json(unit.digest, leak_guard.RECORD) or {}).get("pairs", []):
                pair = Pair.from_json(values)
                found[pair.source, pair.target, pair.images, pair.against] = pair
    return list(found.values())


def how(leak: Leak) -> str:
    """In words: in what a near image resembles the other."""
    turned = f", {TURNED[leak.turned]}" if leak.turned else ""
    return {"near": f"{leak.distance} of 255 bits apart{turned}"}.get(leak.kind, "")


@dataclass(frozen=True)
class SharedClasses:
    """`state` says what this space does with the classes."""

    entry: Shared
    state: str


def classes(stored: StoredSpace) -> list[SharedClasses]:
    """The declared pairs that a fine-tuning of the space goes from and to."""
    pairs = {pair for _, spec in stored.units_of(Finetune) for pair in _pairs(stored, spec)}
    entries = [entry for entry in shared_classes.SHARED if (entry.source, entry.target) in pairs]
    return [SharedClasses(entry, _state(stored, entry)) for entry in entries]


def _pairs(stored: StoredSpace, spec: Finetune) -> set[tuple[str, str]]:
    source = stored.units.get(spec.weights or "")
    names = source.spec.datasets if source and isinstance(source.spec, Pretrain) else ()
    return {(name, spec.dataset) for name in names}


def _state(stored: StoredSpace, entry: Shared) -> str:
    """By the reader's options that the space gives the source."""
    options = [spec.options for _, spec in stored.units_of(Prepare) if spec.dataset == entry.source]
    excluded = [set(o.get("exclude", shared_classes.excluded(entry.source))) for o in options]
    return "excluded" if excluded and all(names >= set(entry.classes) for names in excluded) else "kept"
