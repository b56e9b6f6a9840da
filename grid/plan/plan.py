"""Trials become units of work: named by digest, shared ones merged, in an order in which needs come first.

Nothing heavy is imported here: a plan of a thousand trials is made in well under a second.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from grid.plan.initialization import detector_dataset, requests
from grid.plan.planner import Planner, Unit
from grid.space.protocols import Values, protocol_values, source_protocol_values
from grid.space.trials import Analysis, Space, Trial
from medpt.data.preprocess import output_size
from medpt.specs import Prepare

__all__ = ["Plan", "Unit", "build", "datasets"]


@dataclass(frozen=True)
class Plan:
    space: Space
    units: dict[str, Unit]  # by digest, needs first
    trials: tuple[tuple[Trial, str], ...]  # with the digest of what measures it
    analyses: tuple[tuple[Analysis, tuple[str, ...]], ...] = ()  # with the digests of their units
    protocols: Mapping[str, Values] = field(default_factory=dict)  # by the hash that trials have

    @cached_property
    def sizes(self) -> dict[str, int]:
        """The side in pixels of the images of each prepared dataset, by its digest."""
        specs = {name: unit.spec for name, unit in self.units.items()}
        return {name: output_size(spec.pipeline) for name, spec in specs.items() if isinstance(spec, Prepare)}

    def counts(self) -> Counter[str]:
        return Counter(unit.kind for unit in self.units.values())

    def plain(self) -> dict[str, Any]:
        return {
            "space": self.space.name,
            "title": self.space.title,
            "trials": [trial.factors() | {"digest": name} for trial, name in self.trials],
            "analyses": [{"kind": entry.kind, "digests": names} for entry, names in self.analyses],
            "protocols": self.protocols,
            "units": {name: unit.to_json() for name, unit in self.units.items()},
        }


def build(space: Space, fingerprints: Mapping[str, str], published: Mapping[str, str]) -> Plan:
    """The units of a space.

    `fingerprints` names the owner's files of each dataset, `published` the ImageNet weights of each
    backbone; both enter the digests.
    """
    planner = Planner(fingerprints, published)
    trials = {trial: planner.add_trial(trial) for trial in space.trials}
    analyses = {entry: tuple(planner.add_analysis(entry)) for entry in space.analyses}
    return Plan(space, planner.units, tuple(trials.items()), tuple(analyses.items()), protocols(space))


def protocols(space: Space) -> dict[str, Values]:
    """Return the values that each protocol of the space's trials has, by hash."""
    target = {trial.protocol: trial for trial in space.trials}
    source = {trial.source_protocol: trial for trial in space.trials if trial.source_protocol}
    values = {name: protocol_values(trial) for name, trial in target.items()}
    return values | {name: source_protocol_values(trial) for name, trial in source.items()}


def datasets(space: Space) -> list[str]:
    """Return every dataset that a space reads: sources, targets, analysed ones, and the detector's."""
    sources = {name for request in requests(space) for name in request.datasets}
    analysed = {name for analysis in space.analyses for name, _ in analysis.datasets}
    detectors = {name for trial in space.trials for name in detector_dataset(trial)}
    return sorted(sources | analysed | detectors | {trial.target for trial in space.trials})
