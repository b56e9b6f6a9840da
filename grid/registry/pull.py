"""Take over what a registry has of a plan and this store lacks, after a sample was computed here too."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from grid.plan.datasets import SpaceDatasets
from grid.plan.plan import Plan, Unit
from grid.registry import staging, verify
from grid.registry.folder import Registry
from grid.registry.publish import versions
from grid.registry.staging import Offer, StagedUnit
from grid.store.backends import FolderBackend
from grid.store.records import Marker
from grid.store.store import Store
from medpt import files
from medpt.errors import InputError

REFUSED = "refused"  # the folder of documents about batches in quarantine


@dataclass(frozen=True)
class Recomputed:
    """A unit that was computed here to be compared: its marker, and the folder of its artifacts."""

    marker: Marker
    folder: Path


Recompute = Callable[[Sequence[Unit], Mapping[str, StagedUnit], Path], Mapping[str, Recomputed]]


@dataclass(frozen=True)
class Pulled:
    """The units that were taken over, by digest, and the digests of those that were compared."""

    staged: Mapping[str, StagedUnit]
    compared: Collection[str]


def offers(
    plan: Plan, found: SpaceDatasets, store: Store, registry: Registry
) -> tuple[dict[str, Offer], list[str]]:
    """Return what a registry has of the plan's units that the store lacks, and which batches are damaged.

    Raises InputError where there is no intact batch, and for results of other data.
    """
    wanted = plan.units.keys() - store.finished()
    offered, damaged = staging.find_offers(registry, wanted, refused_batches(store))
    quarantine(store, staging.batch_problems(offered, plan), offered.values())
    staging.check_contents(offered, plan, found, store.root)
    return offered, damaged


def pull(
    offered: Mapping[str, Offer],
    plan: Plan,
    store: Store,
    registry: Registry,
    draw: Callable[[Sequence[Unit]], list[Unit]],
    recompute: Recompute,
) -> Pulled:
    """Take over the offered units; `draw` says which of them are computed here with `recompute`.

    Raises InputError, and takes over nothing, where something was altered or a result differs. The batches of
    what differs go into quarantine: units that were pulled from them earlier are invalidated.
    """
    with _staging_folder(store) as folder:
        staged, false = staging.stage(registry, offered, plan, store, folder / "units")
        quarantine(store, false, offered.values())
        drawn = draw([plan.units[name] for name in staged])
        recomputed = recompute(drawn, staged, folder)
        compared = {name: found for name, found in recomputed.items() if name in staged}
        compare(store, staged, compared)
        taken = {name for name, unit in staged.items() if _adopt(store, plan, unit, name in compared)}
    return Pulled({name: unit for name, unit in staged.items() if name in taken}, set(compared))


def compare(store: Store, staged: Mapping[str, StagedUnit], recomputed: Mapping[str, Recomputed]) -> None:
    """Raise InputError for results that differ, and put the batches that they are of into quarantine."""
    problems, here = dict[str, list[str]](), versions()
    for name, found in recomputed.items():
        claimed = staged[name]
        for what in verify.differences(claimed, found.marker, found.folder, here):
            problems.setdefault(claimed.batch.name, []).append(f"{found.marker.label}: {what}")
    quarantine(store, problems, staged.values())


def quarantine(
    store: Store, problems: Mapping[str, Sequence[str]], units: Iterable[Offer | StagedUnit]
) -> None:
    """Put the batches that have problems, by their name, into quarantine; raise InputError if one has."""
    publishers = {unit.batch.name: unit.batch.publisher for unit in units}
    lines = list[str]()
    for batch, differing in problems.items():
        invalidated = refuse(store, batch, publishers[batch], differing)
        earlier = (
            f"; {invalidated} of its units that were pulled earlier will be run here" if invalidated else ""
        )
        lines += [*differing, f"batch {batch[:12]} of {publishers[batch]} is in quarantine{earlier}"]
    if lines:
        raise InputError(lines)


def refuse(store: Store, batch: str, publisher: str, reasons: Sequence[str]) -> int:
    """Put a batch into quarantine; return how many units that were pulled from it are invalidated."""
    record = {"publisher": publisher, "reasons": reasons, "time": time.time()}
    store.documents.write(f"{REFUSED}/{batch}.json", files.json_bytes(record))
    markers = store.markers(store.finished())
    pulled = [name for name, marker in markers.items() if marker.origin and marker.origin.batch == batch]
    for name in pulled:
        store.invalidate(name)
    return len(pulled)


def refused_batches(store: Store) -> list[str]:
    """Return the names of the batches in quarantine."""
    return [Path(name).stem for name in store.documents.names(REFUSED)]


def _adopt(store: Store, plan: Plan, staged: StagedUnit, is_recomputed: bool) -> bool:
    """Publish a staged unit in the store; return False where it is finished or at work here."""
    lease = store.claim(staged.unit.digest)
    if lease is None:
        return False
    with store.leases.held(lease):
        marker = staged.marker(plan, attempt=lease.attempt, is_recomputed=is_recomputed)
        store.publish(staged.unit.digest, staged.folder, marker)
    return True


@contextmanager
def _staging_folder(store: Store) -> Iterator[Path]:
    """Yield an empty folder beside the results that one pull at a time uses; it is removed at the end."""
    folder = store.root / "pulling"
    with FolderBackend(store.root).exclusive("pulling"):
        files.remove(folder)
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            files.remove(folder)
