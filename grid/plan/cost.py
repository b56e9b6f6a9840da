"""What a plan will cost: device hours by kind, from arithmetic, calibrated by the units that are finished.

A training step costs three forward passes; the multiply-adds are those of the networks at 256 × 256. What a
device achieves of its peak on batches of sixteen is an assumption until units of the same store have finished
on such a device.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from grid.plan.plan import Unit, prepared_sizes
from grid.store.records import Marker
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
SAMPLE = 500  # finished units that are read, with their inputs
LONGEST_START = 30.0  # seconds of a unit before it trains: loading data and networks
PRIOR = 1e-4  # the weight of the arithmetic; that of a long unit as fast as computed is 1
LEAK_CHECK = "leak check"  # a guarded pre-training
LEAK_CHECK_SECONDS = 20.0  # as a rule it shares nothing with its target and is not trained


@dataclass(frozen=True)
class Calibration:
    """How long units of one kind take on one device: `start` seconds, then `factor` times the arithmetic."""

    start: float = 0.0
    factor: float = 1.0

    def seconds(self, computed: float) -> float:
        return self.start + self.factor * computed


def estimate(units: Iterable[Unit], sizes: Mapping[str, int], store: Store, device: str) -> dict[str, float]:
    """Return hours of one `device` by title of the work; `sizes` has the side in pixels of prepared data."""
    hours: dict[str, float] = {}
    measured = calibrations(store, sizes, device)
    for unit in units:
        taken = measured.get(title(unit), Calibration()).seconds(seconds(unit, sizes, device))
        hours[title(unit)] = hours.get(title(unit), 0.0) + taken / 3600
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


def calibrations(store: Store, sizes: Mapping[str, int], device: str) -> dict[str, Calibration]:
    """Return by title of the work how long finished units took that ran on this kind of device.

    Titles without such units are left out: what one device achieved says nothing of another one.
    """
    markers = store.markers(sorted(store.finished())[:SAMPLE])
    markers |= store.markers({need for marker in markers.values() for need in marker.needs} - markers.keys())
    units = {name: Unit.from_marker(marker) for name, marker in markers.items()}
    sides = {**sizes, **prepared_sizes(units)}
    measured: dict[str, list[tuple[float, float]]] = {}
    for name, unit in units.items():
        if device_of(markers[name]) == device:
            pair = (seconds(unit, sides, device), markers[name].seconds)
            measured.setdefault(title(unit), []).append(pair)
    return {name: fit(pairs) for name, pairs in measured.items()}


def device_of(marker: Marker) -> str:
    """Return the key of GFLOPS for the device that a unit ran on."""
    return "GPU" if "device" in marker.peak else "CPU core"


def fit(pairs: Sequence[tuple[float, float]]) -> Calibration:
    """Fit measured to computed seconds, with least squares of the relative errors.

    Short units are mostly start-up, and units of one length do not tell it from a slow device. So start-up
    is at most LONGEST_START, shorter units weigh less, and the factor is drawn to 1 with the weight PRIOR.
    """
    rows = [(1 / (measured + LONGEST_START) ** 2, computed, measured) for computed, measured in pairs]
    mean = _weighted_mean(rows, [computed for _, computed, _ in rows])
    spread = sum(w * (computed - mean) ** 2 for w, computed, _ in rows)
    slope = (sum(w * (computed - mean) * m for w, computed, m in rows) + PRIOR) / (spread + PRIOR)
    start = _weighted_mean(rows, [measured - slope * computed for _, computed, measured in rows])
    start = min(max(start, 0.0), LONGEST_START)
    squares = sum(w * computed**2 for w, computed, _ in rows)
    factor = (sum(w * computed * (m - start) for w, computed, m in rows) + PRIOR) / (squares + PRIOR)
    return Calibration(start, max(factor, 0.0))


def _weighted_mean(rows: Sequence[tuple[float, float, float]], values: Sequence[float]) -> float:
    return sum(row[0] * value for row, value in zip(rows, values, strict=True)) / sum(row[0] for row in rows)
