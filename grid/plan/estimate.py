"""What is left of a plan: hours of each device, time on the devices that a run names, and what it took."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from time import time

from grid.plan.calibration import device_of, device_seconds, predict
from grid.plan.cost import CPU, GPU, DataSizes, title
from grid.plan.plan import Unit
from grid.store.store import Store
from medpt import files

START_SECONDS = 15.0  # until the first unit runs
COSTS = "costs"  # the folder of records


@dataclass(frozen=True)
class Estimate:
    """Units to run, inputs first, and the seconds of one CPU core and of one GPU that each takes.

    Data are prepared by CPU cores in either case.
    """

    units: Mapping[str, Unit]
    seconds: Mapping[str, Mapping[str, float]]  # by device and digest

    def hours(self, device: str) -> dict[str, float]:
        """Return the hours of a device by title of the work; of GPUs without what they do not do."""
        found: dict[str, float] = {}
        for name, unit in self.units.items():
            if device == CPU or not unit.spec.makes_data:
                found[title(unit)] = found.get(title(unit), 0.0) + self.seconds[device][name] / 3600
        return found

    def wall_seconds(self, cpus: int, gpus: int) -> float:
        """Return the time of a run on so many devices; without GPUs, CPU cores train.

        No run is faster than its longest chain of units, each of which waits for the one before.
        """
        device = GPU if gpus else CPU
        prepared = sum(self.seconds[CPU][name] for name in self.units if self._makes_data(name))
        computed = sum(self.seconds[device][name] for name in self.units if not self._makes_data(name))
        busy = max(prepared / cpus, computed / gpus) if gpus else (prepared + computed) / cpus
        return START_SECONDS + max(busy, self._chain(device, cpus))

    def _chain(self, device: str, cpus: int) -> float:
        ended: dict[str, float] = {}
        for name, unit in self.units.items():
            own = self.seconds[CPU][name] / cpus if self._makes_data(name) else self.seconds[device][name]
            ended[name] = own + max((ended.get(need, 0.0) for need in unit.needs), default=0.0)
        return max(ended.values(), default=0.0)

    def _makes_data(self, name: str) -> bool:
        return self.units[name].spec.makes_data


def estimate(units: Iterable[Unit], data: DataSizes, store: Store) -> Estimate:
    """Return the estimate of units, inputs first."""
    found = {unit.digest: unit for unit in units}
    return Estimate(found, predict(found.values(), data, store))


def record(store: Store, predicted: Estimate, cpus: int, gpus: int, started: float) -> tuple[float, float]:
    """Write beside each other what was predicted of a run and what it took, and return both wall times.

    Hours are those of the units that this run finished, by device and title.
    """
    wall = predicted.wall_seconds(cpus, gpus), time() - started
    markers = store.markers(store.finished() & predicted.units.keys())
    own = {name: marker for name, marker in markers.items() if marker.ended >= started}
    hours: dict[str, dict[str, dict[str, float]]] = {}
    for name, taken in device_seconds(own.values()).items():
        device, what = device_of(own[name]), title(predicted.units[name])
        entry = hours.setdefault(device, {}).setdefault(what, {"predicted": 0.0, "actual": 0.0})
        entry["predicted"] += predicted.seconds[device][name] / 3600
        entry["actual"] += taken / 3600
    values = {"cpus": cpus, "gpus": gpus, "started": started, "units": len(own), "hours": hours}
    values |= {"seconds": {"predicted": wall[0], "actual": wall[1]}}
    store.documents.write(f"{COSTS}/{started:.0f}.json", files.json_bytes(values))
    return wall
