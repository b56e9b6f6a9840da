"""What finished units were predicted to take, and what they took."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from grid.plan import calibration, cost
from grid.report.provenance import Data
from grid.report.survival import Cohort
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


def spent(
    stored: StoredSpace, data: Sequence[Data], cohorts: Sequence[Cohort], synthetic: Collection[str]
) -> list[Spent]:
    """Return one row for each kind of unit that has finished, in the plan's order.

    Preparations are excluded: what they were predicted to take depends on the original files.
    """
    sizes = _sizes(stored, data, cohorts, synthetic)
    found: dict[str, list[tuple[float, float]]] = {}
    for unit in stored.units.values():
        marker = stored.markers.get(unit.digest)
        if marker and not isinstance(unit.spec, Prepare):
            predicted = cost.start_seconds(unit) + cost.seconds(unit, sizes, calibration.device_of(marker))
            found.setdefault(cost.title(unit), []).append((predicted, marker.seconds))
    return [
        Spent(title, len(pairs), *(sum(column) / 3600 for column in zip(*pairs, strict=True)))
        for title, pairs in found.items()
    ]


def _sizes(
    stored: StoredSpace, data: Sequence[Data], cohorts: Sequence[Cohort], synthetic: Collection[str]
) -> cost.DataSizes:
    """Return what a prediction needs to know of the data, from what was prepared of them."""
    images = {cohort.dataset: len(cohort.manifest.patients) for cohort in cohorts if cohort.manifest}
    for entry in data:
        images[entry.card.name] = max(images.get(entry.card.name, 0), sum(entry.images.values()))
    files = {name: cost.Files(count, 0) for name, count in images.items() if count}
    drawn = {name: images[name] for name in synthetic if images.get(name)}
    return cost.DataSizes(stored.plan.sizes, files, cost.shares(stored.plan, drawn))
