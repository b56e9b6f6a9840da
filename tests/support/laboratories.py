"""Two laboratories with the same data: finished units around made-up numbers, and a registry between them."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import made_space
import numpy as np
import torch

from grid.execution.worker import marker_of
from grid.plan.datasets import SpaceDatasets, recorded_contents
from grid.plan.plan import Plan, Unit
from grid.plan.stored_plans import record_start
from grid.registry.artifacts import documents, is_shared
from grid.registry.folder import Registry
from grid.registry.pull import Pulled, Recomputed, offers, pull
from grid.registry.records import Batch, SharedUnit, batch_name, file_name, read, unit_name
from grid.registry.staging import StagedUnit
from grid.store.store import Store
from medpt.data import contents
from medpt.data.catalog import card
from medpt.files import write_arrays, write_json
from medpt.models import weights
from medpt.models.registry import build_network
from medpt.specs import Prepare, Pretrain
from medpt.units.base import Tested, stored_metrics

CPU = "a processor"
FILE, PATIENT, HOST = "canary-file-name", "canary-patient", "canary-host"
SPACE = made_space.FEW_UNITS + "metrics: paper\n"
STARTED = 1_760_000_000.0

Alter = Callable[[Unit, dict[str, float]], dict[str, float]]


@dataclass(frozen=True)
class Laboratory:
    """A plan, where its data lie, and the store of what is finished."""

    plan: Plan
    found: SpaceDatasets
    store: Store

    def digests(self, kind: str) -> list[str]:
        return [name for name, unit in self.plan.units.items() if unit.kind == kind]


def laboratory(folder: Path, *, name: str = "made", image: bytes = b"pixels") -> Laboratory:
    """Return a laboratory without finished units; `image` is the content of each of its original files."""
    folder.mkdir()
    plan = made_space.plan(folder, SPACE, name)
    datasets = {unit.spec.dataset for unit in plan.units.values() if isinstance(unit.spec, Prepare)}
    for dataset in datasets:
        path = folder / "data" / dataset / PATIENT / f"{FILE}.png"
        path.parent.mkdir(parents=True)
        path.write_bytes(image)
    folders = {dataset: folder / "data" / dataset for dataset in datasets}
    store = Store(folder / "out")
    store.create()
    record_start(store, plan, folder / f"{name}.yaml")
    return Laboratory(plan, SpaceDatasets(folders, dict.fromkeys(datasets, "f" * 64), []), store)


def compute(lab: Laboratory, alter: Alter = lambda unit, metrics: metrics) -> None:
    """Finish every unit of a laboratory; `alter` changes the metrics of a unit."""
    folder = next(iter(lab.found.folders.values()))
    contents.record(folder, recorded_contents(lab.store.root, "f" * 64))
    for unit in lab.plan.units.values():
        built = lab.store.root / "units" / f"built-{unit.digest[:8]}"
        built.mkdir()
        metrics = dict(made_space.write(unit.kind, unit.spec, built))
        _write_more(unit, built)
        metrics = alter(unit, metrics | _stored(unit, built))
        marker = replace(marker_of(unit, metrics, STARTED, 1), host=HOST, ended=STARTED + 12.5)
        peak = {"cpu": CPU, "resident": 2**30}
        lab.store.publish(unit.digest, built, replace(marker, peak=peak))


def _write_more(unit: Unit, built: Path) -> None:
    """Write what real units have and made ones lack, with ids where real ones have them."""
    generator = np.random.default_rng(int(unit.digest[:8], 16))
    if isinstance(unit.spec, Pretrain):
        classes = len(card(unit.spec.datasets[0]).classes)
        for seed, name in enumerate(("init", "best")):
            torch.manual_seed(seed)
            network = build_network(unit.spec.architecture, unit.spec.backbone, classes)
            weights.save(built / f"{name}.safetensors", network.state_dict())
        write_json(built / "leaks.json", {"pairs": [{"source": FILE, "target": PATIENT}]})
    if unit.kind == "finetune":
        arrays = {"scores": generator.random((10, 2), np.float32), "labels": np.arange(10) % 2}
        write_arrays(built / "items.npz", arrays | {"patients": np.arange(10)})
        write_arrays(built / "scores.npz", arrays | {"ids": np.array([FILE] * 10)})


def _stored(unit: Unit, built: Path) -> dict[str, float]:
    """Return the metrics that the files of a unit give."""
    names = [path.name for path in built.iterdir() if is_shared(unit.kind, path.name)]
    files = documents({name: (built / name).read_bytes() for name in names})
    found = stored_metrics(unit.spec, files, Tested(("healthy", "ill"), "auc"))
    return {name: value for metrics in found.values() for name, value in metrics.items()}


def document(registry: Registry, digest: str) -> Path:
    """Return the file of a unit's document in a registry."""
    return next((Path(registry.place) / "units").glob(f"{digest}-*.json"))


def shared(registry: Registry, digest: str) -> SharedUnit:
    """Return a unit as it was published."""
    return read(SharedUnit, document(registry, digest).read_bytes())


def take(
    lab: Laboratory,
    registry: Registry,
    truth: Laboratory,
    draw: Callable[[Sequence[Unit]], list[Unit]] = list,
) -> Pulled:
    """Pull into a laboratory; what is recomputed, of the drawn units, is what `truth` has."""

    def recompute(
        drawn: Sequence[Unit], staged: Mapping[str, StagedUnit], folder: Path
    ) -> dict[str, Recomputed]:
        names = [unit.digest for unit in drawn]
        return {name: Recomputed(truth.store.marker(name), truth.store.folder(name)) for name in names}

    offered, _ = offers(lab.plan, lab.found, lab.store, registry)
    return pull(offered, lab.plan, lab.store, registry, draw, recompute)


def path_of(registry: Registry, name: str) -> Path:
    return Path(registry.place) / name


def forge(registry: Registry, digest: str, /, **changes: object) -> str:
    """Publish a batch whose document of a unit has other values, with matching hashes; return its name."""
    unit = replace(shared(registry, digest), **changes)
    old = read(Batch, next((Path(registry.place) / "batches").iterdir()).read_bytes())
    content = unit.content()
    sha256 = hashlib.sha256(content).hexdigest()
    registry.write(unit_name(digest, sha256), content)
    batch = replace(old, publisher="Forger", created=old.created + 1, units={**old.units, digest: sha256})
    registry.write(batch_name(batch.name), batch.content())
    registry.__dict__.pop("sizes", None)
    return batch.name


def forge_file(registry: Registry, digest: str, name: str, content: bytes) -> None:
    """Publish a batch in which a unit has another file, with matching hashes."""
    sha256 = hashlib.sha256(content).hexdigest()
    registry.write(file_name(sha256), content)
    forge(registry, digest, artifacts={**shared(registry, digest).artifacts, name: sha256})
