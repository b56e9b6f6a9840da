"""What stands behind a report's numbers: protocol, data and versions, and the paper's numbers beside them."""

import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from grid import space
from grid.claims import published
from grid.package_data import installed_version
from grid.plan.plan import Plan
from grid.results.cells import Cell, Column
from grid.results.display import NETWORKS, column_name
from grid.results.stored_space import Prepared, StoredSpace
from medpt.data.card import DatasetCard
from medpt.data.catalog import card
from medpt.data.fingerprint import fingerprint
from medpt.data.locate import locate
from medpt.errors import InputError
from medpt.protocol import IMPLICIT, TrainingProtocol
from medpt.specs import SPECS, Finetune, Pretrain

PACKAGES = (
    *("medpt-grid", "torch", "torchvision", "numpy", "opencv-python-headless", "ray", "mlflow"),
    "pyarrow",
)
SYNTHETIC = "synthetic"
UNSET = IMPLICIT | {
    "evaluate_every": "one eightfold epoch, at most 500 steps",
    "weighting": "the task's default",
}


@dataclass(frozen=True)
class Value:
    """A protocol's value as text; `default` is empty where it is the default, `where` where all share it."""

    text: str
    default: str
    where: str


@dataclass(frozen=True)
class Setting:
    name: str
    reason: str
    pretrain: list[Value]
    finetune: list[Value]


@dataclass(frozen=True)
class Compared:
    """A cell beside the paper's, in per cent; `note` says how our data differ from the published data."""

    cell: Cell
    table: str
    mean: float
    std: float
    note: str

    @property
    def difference(self) -> float:
        return self.cell.mean - self.mean

    @property
    def is_reconstruction(self) -> bool:
        return NETWORKS.get(self.cell.key.architecture, "").endswith("(reconstruction)")


def settings(stored: StoredSpace) -> list[Setting]:
    """Every field of the protocols with all values that the plan gives it."""
    used = [(stored.protocols(kind), kind.protocol) for kind in (Pretrain, Finetune)]
    return [
        Setting(
            item.name,
            item.metadata["reason"],
            *(_values(item.name, values, default) for values, default in used),
        )
        for item in fields(TrainingProtocol)
    ]


def _values(
    name: str, used: list[tuple[TrainingProtocol, list[str]]], default: TrainingProtocol
) -> list[Value]:
    users: dict[Any, list[str]] = {}
    for protocol, datasets in used:
        users.setdefault(getattr(protocol, name), []).extend(datasets)
    usual = getattr(default, name)
    return [
        Value(
            _text(name, value),
            "" if value == usual else _text(name, usual),
            ", ".join(dict.fromkeys(where)) if len(users) > 1 else "",
        )
        for value, where in users.items()
    ]


def _text(name: str, value: Any) -> str:
    if value is None:
        return UNSET[name]
    if isinstance(value, tuple):
        return " to ".join(f"{number:g}" for number in value)
    return (
        f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else str(value)
    )


@dataclass(frozen=True)
class Data:
    """A prepared dataset beside its card; `counts` holds (class, training, test), the largest first."""

    prepared: Prepared
    card: DatasetCard
    synthetic: bool

    @cached_property
    def images(self) -> dict[str, int]:
        return dict(self.prepared.manifest.images) if self.prepared.manifest else {}

    @cached_property
    def counts(self) -> list[tuple[str, int, int]]:
        manifest = self.prepared.manifest
        splits = [manifest.counts.get(split, {}) if manifest else {} for split in ("train", "test")]
        names = manifest.classes if manifest else ()
        found = [(name, splits[0].get(name, 0), splits[1].get(name, 0)) for name in names]
        return sorted(found, key=lambda entry: -entry[1])

    @property
    def unit(self) -> str:
        return "pixels" if self.card.task == "segmentation" else "images"

    @property
    def note(self) -> str:
        """How the data differ from the published data; empty where they do not, or where it is unknown."""
        if self.synthetic:
            return SYNTHETIC
        have, published_count = sum(self.images.values()), sum(self.card.counts.values())
        spec = self.prepared.spec
        unknown = not self.images or not self.card.counts
        if unknown or spec.sample_size or spec.at_most or have == published_count:
            return ""
        return f"{have:,} of {published_count:,} published images"


