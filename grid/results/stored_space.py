"""What a plan and the store say of a space: states, learning curves, pre-trainings, failures, prepared data.

A file that is missing or is not the one that was published becomes a sentence in `warnings`, not an error.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from grid.plan.plan import Plan, Unit
from grid.store.records import Marker, SpaceRecord
from grid.store.store import Store
from medpt import files
from medpt.data.manifest import COUNTS, MANIFEST, Manifest
from medpt.errors import InputError
from medpt.protocol import TrainingProtocol
from medpt.specs import Finetune, Frozen, Prepare, Pretrain, UnitSpec

SpecT = TypeVar("SpecT", bound=UnitSpec)

HISTORY, EARLY, RECORD = "history.json", "early.json", "record.json"


@dataclass(frozen=True)
class Failure:
    """A unit that failed, or how many wait for it; `log` is relative to the folder of results."""

    label: str
    digest: str
    cause: str
    reason: str
    log: str
    waiting: int


@dataclass(frozen=True)
class Source:
    """One pre-training; numbers are None where it is not finished."""

    label: str
    digest: str
    state: str
    users: int
    images: int | None
    steps: float | None
    metric: str | None
    value: float | None  # of the metric as it is recorded, auc and miou as fractions
    seconds: float | None


@dataclass(frozen=True)
class Prepared:
    """A prepared dataset: `manifest` is None where it is not finished."""

    digest: str
    spec: Prepare
    label: str
    manifest: Manifest | None


@dataclass
class StoredSpace:
    """`plan` is what grid.results.frame.read_plan returns; `warnings` has what could not be read."""

    plan: Plan
    store: Store
    warnings: list[str] = field(default_factory=list)

    @property
    def units(self) -> Mapping[str, Unit]:
        return self.plan.units

    @cached_property
    def space(self) -> SpaceRecord:
        """The record of the space, without file and plans where the store has none."""
        return self.store.space(self.plan.space) or SpaceRecord(self.plan.space, "", ())

    @cached_property
    def markers(self) -> dict[str, Marker]:
        """The markers of the finished units; a damaged one becomes a warning."""
        names = self.store.finished() & self.units.keys()
        markers = self.store.markers(names)
        labels = sorted(self.units[digest].label for digest in names - markers.keys())
        self.warnings += [f"{label}: its marker is damaged; run the space again" for label in labels]
        return markers

    @property
    def finished(self) -> set[str]:
        return set(self.markers)

    @cached_property
    def failed(self) -> set[str]:
        return self.store.failures() - self.finished

    def state(self, digest: str, status: str) -> str:
        """Return the state of a trial with a status of the frame: it may be missing because it is blocked."""
        return "blocked" if status in ("missing", "running") and self._is_blocked(digest) else status

    def _is_blocked(self, digest: str) -> bool:
        needs = self.units[digest].needs
        return any(
            need in self.failed or self._is_blocked(need) for need in needs if need not in self.finished
        )

    def units_of(self, kind: type[SpecT]) -> Iterator[tuple[Unit, SpecT]]:
        """Yield the units of a kind with their specifications, in the order of the plan."""
        return ((unit, unit.spec) for unit in self.units.values() if isinstance(unit.spec, kind))

    def artifact(self, digest: str, name: str) -> Path | None:
        """The file as it was published, or None and a warning."""
        label, marker = self.units[digest].label, self.markers.get(digest)
        if marker and marker.origin and name in marker.origin.withheld:
            self.warnings.append(
                f"{label}: {marker.origin.publisher}, who computed it, did not publish {name}"
            )
            return None
        try:
            return self.store.artifact(digest, name)
        except FileNotFoundError:
            self.warnings.append(f"{label}: its result is not in the store, so {name} cannot be shown")
        except InputError:
            self.warnings.append(f"{label}: {name} is missing or is not the file that was published")
        return None

    def json(self, digest: str, name: str) -> Any:
        path = self.artifact(digest, name)
        try:
            return files.read_json(path) if path else None
        except ValueError:
            self.warnings.append(f"{self.units[digest].label}: {name} is no JSON")
            return None

    def history(self, digest: str) -> list[dict[str, float]]:
        """Return the evaluated steps of a training; none of a frozen encoder."""
        is_trained = not isinstance(self.units[digest].spec, Frozen)
        return (is_trained and self.json(digest, HISTORY)) or []

    def evaluations(self, digest: str) -> list[dict[str, float]]:
        """Return the evaluated steps of a fine-tuning, with the early ones if it has them."""
        has_early = digest in self.markers and EARLY in self.markers[digest].artifacts
        early = (self.json(digest, EARLY) or []) if has_early else []
        return sorted([*self.history(digest), *early], key=lambda row: row["step"])

    def record(self, digest: str) -> dict[str, Any]:
        return self.json(digest, RECORD) or {}

    def metrics(self, digest: str) -> Mapping[str, float]:
        """Return the metrics of a unit; none if it is not finished."""
        return self.markers[digest].metrics if digest in self.markers else {}

    def seconds(self) -> float:
        """Return the time of all finished units of the plan together."""
        return sum(marker.seconds for marker in self.markers.values())

    def failures(self, reported: dict[str, str]) -> list[Failure]:
        """Every unit that failed, with the number of trials that wait for it.

        `reported` are MLflow's failures by digest; the store's record of a unit goes before MLflow's.
        """
        return [
            self._failure(digest, unit)
            if digest in self.failed
            else Failure(unit.label, digest, "in MLflow only", reported[digest], "", self._waiting(digest))
            for digest, unit in self.units.items()
            if digest in self.failed or digest in reported
        ]

    def _failure(self, digest: str, unit: Unit) -> Failure:
        failure = self.store.failure(digest)
        waiting = self._waiting(digest)
        return Failure(unit.label, digest, failure.cause, failure.reason, failure.log or "", waiting)

    def _waiting(self, digest: str) -> int:
        """Trials that need the unit, directly or through a pre-training."""
        return sum(
            1 for _, measured in self.plan.trials if measured != digest and digest in self._needs(measured)
        )

    def _needs(self, digest: str, *, of_data: bool = True) -> set[str]:
        """All that the unit needs, directly or through others; without `of_data` not what its data need."""
        unit = self.units[digest]
        direct = unit.needs if of_data or unit.kind != "prepare" else ()
        return {name for need in direct for name in (need, *self._needs(need, of_data=of_data))}

    def sources(self) -> list[Source]:
        users = Counter(need for _, digest in self.plan.trials for need in self._starts(digest))
        return [
            self._source(unit.digest, unit, users[unit.digest])
            for unit, _ in self.units_of(Pretrain)
            if self._common(unit.digest) is None
        ]

    def _starts(self, digest: str) -> set[str]:
        """What a trial needs; of a guarded pre-training and the common one, that whose weights they are."""
        needs = self._needs(digest, of_data=False)  # a detector of optic discs lends no weights
        specs = [self.units[need].spec for need in needs]
        unguarded = {spec.unguarded.digest for spec in specs if isinstance(spec, Pretrain) and spec.guards}
        return {self._common(need) or need for need in needs - unguarded}

    def _common(self, digest: str) -> str | None:
        """The pre-training that this one is again; None where it shares images with its target, or failed."""
        unit = self.units[digest]
        if not isinstance(unit.spec, Pretrain) or digest in self.failed:
            return None
        leaked = self.metrics(digest).get("leaked_images")
        unguarded = unit.spec.unguarded.digest
        return unguarded if unguarded in unit.needs and not leaked else None

    def _source(self, digest: str, unit: Unit, users: int) -> Source:
        if digest not in self.finished:
            state = (
                "failed" if digest in self.failed else "blocked" if self._is_blocked(digest) else "not run"
            )
            return Source(unit.label, digest, state, users, None, None, None, None, None)
        record, metrics = self.record(digest), self.metrics(digest)
        metric = next((name for name in metrics if name.startswith("val_")), None)
        return Source(
            label=unit.label,
            digest=digest,
            state="finished",
            users=users,
            images=record.get("train_images"),
            steps=metrics.get("steps"),
            metric=metric and metric.removeprefix("val_"),
            value=metrics.get(metric) if metric else None,
            seconds=self.markers[digest].seconds,
        )

    def learned(self) -> Iterator[tuple[str, Mapping[str, float]]]:
        """The label and the metrics of every finished pre-training."""
        for unit, _ in self.units_of(Pretrain):
            if unit.digest in self.finished:
                yield unit.label, self.metrics(unit.digest)

    def prepared(self) -> list[Prepared]:
        return [self._prepared(unit, spec) for unit, spec in self.units_of(Prepare)]

    def _manifest(self, digest: str, spec: Prepare) -> Manifest:
        """Return what was prepared; of data that another laboratory prepared, the numbers it published."""
        marker = self.markers[digest]
        if marker.origin and MANIFEST in marker.origin.withheld:
            return Manifest.read_numbers(self.store.artifact(digest, COUNTS).parent, spec)
        return Manifest.read(self.store.artifact(digest, MANIFEST).parent)

    def _prepared(self, unit: Unit, spec: Prepare) -> Prepared:
        digest, manifest = unit.digest, None
        if digest in self.finished:
            try:
                manifest = self._manifest(digest, spec)
            except InputError as error:
                self.warnings.append(f"{unit.label}: its manifest cannot be read ({error})")
        return Prepared(digest, spec, unit.label, manifest)

    def decoders(self) -> int:
        """Fine-tunings that start from a pre-training's decoder as well."""
        return sum(spec.transfer_decoder for _, spec in self.units_of(Finetune))

    def protocols(self, kind: type[Pretrain | Finetune]) -> list[tuple[TrainingProtocol, list[str]]]:
        """Each protocol of a kind of unit with the datasets that it was used on."""
        found: dict[TrainingProtocol, dict[str, None]] = {}
        for _, spec in self.units_of(kind):
            names = spec.datasets if isinstance(spec, Pretrain) else (spec.dataset,)
            found.setdefault(spec.protocol, {}).update(dict.fromkeys(names))
        return [(protocol, list(names)) for protocol, names in found.items()]

    def last_result(self) -> str:
        """When the last finished unit of the plan ended, in UTC; empty where none did."""
        ends = [marker.ended for marker in self.markers.values()]
        return f"{datetime.fromtimestamp(max(ends), UTC):%-d %B %Y, %H:%M} UTC" if ends else ""
