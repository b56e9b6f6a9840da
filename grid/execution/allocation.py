"""How much of a machine a unit takes: CPUs, and a fraction of a GPU that divides it, from measured memory.

A unit on a GPU may allocate its fraction of the device's memory and no more (grid/execution/inputs.py). On a
CPU nothing limits a unit's memory. RLIMIT_DATA counts what is reserved rather than used (1.4 GB beside 0.7 GB
of a training step), and nobody would catch what it raises in Ray's own threads. There Ray's monitor guards
the machine: it ends the youngest process at 95 % of the memory, and grid/execution/failures.py tells that
from a lost process.

The most memory that a unit took is in its marker, and becomes the share of a GPU of units like it. A peak of
the machine's memory is a process's resident pages; arrays that it shares with others through the page cache
count in it. Where the system does not report it (not Linux), it is excluded.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from grid.cluster.cpus import cpu_name
from grid.plan.plan import Plan, Unit
from grid.plan.stored_plans import read_space
from grid.store.store import Store
from medpt import cli
from medpt.data.preprocess import output_size
from medpt.errors import InputError
from medpt.specs import CLASSIFIER, Finetune, Prepare, Pretrain, UnitSpec

# What a GPU is divided into. 1 divided by each is whole, and each is whole in Ray's ten-thousandths: of
# sixths, which Ray rounds up, only five would fit.
FRACTIONS = (0.1, 0.125, 0.2, 0.25, 0.5, 1.0)

# Shares of one GPU by backbone: (classifier, segmentation network). Activations of a batch of 16 at 256 px
# need 1-3 GB with a CUDA context; the larger share is for the deeper decoder maps.
GPU_SHARES = {
    "resnet18": (0.2, 0.25),
    "shufflenet_v2": (0.2, 0.25),
    "densenet121": (0.25, 0.5),
    "resnet50": (0.25, 0.5),
    "mobilenet_v2": (0.2, 0.25),
}
DEFAULT_SHARE = 0.25  # features, survival models and analyses: one small network, or none
EXTENSION_SHARES = (0.5, 1.0)  # of a unit that uses an extension: twice the largest of the others

MARGIN = 1.25  # the allocator's gaps, and what another batch may take beyond the measured peak
CONTEXT = 600 * 2**20  # bytes of a device that a process takes before it allocates: CUDA's kernels and queues

ALIKE = ("backbone", "architecture", "method", "model")  # fields that decide what a unit allocates
READ = 5  # markers per profile: its units differ only in seed and data, but an extreme may be among them

Profile = tuple[Any, ...]


@dataclass(frozen=True)
class Allocation:
    """What Ray reserves for a trial: CPUs, and a share of one GPU (0: the trial runs on CPUs)."""

    cpus: int = 1
    gpu: float = 0.0


@dataclass
class Allocations:
    """What each unit of a run takes: by the table, by a measured peak, or more once it ran out of memory."""

    gpus: float = 0.0  # that the run may use; 0: it trains on CPUs
    measured: Mapping[str, float] = field(default_factory=dict)  # shares of a GPU by digest
    largest_node: Callable[[], int] = lambda: 1  # CPUs of the largest machine there is
    increased: dict[str, Allocation] = field(default_factory=dict)

    def allocation_for(self, unit: Unit) -> Allocation:
        """Return what the next trial of a unit gets; each trial uses one CPU thread."""
        if unit.digest in self.increased:
            return self.increased[unit.digest]
        if not self.gpus:
            return Allocation()
        return Allocation(gpu=self.measured.get(unit.digest) or gpu_share(unit.spec))

    def increase(self, unit: Unit) -> bool:
        """Give a unit twice its share of a GPU, or a machine of its own; return False if it had all."""
        now = self.allocation_for(unit)
        if now.gpu:
            more = replace(now, gpu=smallest_fraction(2 * now.gpu))
        else:
            more = replace(now, cpus=max(now.cpus, self.largest_node()))
        if more == now:
            return False
        self.increased[unit.digest] = more
        return True


@dataclass(frozen=True)
class Capacity:
    """The CPUs and GPUs that a run may use at once."""

    cpus: float
    gpus: float

    def slots(self, smallest_share: float) -> int:
        """Return how many trials can run at once, at least one."""
        return max(1, int(self.gpus / smallest_share) if self.gpus else int(self.cpus))


def capacity(cpus: int | None, gpus: int | None) -> Capacity:
    """Return what the user names, else what Ray has now; only the user knows what will join a cluster."""
    import ray

    resources = ray.cluster_resources()
    return Capacity(
        resources.get("CPU", 1.0) if cpus is None else cpus,
        resources.get("GPU", 0.0) if gpus is None else gpus,
    )


def check_gpus(gpus: float) -> None:
    """Raise InputError if PyTorch sees fewer GPUs here: units would reserve them and run on a CPU."""
    if not gpus:
        return
    import torch

    usable = torch.cuda.device_count()
    if usable < gpus:
        raise InputError(
            f"--gpus {gpus:.0f}: PyTorch sees {cli.count(usable, 'GPU')} here; use 0 to {usable} "
            "(details: python -m grid.doctor)"
        )


def largest_node() -> int:
    """Return the CPUs of the largest machine that Ray has now; 1 without Ray."""
    import ray

    return int(max((node.get("CPU", 0) for node in living_nodes()), default=1)) if ray.is_initialized() else 1


def living_nodes() -> list[dict[str, float]]:
    """Return the resources of each machine that Ray has now."""
    import ray

    nodes: list[dict[str, Any]] = ray.nodes()
    return [node["Resources"] for node in nodes if node["Alive"]]


def gpu_share(spec: UnitSpec) -> float:
    """Return the fraction of a GPU for units that were never measured."""
    if not isinstance(spec, Pretrain | Finetune):
        return DEFAULT_SHARE
    classifier, segmenter = EXTENSION_SHARES if spec.extensions else GPU_SHARES[spec.backbone]
    return classifier if spec.architecture == CLASSIFIER else segmenter


def smallest_fraction(wanted: float) -> float:
    """Return the smallest of FRACTIONS that is at least `wanted`, or the whole device."""
    return next((one for one in FRACTIONS if one >= wanted), 1.0)


def share_for_peak(peak: int, device: int) -> float:
    """Return the smallest fraction of `device` bytes that holds a measured `peak` with a margin."""
    return smallest_fraction((peak * MARGIN + CONTEXT) / device)


def usable_share(share: float, device: int) -> float:
    """Return the fraction of a device that a process may allocate so that its share holds its context too."""
    return max(share - CONTEXT / device, share / 2)


def reset_peaks(process: Path = Path("/proc/self")) -> None:
    """Forget the peaks of earlier units of this process."""
    with suppress(OSError):  # a container may forbid it: then the peak is that of the process
        (process / "clear_refs").write_text("5")
    if cuda := _cuda():
        cuda.reset_peak_memory_stats()


def measure_peaks(process: Path = Path("/proc/self")) -> dict[str, Any]:
    """Return bytes since `reset_peaks`, and the names of what was used.

    That is `resident` and `cpu`, and of a unit on a GPU `device`, `device_size` and `device_name`.
    """
    peaks: dict[str, Any] = {"cpu": cpu_name()}
    status = process / "status"
    if status.is_file():
        line = next(
            line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM:")
        )
        peaks["resident"] = int(line.split()[1]) * 1024
    cuda = _cuda()
    if cuda and (peak := cuda.max_memory_allocated()):
        device = cuda.get_device_properties(0)
        peaks |= {"device": peak, "device_size": device.total_memory, "device_name": device.name}
    return peaks


def _cuda() -> Any:
    """Return PyTorch's CUDA if this process has used it."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch and torch.cuda.is_initialized() else None


