"""The most memory that a unit took: noted in its marker, and turned into the share of a GPU of its like.

A peak of the machine's memory is a process's resident pages; arrays that it shares with others through the
page cache count in it. Where the system does not tell (no Linux), it is left out.
"""

import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from grid.execution.allocation import fitting
from grid.plan.plan import Plan, Unit, unit_from
from grid.store.store import Store
from medpt.data.preprocess import output_size
from medpt.specs import Prepare

ALIKE = ("backbone", "architecture", "method", "model")  # fields that decide what a unit allocates
READ = 5  # markers of one profile: its units differ only in seed and data, but an extreme may be among them

Profile = tuple[Any, ...]


def reset_peaks(process: Path = Path("/proc/self")) -> None:
    """Forgets the peaks of earlier units of this process."""
    with suppress(OSError):  # a container may forbid it: then the peak is that of the process
        (process / "clear_refs").write_text("5")
    if cuda := _cuda():
        cuda.reset_peak_memory_stats()


def measure_peaks(process: Path = Path("/proc/self")) -> dict[str, Any]:
    """Bytes: `resident`, and of a unit on a GPU `device` and that device's own `device_size`."""
    found: dict[str, Any] = {}
    status = process / "status"
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        found["resident"] = int(line.split()[1]) * 1024
    cuda = _cuda()
    if cuda and (peak := cuda.max_memory_allocated()):
        device = cuda.get_device_properties(0)
        found |= {"device": peak, "device_size": device.total_memory, "device_name": device.name}
    return found


def _cuda() -> Any:
    """PyTorch's CUDA, where this process has used it."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch and torch.cuda.is_initialized() else None


def profile(unit: Unit, units: Mapping[str, Unit]) -> Profile:
    """What makes units take the same memory: their networks, their batch, the side of their images."""
    prepared = [units[need].spec for need in unit.needs if need in units]
    sides = [output_size(spec.pipeline) for spec in prepared if isinstance(spec, Prepare)]
    batch = getattr(getattr(unit.spec, "protocol", None), "batch_size", None)
    return (unit.kind, *(getattr(unit.spec, name, None) for name in ALIKE), batch, max(sides, default=None))


def shares(plan: Plan, todo: Iterable[str], store: Store) -> dict[str, float]:
    """By digest, the share of a GPU that held the peaks of finished units alike, of any plan in the store."""
    wanted = {name: profile(plan.units[name], plan.units) for name in todo}
    measured = largest(store, set(wanted.values()))
    return {name: measured[alike] for name, alike in wanted.items() if alike in measured}


def largest(store: Store, wanted: set[Profile]) -> dict[Profile, float]:
    """The largest share of each profile among a few finished units. Plans say which: few files are read."""
    finished, alike = store.finished(), dict[Profile, set[str]]()
    for units in _planned(store):
        for name in sorted(finished & units.keys()):
            of = profile(units[name], units)
            if of in wanted and len(alike.setdefault(of, set())) < READ:
                alike[of].add(name)
    markers = store.markers(name for names in alike.values() for name in names)
    found = {of: max(_share(markers.get(name, {})) for name in names) for of, names in alike.items()}
    return {of: share for of, share in found.items() if share}


def _planned(store: Store) -> Iterable[dict[str, Unit]]:
    for space in store.plans():
        plan = store.plan(space)
        if plan is not None:
            yield {name: unit_from(plain) for name, plain in plan["units"].items()}


def _share(marker: Mapping[str, Any]) -> float:
    """0 of a unit that ran on a CPU, or before peaks were noted."""
    peak = marker.get("peak", {})
    return fitting(peak["device"], peak["device_size"]) if "device" in peak else 0.0
