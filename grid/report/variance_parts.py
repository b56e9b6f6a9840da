"""Where the uncertainty of a gain comes from: the test items, or what was repeated."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from grid.report.tables import Contrast
from grid.results.groups import ComparedGroups


@dataclass(frozen=True)
class VarianceParts:
    """Standard errors, in points, of the best pre-training's gain over random weights.

    `items` is nan where test items are unknown, `repeats` 0 where nothing was repeated. `both` is that of the
    interval: the squares add, less what both contain.
    """

    contrast: Contrast
    items: float
    repeats: float
    both: float

    @property
    def advice(self) -> str:
        """Which of the two would narrow the interval more."""
        if math.isnan(self.items) or not self.repeats:
            return "unknown"
        return "test images" if self.items > self.repeats else "repeats"


def variance_parts(contrasts: Sequence[Contrast], groups: ComparedGroups) -> list[VarianceParts]:
    """Return the parts of each contrast that has an interval."""
    found = (_parts(contrast, groups) for contrast in contrasts)
    return [parts for parts in found if parts and not math.isnan(parts.both)]


def _parts(contrast: Contrast, groups: ComparedGroups) -> VarianceParts | None:
    if not contrast.best or not contrast.random or contrast.difference is None:
        return None
    group = groups[contrast.random.key.group]
    found = group.estimate(group.weights((contrast.best.key, 1), (contrast.random.key, -1)))
    items, repeats = (math.sqrt(part.variance[0]) for part in (found.items, found.repeats))
    return VarianceParts(contrast, items, repeats, float(found.error[0]))
