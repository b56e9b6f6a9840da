"""The results of trials in a store, beside those of MLflow: the store's count where it has any."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from grid.plan.plan import Plan
from grid.store.records import Failure, Marker
from grid.store.store import Store
from grid.store.verification import intact_file
from grid.tracking.names import final_metrics
from grid.tracking.runs import Run
from medpt import cli
from medpt.units.base import ITEMS

STATES = {"FINISHED": "finished", "FAILED": "failed", "RUNNING": "running"}
ITEM_FILES = (ITEMS, "scores.npz", "risks.npz")  # the last two are of version 0.3.1
DAMAGED = "its marker is damaged; run the space again"
LOST_ITEMS = (
    "is missing or was changed, so intervals and subgroups are without its test items; run the space again"
)


@dataclass(frozen=True)
class StoredResults:
    """What a store has of some units, by digest. The markers of `damaged` units do not verify.

    `items` are the paths of what the metrics were computed from, None where a file is not intact.
    """

    markers: Mapping[str, Marker]
    items: Mapping[str, str | None]
    damaged: frozenset[str]
    failures: Mapping[str, Failure]

    @classmethod
    def read(cls, store: Store, digests: set[str]) -> "StoredResults":
        """Read the results of those units that the store has."""
        finished = digests & store.finished()
        markers = store.markers(finished)
        failed = (digests & store.failures()) - finished
        failures = {digest: store.failure(digest) for digest in failed}
        items = {digest: _item_file(store, marker) for digest, marker in markers.items()}
        return cls(markers, items, frozenset(finished - markers.keys()), failures)

    def row(self, digest: str, run: Run | None) -> dict[str, Any]:
        """Return status, metrics, seconds, failure and MLflow's run of a unit."""
        row: dict[str, Any] = {"status": "missing", "seconds": None, "failure": None, "origin": ""}
        row["run_id"] = run.run_id if run else None
        if digest in self.markers:
            marker = self.markers[digest]
            row |= {"status": "finished", "seconds": marker.seconds}
            row["origin"] = marker.origin.publisher if marker.origin else ""
            return row | _floats(marker.metrics)
        if digest in self.damaged:
            return row | {"failure": DAMAGED}
        if digest in self.failures:
            failure = self.failures[digest]
            return row | {"status": "failed", "failure": f"{failure.cause}: {failure.reason}"}
        if run is None:
            return row
        state = {"status": STATES.get(run.status, "missing"), "failure": run.tags.get("medpt.failure")}
        return row | state | final_metrics(run.metrics)

    def damage(self, plan: Plan) -> list[str]:
        """Return a sentence about each result whose marker or test items are not those that were written."""
        labels = {
            digest: plan.units[digest].label if digest in plan.units else digest for digest in self.damaged
        }
        return [
            *(f"{labels[digest]}: {DAMAGED}" for digest in sorted(self.damaged)),
            *(
                f"{marker.label}: {name} {LOST_ITEMS}"
                for digest, marker in self.markers.items()
                if (name := _item_name(marker)) and self.items[digest] is None
            ),
        ]

    def warnings(self, plan: Plan, runs: Mapping[str, Run]) -> list[str]:
        """Return a sentence about pulled results, and about those that differ from MLflow's."""
        labels = {digest: plan.units[digest].label for _, digest in plan.trials if digest in plan.units}
        notes = self._pulled()
        recorded = self.markers.keys() & runs.keys()
        differing = sorted(digest for digest in recorded if self._differs(digest, runs[digest]))
        if not differing:
            return notes
        count = cli.count(len(differing), "result")
        example = labels.get(differing[0], differing[0])
        return [*notes, f"MLflow has other numbers for {count}, such as {example}; the store's are shown"]

    def _pulled(self) -> list[str]:
        """Return a sentence about the results of each laboratory that they were pulled from."""
        origins = [marker.origin for marker in self.markers.values() if marker.origin]
        total, computed = len(self.markers), Counter(o.publisher for o in origins if o.is_recomputed)
        return [
            f"{pulled} of {cli.count(total, 'result')} pulled: computed by {publisher}, "
            f"{computed[publisher]} of them here too"
            for publisher, pulled in sorted(Counter(origin.publisher for origin in origins).items())
        ]

    def _differs(self, digest: str, run: Run) -> bool:
        ours, theirs = _floats(self.markers[digest].metrics), final_metrics(run.metrics)
        common = ours.keys() & theirs.keys() if run.status == "FINISHED" else ()
        return any(
            not math.isclose(ours[name], theirs[name], rel_tol=1e-9)
            and not (math.isnan(ours[name]) and math.isnan(theirs[name]))
            for name in common
        )


def _floats(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items()}


def _item_file(store: Store, marker: Marker) -> str | None:
    name = _item_name(marker)
    path = intact_file(store, marker, name) if name else None
    return str(path) if path else None


def _item_name(marker: Marker) -> str | None:
    return next((name for name in ITEM_FILES if name in marker.artifacts), None)
