"""For the report: images, patients and classes that sources share with the targets of a space."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from grid.execution import leak_guard
from grid.execution.leak_guard import Pair
from grid.results.stored_space import StoredSpace
from medpt.data import leakage, shared_classes
from medpt.data.leakage import Leak
from medpt.data.manifest import MANIFEST
from medpt.data.shared_classes import Shared
from medpt.errors import InputError
from medpt.specs import Finetune, Frozen, Prepare, Pretrain

MOST_PAIRS = 100_000_000  # of training and test images, compared in seconds
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
class OwnCopies:
    """What the test set of a target has of its own training set; `note` says why nothing was compared.

    `pairs` are ids of a training and a test image that are identical or near copies.
    """

    dataset: str
    train: int
    test: int
    pairs: tuple[tuple[str, str], ...] = ()
    patients: int = 0  # in both sets
    note: str = ""


def own_copies(stored: StoredSpace) -> list[OwnCopies]:
    """Compare the training and the test set of each target; targets that share nothing are excluded."""
    data = dict.fromkeys(spec.data for spec in _tested(stored))
    found = [_own_copies(stored, digest) for digest in data if digest in stored.finished]
    return [own for own in found if own and (own.pairs or own.patients or own.note)]


def _tested(stored: StoredSpace) -> list[Finetune | Frozen]:
    return [unit.spec for unit in stored.units.values() if isinstance(unit.spec, Finetune | Frozen)]


def _own_copies(stored: StoredSpace, digest: str) -> OwnCopies | None:
    spec = stored.units[digest].spec
    if not isinstance(spec, Prepare):
        return None
    try:
        images = leakage.read(stored.store.artifact(digest, MANIFEST).parent)
    except (InputError, OSError) as error:
        return OwnCopies(spec.dataset, 0, 0, note=f"not compared: {error}")
    train, test = (images.part(np.flatnonzero(images.splits == part)) for part in ("train", "test"))
    sizes = len(train.ids), len(test.ids)
    patients = len(np.intersect1d(train.groups, test.groups))
    if sizes[0] * sizes[1] > MOST_PAIRS:
        return OwnCopies(spec.dataset, *sizes, patients=patients, note="copies not compared: too many images")
    return OwnCopies(spec.dataset, *sizes, tuple(_copies(train, test)), patients)


def _copies(train: leakage.Signatures, test: leakage.Signatures) -> Iterator[tuple[str, str]]:
    for i, j in leakage.near_pairs(train.near, test.near):
        yield str(train.ids[i]), str(test.ids[j])


@dataclass(frozen=True)
class SharedClasses:
    """`state` says what this space does with the classes."""

    entry: Shared
    state: str


def classes(stored: StoredSpace) -> list[SharedClasses]:
    """The declared pairs that a trial of the space goes from and to."""
    pairs = {pair for spec in _tested(stored) for pair in _pairs(stored, spec)}
    entries = [entry for entry in shared_classes.SHARED if (entry.source, entry.target) in pairs]
    return [SharedClasses(entry, _state(stored, entry)) for entry in entries]


def _pairs(stored: StoredSpace, spec: Finetune | Frozen) -> set[tuple[str, str]]:
    source = stored.units.get(spec.weights or "")
    names = source.spec.datasets if source and isinstance(source.spec, Pretrain) else ()
    return {(name, spec.dataset) for name in names}


def _state(stored: StoredSpace, entry: Shared) -> str:
    """By the reader's options that the space gives the source."""
    options = [spec.options for _, spec in stored.units_of(Prepare) if spec.dataset == entry.source]
    excluded = [set(o.get("exclude", shared_classes.excluded_classes(entry.source))) for o in options]
    return "excluded" if excluded and all(names >= set(entry.classes) for names in excluded) else "kept"
