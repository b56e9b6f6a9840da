"""Plans in a store: written once under their digest, and listed in the record of their space."""

import logging
from pathlib import Path

from grid import package_data
from grid.plan.plan import Plan, merge
from grid.store.records import DamagedError, SpaceRecord
from grid.store.store import DIGEST, Store
from medpt import identity
from medpt.errors import InputError

log = logging.getLogger(__name__)


def record_start(store: Store, plan: Plan, path: Path) -> None:
    """Write the plan and add it to the record of its space; without a selection, it replaces the record.

    `path` is the space's file. A damaged record is replaced. Raises InputError where the record is of another
    file whose results would be lost or mixed with those of this one.
    """
    with store.documents.exclusive(f"space-{plan.space}"):
        store.write_plan(plan.digest, plan.to_json())
        try:
            record = store.space(plan.space)
            if record is not None:
                _check_same_space(store, record, plan, recorded_path(path))
        except DamagedError as error:
            record = None
            log.warning("%s\nthe record of earlier runs of `%s` is replaced", error, plan.space)
        kept = record.plans if record is not None and plan.selection else ()
        plans = (*(name for name in kept if name != plan.digest), plan.digest)
        store.write_space(SpaceRecord(plan.space, recorded_path(path), plans))


def read_plan(store: Store, digest: str) -> Plan:
    """Return a plan of the store. Raises DamagedError if it is missing or damaged."""
    name = f"{store.out}/plans/{digest}.json"
    try:
        values = store.plan(digest)
        if DIGEST.fullmatch(digest) and identity.digest(values) != digest:  # else of version 0.3.1
            raise ValueError
        return Plan.from_json(values)
    except FileNotFoundError:
        raise DamagedError(f"{name} is missing; run the space again to write it") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DamagedError(f"{name} is damaged; run the space again to write it") from None


def read_space(store: Store, name: str) -> Plan | None:
    """Return all that was run under the name of a space as one plan; None where nothing was."""
    record = store.space(name)
    return None if record is None else merge([read_plan(store, digest) for digest in record.plans])


def recorded_digests(store: Store) -> set[str]:
    """Return the digests of the plans of all spaces of a store, and of the units that they need.

    Raises DamagedError if one of them is damaged.
    """
    records = [record for name in store.spaces() if (record := store.space(name))]
    plans = [read_space(store, record.name) for record in records]
    units = {digest for plan in plans if plan for digest in plan.units}
    return units.union(*(record.plans for record in records))


def find_space(store: Store, space: str) -> Plan | None:
    """Return what was run under a name, or from a file. Raises InputError where another file has its name."""
    name = space_name(space)
    record = store.space(name)
    if record is not None and name != space and record.path not in ("", recorded_path(Path(space))):
        raise InputError(
            f"{space} was not run into {store.out}: its results of the name `{name}` are of {record.path}. "
            f"Give the name, not the file, to see those"
        )
    return read_space(store, name)


def space_name(space: str) -> str:
    """Return the name of a space that is given by its name or its file."""
    return Path(space).stem if space.endswith((".yaml", ".yml")) else space


def recorded_path(path: Path) -> str:
    """Return what names a space's file in records: `search_spaces/demo.yaml` for a built-in space."""
    folder = package_data.folder("search_spaces").resolve()
    path = path.resolve()
    return f"{folder.name}/{path.name}" if path.parent == folder else str(path)


def _check_same_space(store: Store, record: SpaceRecord, plan: Plan, path: str) -> None:
    """A file may be moved or copied: then one of the two has all results of the other."""
    recorded = read_space(store, record.name)
    if record.path in ("", path) or recorded is None or recorded.results <= plan.results:
        return
    if plan.selection and plan.results <= recorded.results:
        return
    raise InputError(
        f"{path}: the results of `{record.name}` in {store.out} are of another file with other trials, "
        f"{record.path}. Rename one of the files, or use another --out. If this file takes the place of the "
        f"other one, remove {store.out}/spaces/{record.name}.json; finished units are kept"
    )
