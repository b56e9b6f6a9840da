"""Scores of subgroups in MLflow: metrics of a trial's run, such as `test_macro_auc/sex/F`."""

from typing import Any

import numpy as np

from grid.plan.plan import Plan
from grid.store.store import Store
from grid.store.subgroups import read_groups
from grid.tracking.contents import milliseconds
from grid.tracking.names import SUBGROUPS, TEST
from medpt.further_metrics import slug
from medpt.item_metrics import group_metrics
from medpt.units.base import ITEMS

SUBGROUP = "medpt.subgroup"  # a tag: the column whose scores a run has


def subgroup_metrics(plan: Plan, store: Store, digest: str) -> list[Any]:
    """Return the metrics of each subgroup of a finished trial.

    There are none where its target names no column or its items are not stored.
    """
    from mlflow.entities import Metric

    data = getattr(plan.units[digest].spec, "data", "")
    column, marker = plan.subgroups.get(data), store.marker(digest)
    if not column or ITEMS not in marker.artifacts:
        return []
    with np.load(store.artifact(digest, ITEMS)) as stored:
        scores = group_metrics(dict(stored), read_groups(store, data, column), marker.metrics)
    return [
        Metric(
            SUBGROUPS.join((TEST + name, slug(column), _part(group))), value, milliseconds(marker.ended), 0
        )
        for group, values in scores.items()
        for name, value in values.items()
    ]


def _part(group: str) -> str:
    """Return a group as a part of a metric's name: `<60` and `>=60` stay apart."""
    for sign, word in {"<": "lt", ">": "gt", "=": "eq", "+": "plus"}.items():
        group = group.replace(sign, f" {word} ")
    return slug(group) if group.isascii() else slug(group.encode("ascii", "backslashreplace").decode())
