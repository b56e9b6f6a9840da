"""A plan: the trials and analyses of a space with the units that measure them, named by its content."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from grid.plan.test_sets import PlannedTest
from grid.space.protocols import Values
from grid.space.trials import Analysis, Trial
from grid.store.records import Marker
from medpt import identity
from medpt.data.card import DatasetCard
from medpt.data.preprocess import output_size
from medpt.models.weights_file import WeightsFile
from medpt.specs import SPECS, Prepare, UnitSpec


@dataclass(frozen=True)
class Unit:
    """One piece of work; equal digests are the same work, in whatever space they appear."""

    spec: UnitSpec
    needs: tuple[str, ...]  # digests of the units that must be finished first
    label: str

    @property
    def kind(self) -> str:
        return self.spec.kind

    @property
    def digest(self) -> str:
        return self.spec.digest

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "spec": self.spec.to_json(), "needs": self.needs, "label": self.label}

    def marker(
        self, metrics: Mapping[str, float], host: str, attempt: int, started: float, ended: float
    ) -> Marker:
        """Return the marker of the unit's result; publishing adds the checksums of its files."""
        return Marker(
            digest=self.digest,
            kind=self.kind,
            spec=self.spec.to_json(),
            needs=self.needs,
            label=self.label,
            version=self.spec.version,
            metrics=metrics,
            host=host,
            attempt=attempt,
            started=started,
            ended=ended,
        )

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Unit":
        """Build a unit from its entry in a plan."""
        spec = SPECS[values["kind"]].from_json(values["spec"])
        return cls(spec, tuple(values["needs"]), values["label"])

    @classmethod
    def from_marker(cls, marker: Marker) -> "Unit":
        """Build a unit from the marker of its result."""
        return cls(SPECS[marker.kind].from_json(marker.spec), marker.needs, marker.label)


