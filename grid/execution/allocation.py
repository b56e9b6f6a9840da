"""How much of a machine a unit takes: a CPU, or a fraction of a GPU that divides it.

A unit on a GPU may allocate its fraction of the device's memory and no more (grid/execution/inputs.py). On a
CPU nothing caps a unit's memory. RLIMIT_DATA counts what is reserved rather than used (1.4 GB beside 0.7 GB
of a training step), and in Ray's own threads nobody would catch what it raises. What guards the machine there
is Ray's monitor, which ends the youngest process at 95 % of the memory: grid/execution/failures.py knows it
from a lost one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from grid.plan.plan import Unit
from medpt.errors import InputError
from medpt.specs import CLASSIFIER, Finetune, Pretrain, Spec

# What a GPU is divided into. 1 divided by each is whole, and each is whole in Ray's ten-thousandths: of
# sixths, which Ray rounds up, only five would fit.
FRACTIONS = (0.1, 0.125, 0.2, 0.25, 0.5, 1.0)

# Shares of one GPU by backbone: (classifier, segmentation network). Activations of a batch of 16 at 256 px
# need 1-3 GB with a CUDA context; the larger share is for the deeper decoder maps.
GPU_SHARES = {
    "resnet18": (0.2, 0.25),
    "shufflenet_v2": (0.2, 0.25),
    "densenet121": (0.25, 0.5),
}
OTHERS = 0.25  # features, survival models and analyses: one small network, or none
UNMEASURED = (0.5, 1.0)  # of a unit that an extension has a part in: twice the largest of the others

MARGIN = 1.25  # the allocator's gaps, and what another batch may take beyond the measured peak
CONTEXT = 600 * 2**20  # bytes of a device that a process takes before it allocates: CUDA's kernels and queues


def gpu_share(spec: Spec) -> float:
    """The fraction of a GPU that trains this, before it has been measured."""
    if not isinstance(spec, Pretrain | Finetune):
        return OTHERS
    classifier, segmenter = UNMEASURED if spec.extensions else GPU_SHARES[spec.backbone]
    return classifier if spec.architecture == CLASSIFIER else segmenter


def fraction(wanted: float) -> float:
    """The smallest of FRACTIONS that is at least `wanted`, or all of the device."""
    return next((one for one in FRACTIONS if one >= wanted), 1.0)


def fitting(peak: int, device: int) -> float:
    """The smallest fraction of a device of `device` bytes that holds a measured `peak` with a margin."""
    return fraction((peak * MARGIN + CONTEXT) / device)


def allowed(share: float, device: int) -> float:
    """The fraction of a device that a process may allocate, so that its share holds its context too."""
    return max(share - CONTEXT / device, share / 2)


@dataclass
class Allocations:
    """What each unit of a run takes: by the table, by a measured peak, or more once it ran out of memory."""

    gpus: float = 0.0  # that the run counts on; 0: it trains on CPUs
    measured: Mapping[str, float] = field(default_factory=dict)  # shares of a GPU by digest
    largest_node: Callable[[], int] = lambda: 1  # CPUs of the largest machine there is
    enlarged: dict[str, dict[str, float]] = field(default_factory=dict)

    def of(self, unit: Unit) -> dict[str, float]:
        """A bundle as Ray reserves it; each trial uses one CPU thread."""
        if more := self.enlarged.get(unit.digest):
            return more
        if not self.gpus:
            return {"CPU": 1}
        return {"CPU": 1, "GPU": self.measured.get(unit.digest) or gpu_share(unit.spec)}

    def enlarge(self, unit: Unit) -> bool:
        """More for a unit that ran out: twice its share of a GPU, or a machine alone; False: it had all."""
        now = self.of(unit)
        if "GPU" in now:
            more = now | {"GPU": fraction(2 * now["GPU"])}
        else:
            more = {"CPU": max(now["CPU"], self.largest_node())}
        if more == now:
            return False
        self.enlarged[unit.digest] = more
        return True


@dataclass(frozen=True)
class Capacity:
    """How much work a run keeps going at once."""

    cpus: float
    gpus: float

    def slots(self, smallest_share: float) -> int:
        return max(1, int(self.gpus / smallest_share) if self.gpus else int(self.cpus))


def capacity(cpus: int | None, gpus: int | None) -> Capacity:
    """What the user counts on, else what Ray has now: what will join a cluster, only the user knows."""
    import ray

    there = ray.cluster_resources()
    return Capacity(
        there.get("CPU", 1.0) if cpus is None else cpus,
        there.get("GPU", 0.0) if gpus is None else gpus,
    )


def check_gpus(found: float) -> None:
    """InputError where this machine's GPUs are not there for PyTorch: units would hold them and use a CPU."""
    if not found:
        return
    import torch

    usable = torch.cuda.device_count()
    if usable < found:
        raise InputError(
            f"--gpus {found:.0f}: PyTorch can use {usable} GPUs of this machine; accepted: 0 to {usable}; "
            "`python -m grid.doctor` says more"
        )


def largest_node() -> int:
    import ray

    return int(max((node.get("CPU", 0) for node in living()), default=1)) if ray.is_initialized() else 1


def living() -> list[dict[str, float]]:
    """The resources of each machine that is there now."""
    import ray

    nodes: list[dict[str, Any]] = ray.nodes()
    return [node["Resources"] for node in nodes if node["Alive"]]
