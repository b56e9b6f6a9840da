"""`grid.run --clean`: list what no plan of a store needs, with sizes, and remove it after asking.

Needed are the plans of all spaces in the records of the store, the plan of the space that was named, and all
units of these plans. Everything else can only be had again by running it.
"""

import sys
import time
from pathlib import Path

from rich.console import Console

from grid.options import RunOptions
from grid.plan.plan import Plan
from grid.plan.stored_plans import recorded_digests
from grid.store import leftovers
from grid.store.leftovers import QUARANTINE, Leftover
from grid.store.store import Store
from medpt import cli
from medpt.errors import InputError

NO_TERMINAL = "nothing was removed: there is no terminal on which to ask; --yes removes without asking"


def clean(plan: Plan, store: Store, options: RunOptions, console: Console) -> int:
    """List what no plan needs and remove it if the user agrees; return the exit code.

    Raises InputError where a run uses the store, where the record of a space is damaged, or where nobody can
    be asked.
    """
    found = find(plan, store, options.cache_folder(store))
    print_leftovers(found, store, console)
    if not found or options.dry_run:
        return 0
    if not options.yes and not is_confirmed(console):
        console.print("nothing was removed")
        return 0
    with store.documents.unused():
        wait_for_holders(store, list(found), console)
        still = find(plan, store, options.cache_folder(store))  # a run may have ended meanwhile
        removed = [leftover for digest, leftover in still.items() if digest in found]
        for leftover in removed:
            leftovers.remove(store, leftover)
    console.print(f"removed {mebibytes(sum(each.size for each in removed))}")
    return 0


def find(plan: Plan, store: Store, cache: Path) -> dict[str, Leftover]:
    """Return what neither the plan nor a plan of a recorded space needs, by digest."""
    return leftovers.find_leftovers(store, recorded_digests(store) | set(plan.units), cache)


def print_leftovers(found: dict[str, Leftover], store: Store, console: Console) -> None:
    """Print a line for each digest, the largest first, and the sum."""
    spaces = ", ".join(store.spaces()) or "none"
    console.print(f"spaces in the records of {store.out}: {spaces}")
    markers = store.markers(found)
    for leftover in sorted(found.values(), key=lambda each: -each.size):
        marker = markers.get(leftover.digest)
        what = f"{marker.kind}: {marker.label}" if marker else describe(leftover)
        console.print(f"{mebibytes(leftover.size):>12}  {leftover.digest[:12]}  {what}")
    total = mebibytes(sum(leftover.size for leftover in found.values()))
    what = f"{cli.count(len(found), 'item')}, {total}" if found else "nothing"
    console.print(f"not needed by their plans or by this one: {what}")


def describe(leftover: Leftover) -> str:
    """Return what is kept under a digest that no marker explains."""
    areas = {Path(name).parts[0] for name in leftover.names}
    if areas == {"plans"}:
        return "a plan of an earlier start"
    if areas == {QUARANTINE}:
        return "damaged files that were set aside"
    return "a unit that was not finished" if areas else "copies on this machine"


def mebibytes(size: int) -> str:
    """Return a size in MiB, for people."""
    return f"{size / 2**20:,.1f} MiB"


def is_confirmed(console: Console) -> bool:
    """Ask on the terminal. Raises InputError where there is none."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise InputError(NO_TERMINAL)
    console.print("remove all of these? [y/N] ", end="")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def wait_for_holders(store: Store, digests: list[str], console: Console) -> None:
    """Wait until no process runs any of the units. Raises InputError if one still does after a lease's time.

    A process of another machine counts as running until it has been silent for the time of a lease.
    """
    unfinished = [digest for digest in digests if not store.is_finished(digest)]
    until = time.monotonic() + store.leases.seconds + 1
    notified = False
    while held := [digest for digest in unfinished if store.leases.is_held(digest)]:
        if time.monotonic() > until:
            running = f"a process runs unit {held[0][:12]} of {store.out}"
            raise InputError(f"nothing was removed: {running}; try again when it has ended")
        if not notified:
            units = cli.count(len(held), "unit")
            console.print(f"waiting up to {store.leases.seconds:g} s for processes that run {units}")
            notified = True
        time.sleep(1)