def measured_shares(plan: Plan, todo: Iterable[str], store: Store) -> dict[str, float]:
    """Return by digest the share of a GPU that held the peaks of like units in the store, of any plan."""
    wanted = {name: profile(plan.units[name], plan.units) for name in todo}
    measured = largest_shares(store, set(wanted.values()))
    return {name: measured[key] for name, key in wanted.items() if key in measured}


def profile(unit: Unit, units: Mapping[str, Unit]) -> Profile:
    """Return what makes units take the same memory: networks, batch size, side of the images."""
    prepared = [units[need].spec for need in unit.needs if need in units]
    sides = [output_size(spec.pipeline) for spec in prepared if isinstance(spec, Prepare)]
    batch = getattr(getattr(unit.spec, "protocol", None), "batch_size", None)
    return (unit.kind, *(getattr(unit.spec, name, None) for name in ALIKE), batch, max(sides, default=None))


def largest_shares(store: Store, wanted: set[Profile]) -> dict[Profile, float]:
    """Return the largest share of each profile among READ finished units; the plans name them."""
    finished, alike = store.finished(), dict[Profile, set[str]]()
    for units in _planned_units(store):
        for name in sorted(finished & units.keys()):
            key = profile(units[name], units)
            if key in wanted and len(alike.setdefault(key, set())) < READ:
                alike[key].add(name)
    markers = store.markers(name for names in alike.values() for name in names)
    shares = {
        key: max((_share(markers[name].peak) for name in names if name in markers), default=0.0)
        for key, names in alike.items()
    }
    return {key: share for key, share in shares.items() if share}


def _planned_units(store: Store) -> Iterable[Mapping[str, Unit]]:
    for name in store.spaces():
        if plan := read_space(store, name):
            yield plan.units


def _share(peak: Mapping[str, Any]) -> float:
    """Return 0 for a unit that ran on a CPU, or before peaks were recorded."""
    return share_for_peak(peak["device"], peak["device_size"]) if "device" in peak else 0.0
