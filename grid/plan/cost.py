"""What a plan will cost: device hours by kind, from arithmetic, calibrated by the units that are finished.

A training step costs three forward passes; the multiply-adds are those of the networks at 256 × 256. What a
device achieves of its peak on batches of sixteen is an assumption until finished units of the same store
say otherwise.
"""

from collections.abc import Iterable, Mapping
from statistics import median

from grid.plan.plan import Unit
from grid.store.store import Store
from medpt.protocol import TrainingProtocol
from medpt.specs import Finetune, Pretrain

GMACS = {  # at 256 × 256, forward
    ("classifier", "resnet18"): 2.4,
    ("classifier", "shufflenet_v2"): 0.2,
    ("classifier", "densenet121"): 3.7,
    ("unet", "resnet18"): 5.4,
    ("unet", "shufflenet_v2"): 3.2,
    ("unet", "densenet121"): 8.4,
    ("deeplabv3plus", "resnet18"): 10.3,
    ("deeplabv3plus", "shufflenet_v2"): 7.6,
    ("deeplabv3plus", "densenet121"): 11.4,
    ("cenet", "resnet18"): 4.3,
    ("cenet", "shufflenet_v2"): 4.1,
    ("cenet", "densenet121"): 8.6,
    ("hynet", "resnet18"): 9.7,
    ("hynet", "shufflenet_v2"): 7.5,
    ("hynet", "densenet121"): 11.2,
    ("etnet", "resnet18"): 3.0,
    ("etnet", "shufflenet_v2"): 0.8,
    ("etnet", "densenet121"): 4.6,
}
GFLOPS = {"CPU core": 40.0, "GPU": 8_000.0}  # achieved on these networks; one core measured, a GPU assumed
LEAK_CHECK = "leak check"  # a guarded pre-training
LEAK_CHECK_SECONDS = 20.0  # as a rule it shares nothing with its target and is not trained


def estimate(units: Iterable[Unit], sizes: Mapping[str, int], store: Store, device: str) -> dict[str, float]:
    """Return hours of one `device` by title of the work; `sizes` has the side in pixels of prepared data."""
    units = list(units)
    hours: dict[str, float] = {}
    factor = calibration(store, sizes, device)
    for unit in units:
        hours[title(unit)] = hours.get(title(unit), 0.0) + seconds(unit, sizes, device) * factor / 3600
    return hours


def title(unit: Unit) -> str:
    """Return the title of the unit's kind, or LEAK_CHECK for what trains only if it finds shared images."""
    is_leak_check = isinstance(unit.spec, Pretrain) and not trains(unit)
    return LEAK_CHECK if is_leak_check else unit.spec.title


def seconds(unit: Unit, sizes: Mapping[str, int], device: str) -> float:
    """Return the seconds that the arithmetic gives a unit, before any calibration."""
    spec = unit.spec
    if not isinstance(spec, Pretrain | Finetune):
        return spec.typical_seconds
    if not trains(unit):
        return LEAK_CHECK_SECONDS
    side = sizes.get(unit.needs[0], 256) / 256
    step = 6 * gmacs(spec.architecture, spec.backbone) * side**2 * spec.protocol.batch_size
    return steps(spec) * step / GFLOPS[device]


def trains(unit: Unit) -> bool:
    """Whether most of the unit's time goes into training."""
    spec = unit.spec
    if isinstance(spec, Pretrain):
        return spec.unguarded.digest not in unit.needs
    return isinstance(spec, Finetune)


def gmacs(architecture: str, backbone: str) -> float:
    """Return the multiply-adds of a network at 256 × 256, in units of 10^9.

    For a network of an extension, it is the largest of the known ones with the same backbone or architecture.
    """
    if known := GMACS.get((architecture, backbone)):
        return known
    alike = [value for key, value in GMACS.items() if architecture == key[0] or backbone == key[1]]
    return max(alike or GMACS.values())


def steps(spec: Pretrain | Finetune) -> float:
    """Return the expected number of training steps."""
    return middle(spec.protocol)


def middle(protocol: TrainingProtocol) -> float:
    return (min(protocol.min_steps, protocol.max_steps) + protocol.max_steps) / 2


def calibration(store: Store, sizes: Mapping[str, int], device: str, sample: int = 50) -> float:
    """Measured over computed seconds of finished units; 1 where there are none."""
    ratios = []
    for marker in store.markers(sorted(store.finished())[:sample]).values():
        unit = Unit.from_marker(marker)
        if trains(unit):
            ratios.append(marker.seconds / seconds(unit, sizes, device))
    return median(ratios) if ratios else 1.0
