"""What finished units were predicted to take, and what they took."""

from dataclasses import dataclass

from grid.plan import calibration, cost
from grid.results.stored_space import StoredSpace
from medpt.specs import Prepare


@dataclass(frozen=True)
class Spent:
    """Hours of all finished units of one kind; `predicted` is the arithmetic before any calibration."""

    title: str
    units: int
    predicted: float
    actual: float

    @property
    def ratio(self) -> float:
        return self.actual / self.predicted


def spent(stored: StoredSpace) -> list[Spent]:
    """Return one row for each kind of unit that has finished, in the plan's order.

    Preparations are excluded: what they were predicted to take depends on the original files.
    """
    data = cost.DataSizes(stored.plan.sizes)
    found: dict[str, list[tuple[float, float]]] = {}
    for unit in stored.units.values():
        marker = stored.markers.get(unit.digest)
        if marker and not isinstance(unit.spec, Prepare):
            predicted = cost.start_seconds(unit) + cost.seconds(unit, data, calibration.device_of(marker))
            found.setdefault(cost.title(unit), []).append((predicted, marker.seconds))
    return [
        Spent(title, len(pairs), *(sum(column) / 3600 for column in zip(*pairs, strict=True)))
        for title, pairs in found.items()
    ]
