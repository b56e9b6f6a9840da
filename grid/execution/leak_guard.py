"""Leakage-guarded pre-training, without the training images that a target's data show; and external tests.

Where source and target share nothing, the result is that of the unguarded pre-training, which is taken over.
Two prepared datasets are compared once per node; the result is kept in its cache, which may be deleted.
"""

import os
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from grid.execution.inputs import StoreInputs
from grid.store.store import Store
from medpt import files
from medpt.data import leakage
from medpt.data.leakage import Leak
from medpt.data.manifest import MANIFEST, Manifest
from medpt.specs import Evaluate, Pretrain
from medpt.units.base import Job, run_unit

RECORD = "leaks.json"  # the artifact of every leakage-guarded pre-training


@dataclass(frozen=True)
class Pair:
    """What the training images of a source share with the images of a target that guard it."""

    source: str
    target: str
    images: int  # of the source
    against: int  # images of the target
    found: tuple[Leak, ...]

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Pair":
        """Build a pair from what `asdict` and JSON made of one."""
        return cls(**{**values, "found": tuple(Leak(**leak) for leak in values["found"])})

    @property
    def kinds(self) -> Counter[str]:
        return Counter(leak.kind for leak in self.found)


def pretrain_guarded(spec: Pretrain, inputs: StoreInputs, job: Job) -> dict[str, float]:
    """Run a leakage-guarded pre-training, or take over the unguarded one if no image is shared.

    Writes RECORD beside the files of the pre-training, and counts `leaked_images` in the metrics.
    """
    pairs = compare_all(spec, inputs)
    leaks = tuple(leak for pair in pairs for leak in pair.found)
    unguarded = spec.unguarded.digest
    if unguarded in inputs.needs and not leaks:
        metrics = take_over(unguarded, inputs.store, job.folder)
    else:
        metrics = run_unit(spec, replace(inputs, leaks=leaks), job)
    files.write_json(job.folder / RECORD, {"pairs": [asdict(pair) for pair in pairs]})
    return metrics | {"leaked_images": float(len(leaks))}


def compare_all(spec: Pretrain, inputs: StoreInputs) -> list[Pair]:
    """Compare all data with all guards of the same modality. Raises InputError for damaged shards."""
    store, names = inputs.store, (*spec.data, *spec.guards)
    modality = {name: Manifest.read(store.artifact(name, MANIFEST).parent).modality for name in names}
    return [
        compare(source, guard, store, inputs.options.cache_folder(store))
        for source, guard in product(spec.data, spec.guards)
        if modality[source] == modality[guard]
    ]


def compare(source: str, target: str, store: Store, cache: Path) -> Pair:
    """Compare two prepared datasets, named by digest, or read from `cache` what was found before."""
    path = cache / "leaks" / f"{source[:24]}-{target[:24]}-{leakage.LIMIT}.json"
    if not path.is_file():
        files.write_json(path, asdict(_find_leaks(store.fetch_all(source), store.fetch_all(target))))
    return Pair.from_json(files.read_json(path))


def _find_leaks(source: Path, target: Path) -> Pair:
    one, other = leakage.read(source), leakage.read(target)
    training, shown = leakage.compared(one, other)
    found = tuple(leakage.find(one, other))
    return Pair(one.dataset, other.dataset, len(training.ids), len(shown.ids), found)


def evaluate_guarded(spec: Evaluate, inputs: StoreInputs, job: Job) -> dict[str, float]:
    """Test a network on an external dataset, without the images that its fine-tuning was trained on.

    Images that its pre-training was trained on stay, so that all initializations are tested on the same
    ones. The metrics count both: `removed_images`, `images_of_source`. RECORD lists them.
    """
    trained = [name for name in (spec.target_data, *spec.source_data) if name]
    cache = inputs.options.cache_folder(inputs.store)
    own, *of_sources = (compare_tested(spec.data, name, inputs.store, cache) for name in trained)
    metrics = run_unit(spec, replace(inputs, leaks=own.found), job)
    files.write_json(job.folder / RECORD, {"pairs": [asdict(pair) for pair in (own, *of_sources)]})
    removed = {leak.id for leak in own.found}
    known = {leak.id for pair in of_sources for leak in pair.found} - removed
    return metrics | {"removed_images": float(len(removed)), "images_of_source": float(len(known))}


def compare_tested(tested: str, trained: str, store: Store, cache: Path) -> Pair:
    """Find the images of a test set that other data train on, both named by digest; as `compare`."""
    path = cache / "leaks" / f"{tested[:24]}-in-{trained[:24]}-{leakage.LIMIT}.json"
    if not path.is_file():
        one, other = (leakage.read(store.fetch_all(name)) for name in (tested, trained))
        found, against = tuple(leakage.find_tested(one, other)), int((other.splits == "train").sum())
        files.write_json(path, asdict(Pair(one.dataset, other.dataset, len(one.ids), against, found)))
    return Pair.from_json(files.read_json(path))


def take_over(digest: str, store: Store, folder: Path) -> dict[str, float]:
    """Link the artifacts of a finished unit into `folder` and return its metrics.

    Raises InputError where an artifact is damaged.
    """
    marker = store.marker(digest)
    for artifact in marker.artifacts:
        _link(store.artifact(digest, artifact), folder / artifact)
    return dict(marker.metrics)


def _link(source: Path, target: Path) -> None:
    """Give a file a second name where the file system can, else copy it."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