def datasets(stored: StoredSpace) -> list[Data]:
    prepared = stored.prepared()
    synthetic = phantom_fingerprints(stored.store.root, {entry.spec.dataset for entry in prepared})
    return [
        Data(prepared, card(prepared.spec.dataset, stored.plan.cards), prepared.spec.fingerprint in synthetic)
        for prepared in prepared
    ]


def notes(data: Sequence[Data]) -> dict[str, str]:
    """Return how each dataset's data differ from the published data; the first note of several."""
    found: dict[str, str] = {}
    for entry in data:
        found[entry.card.name] = found.get(entry.card.name) or entry.note
    return found


def classes(data: Sequence[Data]) -> dict[str, tuple[str, ...]]:
    """Return the names of the classes of each dataset that is prepared."""
    known = ((entry.card.name, entry.prepared.manifest) for entry in data)
    return {name: tuple(manifest.classes) for name, manifest in known if manifest}


def phantom_fingerprints(out: Path, names: Iterable[str]) -> set[str]:
    """Of the synthetic datasets of those names below a folder of results."""
    found = set()
    for folder in sorted((out / "phantom").glob("*")):
        for name in names:
            try:
                found.add(fingerprint(locate(name, folder)))
            except InputError:
                continue
    return found


def comparisons(cells: Sequence[Cell], notes: Mapping[str, str]) -> list[Compared]:
    """The finished cells that the paper printed; none on synthetic data, which the paper did not use.

    `notes` says by target how its data differ from the published data (`Data.note`).
    """
    printed = published.cells()
    found = []
    for cell in cells:
        if cell.key.target_size == 1 and cell.n and notes.get(cell.key.target) != SYNTHETIC:
            key = published.key_of_cell(cell.key)
            if key in printed:
                found.append(Compared(cell, *printed[key], notes.get(cell.key.target, "")))
    return found


@dataclass(frozen=True)
class Weighting:
    """How a target's classes were weighted and its training set divided, by one finished fine-tuning."""

    target: str
    name: str
    lowest: float
    highest: float
    train_images: int
    val_images: int


def weightings(cells: Sequence[Cell], stored: StoredSpace) -> list[Weighting]:
    """One for each target and share of it, from the first finished cell."""
    first: dict[Column, str] = {}
    for cell in cells:
        digest = next(iter(cell.digests.values()), "")
        if digest and stored.plan.units[digest].kind == Finetune.kind:
            first.setdefault(cell.column, digest)
    records = {column: stored.record(digest) for column, digest in first.items()}
    return [
        Weighting(
            column_name(*column),
            record["weighting"],
            min(record["class_weights"]),
            max(record["class_weights"]),
            record["train_images"],
            record["val_images"],
        )
        for column, record in records.items()
        if record
    ]


def larger_space(plan: Plan) -> int:
    """Trials of the space's file where it has more than the plan, as after --filter or --limit; else 0."""
    try:
        trials = len(space.load(plan.space, plan.cards).trials)
    except InputError:
        return 0
    return trials if trials > len(plan.trials) else 0


def versions() -> dict[str, str]:
    """Of the installation that writes the report."""
    installed = {name: installed_version(name) or "not installed here" for name in PACKAGES}
    return {"Python": platform.python_version()} | installed


def algorithms(stored: StoredSpace) -> dict[str, str]:
    """The version of each kind of unit that the finished results were computed by."""
    found: dict[str, set[str]] = {}
    for marker in stored.markers.values():
        found.setdefault(marker.kind, set()).add(str(marker.version))
    return {kind: ", ".join(sorted(found[kind])) for kind in SPECS if kind in found}
