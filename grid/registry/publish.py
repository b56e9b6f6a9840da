"""Write the finished units of a plan into a registry; images, ids and names of files stay here."""

import hashlib
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from platform import python_version

from grid.package_data import PROJECT, installed_version
from grid.plan.datasets import recorded_contents
from grid.plan.plan import Plan
from grid.registry import artifacts
from grid.registry.artifacts import WEIGHTS
from grid.registry.claims import Manifests, claim_problems, stored_manifest
from grid.registry.folder import Registry
from grid.registry.records import Batch, SharedDataset, SharedUnit, batch_name, file_name, read, unit_name
from grid.store.records import Marker
from grid.store.store import Store
from medpt.data import contents
from medpt.data.catalog import card
from medpt.data.manifest import COUNTS, MANIFEST, Manifest
from medpt.errors import InputError
from medpt.files import json_bytes
from medpt.specs import Prepare, Slides

NUMERIC = ("torch", "torchvision", "numpy", "opencv-python-headless", "scikit-learn")


@dataclass(frozen=True)
class Published:
    """A batch, the bytes of its files, and how many units it lacks because they were pulled."""

    batch: Batch
    pulled: int
    nbytes: int


def publish(
    plan: Plan, store: Store, registry: Registry, publisher: str, *, with_weights: bool = False
) -> Published:
    """Publish the finished units of a plan that were computed here, the batch's document last.

    Raises InputError if files of a unit are damaged, hold what is never published, or if the contents of a
    dataset were not recorded.
    """
    markers = store.markers(store.finished() & plan.units.keys())
    own = {name: marker for name, marker in markers.items() if marker.origin is None}
    if not own:
        raise InputError(f"{store.out} has no finished unit of `{plan.space}` that was computed there")
    batch = Batch(publisher, plan.space, time.time(), versions(), shared_datasets(plan, store, own), {})
    check_batch(batch)
    units, nbytes, problems, manifests = {}, 0, list[str](), cache(partial(_manifest, plan, store))
    for name, marker in own.items():
        try:
            files = shared_files(store, marker, with_weights=with_weights)
            unit = _shared(marker, files)
            check_claims(unit, files, plan, manifests)
        except InputError as error:
            problems += [f"{marker.label}: {problem}" for problem in error.problems]
            continue
        units[name] = _write(registry, unit, files)
        nbytes += sum(map(len, files.values()))
    if problems:
        raise InputError(problems)
    batch = replace(batch, units=units)
    registry.write(batch_name(batch.name), batch.content())
    return Published(batch, len(markers) - len(own), nbytes)


def check_batch(batch: Batch) -> None:
    """Raise InputError for a name, licence or citation that nobody could pull, before anything is written."""
    try:
        read(Batch, batch.content())
    except InputError as error:
        raise InputError(f"cannot publish `{batch.space}`: its batch {error}") from None


def check_claims(unit: SharedUnit, files: Mapping[str, bytes], plan: Plan, manifests: Manifests) -> None:
    """Raise InputError for what does not follow from a unit's files: nobody could pull it."""
    if problems := list(claim_problems(unit, artifacts.documents(files), plan, manifests)):
        raise InputError(problems)


def _manifest(plan: Plan, store: Store, digest: str) -> Manifest | None:
    spec = plan.units[digest].spec if digest in plan.units else None
    return stored_manifest(store, spec) if isinstance(spec, Prepare) else None


def shared_files(store: Store, marker: Marker, *, with_weights: bool) -> dict[str, bytes]:
    """Return the content of each artifact of a unit that is published, by name."""
    found = {
        name: store.artifact(marker.digest, name).read_bytes()
        for name in marker.artifacts
        if artifacts.is_shared(marker.kind, name) and (with_weights or name not in WEIGHTS)
    }
    if marker.kind == Prepare.kind:
        manifest = Manifest.read(store.artifact(marker.digest, MANIFEST).parent)
        found[COUNTS] = json_bytes(manifest.numbers())
    for name, content in found.items():
        try:
            artifacts.read(name, content)
        except InputError as error:
            raise InputError(f"{name} {error}") from None
    return found


def shared_datasets(plan: Plan, store: Store, digests: Collection[str]) -> dict[str, SharedDataset]:
    """Return the datasets of some units by fingerprint, with the hash of their files.

    Raises InputError naming those whose hashes were not recorded when they were prepared.
    """
    found, problems = {}, []
    for name, fingerprint in data_of(plan, digests):
        path = recorded_contents(store.root, fingerprint)
        if not path.is_file():
            problems.append(f"{name}: {path} is missing, so nobody can compare the data; run the space again")
            continue
        known = card(name, plan.cards)
        terms = " ".join(f"{known.source} {known.citation}".split())
        licence = " ".join(known.licence.split())
        found[fingerprint] = SharedDataset(name, licence, terms, contents.content_hash(path))
    if problems:
        raise InputError(problems)
    return found


def data_of(plan: Plan, digests: Collection[str]) -> list[tuple[str, str]]:
    """Return name and fingerprint of each dataset that the units were computed from, directly or not."""
    used = plan.with_inputs(digests)
    specs = [unit.spec for name, unit in plan.units.items() if name in used]
    return list(dict.fromkeys((s.dataset, s.fingerprint) for s in specs if isinstance(s, Prepare | Slides)))


def versions() -> dict[str, str]:
    """Return the versions of what results may depend on."""
    found = {name: installed_version(name) for name in (PROJECT, *NUMERIC)}
    return {"Python": python_version()} | {name: version for name, version in found.items() if version}


def _shared(marker: Marker, files: Mapping[str, bytes]) -> SharedUnit:
    return SharedUnit(
        digest=marker.digest,
        kind=marker.kind,
        version=marker.version,
        label=marker.label,
        metrics=marker.metrics,
        seconds=marker.seconds,
        peak=marker.peak,
        artifacts={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        withheld=tuple(name for name in marker.artifacts if name not in files),
    )


def _write(registry: Registry, unit: SharedUnit, files: Mapping[str, bytes]) -> str:
    """Write a unit with its files; return the hash of its document."""
    for name, content in files.items():
        registry.write(file_name(unit.artifacts[name]), content)
    content = unit.content()
    read(SharedUnit, content)
    sha256 = hashlib.sha256(content).hexdigest()
    registry.write(unit_name(unit.digest, sha256), content)
    return sha256
