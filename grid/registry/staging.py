"""What a registry offers of a plan, fetched into a folder and checked before anything of it counts."""

import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

from grid.plan.datasets import SpaceDatasets, recorded_contents
from grid.plan.plan import Plan
from grid.registry import artifacts
from grid.registry.claims import claim_problems, stored_manifest
from grid.registry.folder import Registry
from grid.registry.publish import data_of
from grid.registry.records import (
    LARGEST,
    Batch,
    Record,
    SharedUnit,
    batch_name,
    file_name,
    read,
    unit_name,
)
from grid.store.records import Marker, Origin
from grid.store.store import Store
from medpt import files
from medpt.data import contents
from medpt.data.manifest import Manifest
from medpt.errors import InputError
from medpt.grouping import grouped
from medpt.specs import Prepare

CLOCKS = 86_400.0  # seconds by which the clocks of two laboratories may differ


class FalseClaimError(InputError):
    """What a publisher says of a unit, under matching hashes, cannot be true."""


@dataclass(frozen=True)
class Offer:
    """A unit of a batch, by the hash of its document."""

    batch: Batch
    sha256: str

    @property
    def whose(self) -> str:
        return _whose(self.batch)


@dataclass(frozen=True)
class StagedUnit:
    """A unit whose document and files are here and match their hashes."""

    batch: Batch
    unit: SharedUnit
    folder: Path

    @property
    def is_complete(self) -> bool:
        """Whether it has all that other units read of it."""
        return not self.unit.withheld

    def marker(self, plan: Plan, *, attempt: int, is_recomputed: bool) -> Marker:
        """Return the marker of the unit here: numbers of the publisher, everything else of our plan."""
        publisher, ended = self.batch.publisher, self.batch.created
        started = ended - self.unit.seconds
        marker = plan.units[self.unit.digest].marker(self.unit.metrics, publisher, attempt, started, ended)
        origin = Origin(publisher, self.batch.name, self.unit.withheld, is_recomputed)
        return replace(marker, peak=self.unit.peak, origin=origin)


def find_offers(
    registry: Registry, wanted: Collection[str], refused: Collection[str]
) -> tuple[dict[str, Offer], list[str]]:
    """Return what the batches of a registry have of the wanted units, of the latest batch that has it.

    `refused` are batches that are in quarantine here. Batches that were altered are left out; what is wrong
    with each is returned too. Raises InputError where no other one is there.
    """
    batches, problems = list[Batch](), list[str]()
    for name in sorted(set(registry.batches()) - set(refused)):
        try:
            batches.append(_read(registry, Batch, batch_name(name), name))
        except InputError as error:
            problems += error.problems
    if problems and not batches:
        raise InputError(problems)
    offers: dict[str, Offer] = {}
    for batch in sorted(batches, key=lambda batch: (batch.created, batch.name)):
        offers |= {name: Offer(batch, sha256) for name, sha256 in batch.units.items() if name in wanted}
    return offers, problems


def batch_problems(offers: Mapping[str, Offer], plan: Plan) -> dict[str, list[str]]:
    """Return what cannot be true of each batch, by its name."""
    latest = time.time() + CLOCKS
    problems: dict[str, list[str]] = {}
    for batch, digests in _by_batch(offers):
        if batch.created > latest:
            made = f"`created` is {batch.created!r}, in the future; up to {latest:.0f} is accepted"
            problems.setdefault(batch.name, []).append(f"{_whose(batch)}: {made}")
        for name, fingerprint in data_of(plan, digests):
            if fingerprint not in batch.datasets:
                text = f"`datasets` does not state {name}, from which its units were computed"
                accepted = "name, licence, terms and content of every dataset are needed"
                problems.setdefault(batch.name, []).append(f"{_whose(batch)}: {text}; {accepted}")
    return problems


def _by_batch(offers: Mapping[str, Offer]) -> Iterator[tuple[Batch, list[str]]]:
    batches = {offer.batch.name: offer.batch for offer in offers.values()}
    for name, digests in grouped(offers, lambda digest: offers[digest].batch.name).items():
        yield batches[name], digests


def _whose(batch: Batch) -> str:
    return f"batch {batch.name[:12]} of {batch.publisher}"


