"""How long units take on a device: the arithmetic of cost.py, calibrated by what finished units took."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from grid.plan.cost import CPU, GPU, UNKNOWN_FILES, DataSizes, Files, seconds, start_seconds, title
from grid.plan.plan import Unit, prepared_sizes
from grid.store.records import Marker
from grid.store.store import Store
from medpt.specs import SPECS, ImageFeatures, Prepare

SAMPLE = 500  # finished units that are read, with their inputs
LONGEST_START = 30.0  # seconds of a unit before it trains: loading data and networks
PRIOR = 1e-4  # the weight of the arithmetic; that of a long unit as fast as computed is 1


@dataclass(frozen=True)
class Calibration:
    """How long units of one kind take on one device: `start` seconds, then `factor` times the arithmetic."""

    start: float = 0.0
    factor: float = 1.0

    def seconds(self, computed: float) -> float:
        return self.start + self.factor * computed


def predict(units: Collection[Unit], data: DataSizes, store: Store) -> dict[str, dict[str, float]]:
    """Return the seconds of one device for each unit, by device and digest."""
    measured = calibrations(store, data)

    def predicted(unit: Unit, device: str) -> float:
        usual = Calibration(start_seconds(unit))
        return measured.get((device, title(unit)), usual).seconds(seconds(unit, data, device))

    return {device: {unit.digest: predicted(unit, device) for unit in units} for device in (CPU, GPU)}


def calibrations(store: Store, data: DataSizes) -> dict[tuple[str, str], Calibration]:
    """Return by device and title of the work how long units took that were finished here.

    Pairs without such units are excluded: what one device achieved says nothing of another one.
    """
    markers = store.markers(sorted(store.finished())[:SAMPLE])
    markers |= store.markers({need for marker in markers.values() for need in marker.needs} - markers.keys())
    units = {name: Unit.from_marker(marker) for name, marker in markers.items()}
    known = replace(data, sides={**data.sides, **prepared_sizes(units)})
    measured: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for name, taken in device_seconds(markers.values()).items():
        if markers[name].origin is None:
            device = device_of(markers[name])
            computed = seconds(units[name], _with_images(known, markers[name]), device)
            measured.setdefault((device, title(units[name])), []).append((computed, taken))
    return {work: fit(pairs) for work, pairs in measured.items()}


def _with_images(data: DataSizes, marker: Marker) -> DataSizes:
    """Return the sizes of data with the number of images that a unit read, each as large as is known."""
    if marker.kind not in (Prepare.kind, ImageFeatures.kind):
        return data
    name, images = marker.spec["dataset"], int(marker.metrics.get("images", 0))
    files = data.files.get(name, UNKNOWN_FILES)
    return replace(data, files={name: Files(images, images * files.nbytes / files.images)})


def device_of(marker: Marker) -> str:
    """Return the device that a unit ran on."""
    return GPU if "device" in marker.peak else CPU


def device_seconds(markers: Iterable[Marker]) -> dict[str, float]:
    """Return by digest the seconds that each unit took of one device, of which it may have had a share.

    Data are prepared one after the other by all cores: each takes from the end of the one before to its own.
    """
    taken, ended = dict[str, float](), dict[float, float]()
    for marker in sorted(markers, key=lambda marker: marker.ended):
        since = marker.started
        if SPECS[marker.kind].makes_data:
            since = ended.get(marker.started, marker.started)
            ended[marker.started] = marker.ended
        share = marker.peak.get("gpus") or marker.peak.get("cpus") or 1
        taken[marker.digest] = (marker.ended - since) * share
    return taken


def fit(pairs: Sequence[tuple[float, float]]) -> Calibration:
    """Fit measured to computed seconds, with least squares of the relative errors.

    Units of one length cannot separate start-up from a slow device. So start-up is at most
    LONGEST_START, shorter units weigh less, and the factor is drawn to 1 with the weight PRIOR.
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
