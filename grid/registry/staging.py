"""What a registry offers of a plan, fetched into a folder and checked before anything of it counts."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from math import isnan
from pathlib import Path

from grid.plan.datasets import SpaceDatasets, recorded_contents
from grid.plan.plan import Plan
from grid.registry import artifacts
from grid.registry.folder import Registry
from grid.registry.publish import data_of
from grid.registry.records import Batch, Record, SharedUnit, batch_name, file_name, read, unit_name
from grid.results.items import INFLUENCES
from grid.results.test_set_columns import AT
from grid.results.test_sets import KEPT
from grid.store.records import Marker, Origin
from medpt import files
from medpt.data import contents
from medpt.errors import InputError
from medpt.grouping import grouped

RESERVED = frozenset(KEPT)  # columns of the frame that no metric may replace
LEAST = {name: -1 if name == "kappa" else 0 for name in INFLUENCES if name != "integrated_brier"}  # up to 1
ROUNDING = 1e-9


@dataclass(frozen=True)
class Offer:
    """A unit of a batch, by the hash of its document."""

    batch: Batch
    sha256: str


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


def find_offers(registry: Registry, wanted: Collection[str], refused: Collection[str]) -> dict[str, Offer]:
    """Return what the batches of a registry have of the wanted units, of the latest batch that has it.

    `refused` are batches that are in quarantine here. Raises InputError for batches that were altered.
    """
    batches, problems = list[Batch](), list[str]()
    for name in set(registry.batches()) - set(refused):
        try:
            batches.append(_read(registry, Batch, batch_name(name), name))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    offers: dict[str, Offer] = {}
    for batch in sorted(batches, key=lambda batch: (batch.created, batch.name)):
        offers |= {name: Offer(batch, sha256) for name, sha256 in batch.units.items() if name in wanted}
    return offers


def check_contents(offers: Mapping[str, Offer], plan: Plan, found: SpaceDatasets, out: Path) -> None:
    """Raise InputError unless the offered units were computed from the very files that are here."""
    by_batch = grouped(offers, lambda digest: offers[digest].batch.name)
    batches = {offer.batch.name: offer.batch for offer in offers.values()}
    problems = []
    for batch, digests in by_batch.items():
        for name, fingerprint in data_of(plan, digests):
            own = _own_content(found.folders[name], recorded_contents(out, fingerprint))
            shared = batches[batch].datasets.get(fingerprint)
            theirs = shared.content if shared else "not stated"
            if theirs != own:
                whose = (
                    f"{name}: {batches[batch].publisher} computed from other files (content {theirs[:12]})"
                )
                problems.append(f"{whose} than those of {found.folders[name]} (content {own[:12]})")
    if problems:
        raise InputError(problems)


def _own_content(folder: Path, recorded: Path) -> str:
    if not recorded.is_file():
        contents.record(folder, recorded)
    return contents.content_hash(recorded)


def stage(registry: Registry, offers: Mapping[str, Offer], plan: Plan, to: Path) -> dict[str, StagedUnit]:
    """Fetch the offered units into folders below `to`.

    Raises InputError naming every document and file that was altered, or is not accepted.
    """
    staged, problems = {}, list[str]()
    for digest, offer in offers.items():
        try:
            staged[digest] = _stage(registry, digest, offer, plan, to / digest)
        except InputError as error:
            problems += [f"{plan.units[digest].label}: {problem}" for problem in error.problems]
    if problems:
        raise InputError(problems)
    return staged


def _stage(registry: Registry, digest: str, offer: Offer, plan: Plan, folder: Path) -> StagedUnit:
    name = unit_name(digest, offer.sha256)
    unit = _read(registry, SharedUnit, name, offer.sha256)
    planned = plan.units[digest]
    if (unit.digest, unit.kind, unit.version) != (digest, planned.kind, planned.spec.version):
        raise InputError(f"{registry.place}/{name} is the document of another unit")
    if problems := list(_metric_problems(unit.metrics)):
        raise InputError(f"{registry.place}/{name}: {problem}" for problem in problems)
    folder.mkdir(parents=True)
    for artifact, sha256 in unit.artifacts.items():
        if not artifacts.is_shared(unit.kind, artifact):
            raise InputError(f"{registry.place}/{name}: no {unit.kind} shares an artifact {artifact!r}")
        content = registry.read(file_name(sha256), sha256)
        try:
            artifacts.check(artifact, content)
        except InputError as error:
            raise InputError(f"{registry.place}/{file_name(sha256)} ({artifact}) {error}") from None
        files.write_bytes(folder / artifact, content)
    return StagedUnit(offer.batch, unit, folder)


def _metric_problems(metrics: Mapping[str, float]) -> Iterator[str]:
    for name, value in metrics.items():
        if name in RESERVED or AT in name:
            yield f"no metric is called {name}"
        elif name in LEAST and not (isnan(value) or LEAST[name] - ROUNDING <= value <= 1 + ROUNDING):
            yield f"{name} is {value!r}; {LEAST[name]} to 1 is accepted"


def _read(registry: Registry, kind: type[Record], name: str, sha256: str) -> Record:
    content = registry.read(name, sha256)
    try:
        return read(kind, content)
    except InputError as error:
        raise InputError(f"{registry.place}/{name} {error}") from None