def check_contents(offers: Mapping[str, Offer], plan: Plan, found: SpaceDatasets, out: Path) -> None:
    """Raise InputError unless the offered units were computed from the very files that are here."""
    problems = []
    for batch, digests in _by_batch(offers):
        for name, fingerprint in data_of(plan, digests):
            own = _own_content(found.folders[name], recorded_contents(out, fingerprint))
            theirs = batch.datasets[fingerprint].content
            if theirs != own:
                whose = f"{name}: {batch.publisher} computed from other files (content {theirs[:12]})"
                problems.append(f"{whose} than those of {found.folders[name]} (content {own[:12]})")
    if problems:
        raise InputError(problems)


def _own_content(folder: Path, recorded: Path) -> str:
    if not recorded.is_file():
        contents.record(folder, recorded)
    return contents.content_hash(recorded)


def stage(
    registry: Registry, offers: Mapping[str, Offer], plan: Plan, store: Store, to: Path
) -> tuple[dict[str, StagedUnit], dict[str, list[str]]]:
    """Fetch the offered units into folders below `to`; return them, and by batch what cannot be true.

    Raises InputError naming every document and file that was altered.
    """
    staged, false, altered = dict[str, StagedUnit](), dict[str, list[str]](), list[str]()
    for digest, offer in offers.items():
        try:
            staged[digest] = _stage(registry, digest, offer, plan, to / digest)
        except InputError as error:
            is_false = isinstance(error, FalseClaimError)
            problems = false.setdefault(offer.batch.name, []) if is_false else altered
            problems += [f"{plan.units[digest].label}, {offer.whose}: {text}" for text in error.problems]
    if altered:
        raise InputError(altered)
    known = cache(partial(_known_manifest, staged, plan, store))
    for digest, one in staged.items():
        where = f"{registry.place}/{unit_name(digest, offers[digest].sha256)}"
        whose = f"{plan.units[digest].label}, {offers[digest].whose}: {where}"
        contents = {name: (one.folder / name).read_bytes() for name in one.unit.artifacts}
        found = claim_problems(one.unit, artifacts.documents(contents), plan, partial(known, one.batch.name))
        if problems := [f"{whose}: {text}" for text in found]:
            false.setdefault(one.batch.name, []).extend(problems)
    return staged, false


def _known_manifest(
    staged: Mapping[str, StagedUnit], plan: Plan, store: Store, batch: str, digest: str
) -> Manifest | None:
    """Return what is known of prepared data: here, or as the same batch says; another one may be false."""
    spec, one = plan.units[digest].spec if digest in plan.units else None, staged.get(digest)
    if not isinstance(spec, Prepare):
        return None
    if one is None:
        return stored_manifest(store, spec, batch)
    try:
        return Manifest.read_numbers(one.folder, spec) if one.batch.name == batch else None
    except InputError:
        return None


def _stage(registry: Registry, digest: str, offer: Offer, plan: Plan, folder: Path) -> StagedUnit:
    name = unit_name(digest, offer.sha256)
    where = f"{registry.place}/{name}"
    unit = _read(registry, SharedUnit, name, offer.sha256)
    planned = plan.units[digest]
    expected = digest, planned.kind, planned.spec.version
    if (unit.digest, unit.kind, unit.version) != expected:
        shown = f"{unit.digest[:12]}, {unit.kind}, version {unit.version}"
        accepted = f"{digest[:12]}, {planned.kind}, version {planned.spec.version} is accepted"
        raise FalseClaimError(f"{where} is the document of another unit ({shown}); {accepted}")
    if unit.seconds > offer.batch.created:
        raise FalseClaimError(f"{where}: `seconds` is {unit.seconds!r}, more than since 1970")
    folder.mkdir(parents=True)
    for artifact, sha256 in unit.artifacts.items():
        if not artifacts.is_shared(unit.kind, artifact):
            raise FalseClaimError(f"{where}: no {unit.kind} shares an artifact {artifact!r}")
        content = registry.read(file_name(sha256), sha256)
        try:
            artifacts.read(artifact, content)
        except InputError as error:
            raise FalseClaimError(f"{registry.place}/{file_name(sha256)} ({artifact}) {error}") from None
        files.write_bytes(folder / artifact, content)
    return StagedUnit(offer.batch, unit, folder)


def _read(registry: Registry, kind: type[Record], name: str, sha256: str) -> Record:
    content = registry.read(name, sha256, LARGEST)
    try:
        return read(kind, content)
    except InputError as error:
        raise InputError(f"{registry.place}/{name} {error}") from None