@dataclass(frozen=True)
class Plan:
    """What a space consists of.

    `units` are by digest, inputs first. Each trial comes with the digest of the unit that measures it, each
    analysis with those of its units. `protocols` gives the settings of each hash that trials have.
    `selection` is "" or says which trials of the space were selected, such as `--filter seed=1`; of merged
    plans it has one line for each. `cards` are those of the users' datasets that it reads. `partial` has the
    number of images of each built-in dataset of which the run had a part. `weights` are the published weights
    that it starts from, without their folder. `controls` are the digests of the units that
    grid/plan/controls.py plans, `tests` what grid/plan/test_sets.py plans. `subgroups` gives the column that
    divides the test items of prepared data, by their digest.
    """

    space: str
    title: str
    trials: tuple[tuple[Trial, str], ...]
    analyses: tuple[tuple[Analysis, tuple[str, ...]], ...]
    units: Mapping[str, Unit]
    protocols: Mapping[str, Values] = field(default_factory=dict)
    selection: str = ""
    cards: Mapping[str, DatasetCard] = field(default_factory=dict)
    partial: Mapping[str, int] = field(default_factory=dict)
    controls: tuple[str, ...] = ()
    select: tuple[str, ...] = ()
    weights: tuple[WeightsFile, ...] = ()
    tests: tuple[PlannedTest, ...] = ()
    subgroups: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        return identity.digest(self.to_json())

    @cached_property
    def sizes(self) -> dict[str, int]:
        """The side in pixels of the images of each prepared dataset, by its digest."""
        return prepared_sizes(self.units)

    @property
    def results(self) -> set[str]:
        """The digests of what the space asks for: trials, analyses, controls, tests, without their inputs."""
        analyses = {name for _, names in self.analyses for name in names}
        tests = {test.digest for test in self.tests}
        return {name for _, name in self.trials} | analyses | set(self.controls) | tests

    def with_inputs(self, names: Iterable[str]) -> set[str]:
        """Return the digests of units and of all that they need, directly or not."""
        found, left = set[str](), list(names)
        while left:
            name = left.pop()
            if name in self.units and name not in found:
                found.add(name)
                left += self.units[name].needs
        return found

    def initialization_of(self, spec: UnitSpec) -> str:
        """Return the initialization of a unit as the tables write it: the name of its published weights."""
        names = {each.identity: each.name for each in self.weights}
        return names.get(getattr(spec, "weights", None) or "", getattr(spec, "initialization", ""))

    def counts(self) -> Counter[str]:
        return Counter(unit.kind for unit in self.units.values())

    def to_json(self) -> dict[str, Any]:
        return {
            "space": self.space,
            "title": self.title,
            "trials": [trial.to_json() | {"digest": name} for trial, name in self.trials],
            "analyses": [analysis.to_json() | {"digests": names} for analysis, names in self.analyses],
            "protocols": self.protocols,
            "selection": self.selection,
            "units": {name: unit.to_json() for name, unit in self.units.items()},
            **({"controls": self.controls} if self.controls else {}),
            **({"select": self.select} if self.select else {}),
            **({"cards": {name: card.to_json() for name, card in self.cards.items()}} if self.cards else {}),
            **({"partial": self.partial} if self.partial else {}),
            **({"weights": [each.to_json() for each in self.weights]} if self.weights else {}),
            **({"tests": self.tests} if self.tests else {}),
            **({"subgroups": self.subgroups} if self.subgroups else {}),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Plan":
        """Read a plan of this version or of 0.3.1, or what a tracker keeps of one, which has no units."""
        return cls(
            space=values["space"],
            title=values["title"],
            trials=tuple((Trial.from_json(each), each["digest"]) for each in values["trials"]),
            analyses=tuple(
                (Analysis.from_json(each), tuple(each["digests"])) for each in values.get("analyses", ())
            ),
            units={name: Unit.from_json(unit) for name, unit in values.get("units", {}).items()},
            protocols=values.get("protocols", {}),
            selection=values.get("selection", ""),
            cards={name: DatasetCard.from_json(card) for name, card in values.get("cards", {}).items()},
            partial=values.get("partial", {}),
            controls=tuple(values.get("controls", ())),
            select=tuple(values.get("select", ())),
            weights=tuple(map(WeightsFile.from_json, values.get("weights", ()))),
            tests=tuple(PlannedTest(*each) for each in values.get("tests", ())),
            subgroups=values.get("subgroups", {}),
        )


def prepared_sizes(units: Mapping[str, Unit]) -> dict[str, int]:
    """Return the side in pixels of the images of each dataset that a unit prepares, by its digest."""
    specs = {name: unit.spec for name, unit in units.items()}
    return {name: output_size(spec.pipeline) for name, spec in specs.items() if isinstance(spec, Prepare)}


def merge(plans: Sequence[Plan]) -> Plan:
    """Return the plans of one space as one: all their trials, each with its unit of the latest plan.

    Units that no trial and no analysis needs any more are excluded.
    """
    if len(plans) == 1:
        return plans[0]
    latest = {_without_experiment(trial): name for plan in plans for trial, name in plan.trials}
    trials = {trial: latest[_without_experiment(trial)] for plan in plans for trial, _ in plan.trials}
    measured = set(trials.values())
    merged = replace(
        plans[-1],
        trials=tuple(trials.items()),
        analyses=tuple(dict.fromkeys(entry for plan in plans for entry in plan.analyses)),
        units={name: unit for plan in plans for name, unit in plan.units.items()},
        protocols={name: values for plan in plans for name, values in plan.protocols.items()},
        cards={name: card for plan in plans for name, card in plan.cards.items()},
        partial={name: images for plan in plans for name, images in plan.partial.items()},
        controls=tuple(dict.fromkeys(name for plan in plans for name in plan.controls)),
        weights=tuple({(w.name, w.identity): w for plan in plans for w in plan.weights}.values()),
        tests=tuple(dict.fromkeys(test for plan in plans for test in plan.tests if test.trial in measured)),
        subgroups={name: column for plan in plans for name, column in plan.subgroups.items()},
        selection=_merged_selection([plan.selection for plan in plans]),
    )
    needed = merged.with_inputs(merged.results)
    return replace(merged, units={name: unit for name, unit in merged.units.items() if name in needed})


def _merged_selection(selections: Sequence[str]) -> str:
    """Return the different selections, one a line; "" where one plan has all trials."""
    lines = dict.fromkeys(line for text in selections for line in text.splitlines())
    return "\n".join(lines) if all(selections) else ""


def _without_experiment(trial: Trial) -> Trial:
    """One unit measures a trial, in however many blocks of the space it stands."""
    return replace(trial, experiment="")
