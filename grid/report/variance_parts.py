"""Where the uncertainty of a gain comes from: the test items, the seeds, or the pre-trainings."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from grid.report.tables import Contrast
from grid.results.cells import CellKey
from grid.results.groups import ComparedGroup, ComparedGroups
from grid.results.variance import FixedTest


@dataclass(frozen=True)
class Parts:
    """Standard errors of a difference of two cells, in points.

    `items` is nan where test items are unknown; `seeds` is that of the seeds alone, nan over repeated splits;
    `pretrainings`, nan where none were repeated, contains the seeds' of its cells. `repeats` is what the
    interval takes of them, 0 where nothing was repeated. `both` is that of the interval: the squares of items
    and repeats add, less what both contain.
    """

    items: float
    seeds: float
    pretrainings: float
    repeats: float
    both: float

    @property
    def advice(self) -> str:
        """Which of the two would narrow the interval more."""
        if math.isnan(self.items) or not self.repeats:
            return "unknown"
        return "test images" if self.items > self.repeats else "repeats"


def parts_of(compared: ComparedGroup, first: CellKey, second: CellKey) -> Parts:
    """Return the parts of the first cell less the second one of a comparison group."""
    weights = np.array(compared.weights((first, 1), (second, -1)))
    found = compared.estimate(weights)
    items, repeats = (math.sqrt(part.variance[0]) for part in (found.items, found.repeats))
    seeds = pretrainings = math.nan
    if isinstance(compared.group, FixedTest):
        known = compared.group.paired
        seeds, between = (math.sqrt(weights**2 @ part) for part in (known.seeds, known.between))
        pretrainings = between or math.nan
    return Parts(items, seeds, pretrainings, repeats, float(found.error[0]))


@dataclass(frozen=True)
class VarianceParts:
    """The parts of the best pre-training's gain over random weights."""

    contrast: Contrast
    parts: Parts


def variance_parts(contrasts: Sequence[Contrast], groups: ComparedGroups) -> list[VarianceParts]:
    """Return the parts of each contrast that has an interval."""
    found = (_parts(contrast, groups) for contrast in contrasts)
    return [each for each in found if each and not math.isnan(each.parts.both)]


def _parts(contrast: Contrast, groups: ComparedGroups) -> VarianceParts | None:
    if not contrast.best or not contrast.random or contrast.difference is None:
        return None
    group = groups[contrast.random.key.group]
    return VarianceParts(contrast, parts_of(group, contrast.best.key, contrast.random.key))
