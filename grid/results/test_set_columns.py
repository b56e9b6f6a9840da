"""The columns of a frame that scores on other test sets than a target's own have: `miou@HRF` beside `miou`.

External test sets and corrupted copies have units of their own; subgroups are parts of what a trial's unit
stores of each test item.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from grid.plan.plan import Plan
from grid.results.items import INFLUENCES, ItemSubset, arrays
from grid.results.stored_results import StoredResults
from grid.store.store import Store
from grid.store.subgroups import read_groups
from grid.tracking.runs import Run
from medpt import cli
from medpt.item_metrics import METRICS, group_metrics
from medpt.specs import Evaluate

AT = "@"  # between a metric and the test set
STATUS, ITEM_FILE = "status", "items"
Row = dict[str, Any]


def columns(plan: Plan, store: Store, runs: Mapping[str, Run], rows: Mapping[str, Row]) -> Mapping[str, Row]:
    """Return the columns of other test sets by the digest of a trial.

    `rows` are those of the frame with their `items`, `runs` those of MLflow. Of each test set there are the
    metrics that have an interval, as fractions, and its status and items.
    """
    found: dict[str, Row] = {}
    results = StoredResults.read(store, {test.digest for test in plan.tests})
    for test in plan.tests:
        row = results.row(test.digest, runs.get(test.digest))
        values = {name: row[name] for name in INFLUENCES if name in row} | {STATUS: row["status"]}
        if test.digest in results.markers:
            values[ITEM_FILE] = results.items[test.digest]
        found.setdefault(test.trial, {}).update(_named(values, test.name))
    for data, column in plan.subgroups.items():
        groups = read_groups(store, data, column)
        for digest in (name for name in rows if name in plan.units):
            if getattr(plan.units[digest].spec, "data", "") == data:
                found.setdefault(digest, {}).update(_subgroups(column, groups, rows[digest]))
    return found


def _named(values: Row, test_set: str) -> Row:
    return {f"{name}{AT}{test_set}": value for name, value in values.items()}


def _subgroups(column: str, groups: Sequence[str], row: Row) -> Row:
    """Return the columns of each subgroup of a trial; missing where its items are not stored."""
    path: str | None = row[ITEM_FILE]
    stored = arrays(path) if path else None
    known = [name for name in METRICS if row.get(name) is not None]
    scores = group_metrics(stored, groups, known) if stored else {}
    found: Row = {}
    for name in sorted(set(groups)):
        values: Row = {STATUS: row[STATUS] if row[STATUS] != "finished" else "missing"}
        if path and name in scores:
            members = np.array(groups) == name
            values = scores[name] | {STATUS: "finished", ITEM_FILE: ItemSubset(path, members.tobytes())}
        found |= _named(values, f"{column}={name}")
    return found


def warnings(plan: Plan, store: Store) -> list[str]:
    """Say once which subgroups are unknown, which images of external test sets were left out, and which a
    source was trained on.
    """
    finished = store.finished()
    markers = store.markers({test.digest for test in plan.tests} & finished)
    found = dict.fromkeys(_lost_groups(plan, store, finished))
    for test in plan.tests:
        unit, trained = plan.units.get(test.digest), plan.units.get(test.trial)
        if test.digest in markers and unit and trained and isinstance(unit.spec, Evaluate):
            names = unit.spec.dataset, getattr(trained.spec, "dataset", "")
            start = plan.initialization_of(trained.spec)
            found |= dict.fromkeys(_leaks(*names, start, markers[test.digest].metrics))
    return list(found)


def _lost_groups(plan: Plan, store: Store, finished: set[str]) -> Iterator[str]:
    for _, digest in plan.trials if plan.subgroups else ():
        unit = plan.units.get(digest) if digest in finished else None
        data = getattr(unit.spec, "data", "") if unit else ""
        column = plan.subgroups.get(data)
        if column and not read_groups(store, data, column):
            label = plan.units[data].label if data in plan.units else data
            yield f"{label}: its subgroups by `{column}` are missing or damaged; run the space again"


def _leaks(tested: str, target: str, initialization: str, metrics: Mapping[str, float]) -> Iterator[str]:
    if removed := int(metrics.get("removed_images", 0)):
        images = cli.count(removed, "image")
        yield f"{tested}: {images} that the training set of {target} shows too: left out of the test"
    if shared := int(metrics.get("images_of_source", 0)):
        images = cli.count(shared, "image")
        yield f"{tested}: {initialization} was trained on {images} of it: its score there may be too high"
