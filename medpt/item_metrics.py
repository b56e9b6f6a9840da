"""Metrics of a part of the test items, from what a fine-tuning stores of each: medpt.units.base.ITEMS."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medpt import metrics

Arrays = Mapping[str, NDArray[Any]]  # `scores` and `labels`, or `confusions`, and `patients`: a row an item


def _of_labels(
    of_classes: Callable[[Any, Any], float], of_findings: Callable[[Any, Any], float]
) -> Callable[[Arrays], float]:
    """Return a metric of images of one class each, or of any number of findings."""
    return lambda a: (of_findings if a["labels"].ndim == 2 else of_classes)(a["scores"], a["labels"])


METRICS: dict[str, Callable[[Arrays], float]] = {  # by the names that fine-tunings give them
    "auc": _of_labels(metrics.micro_auc, metrics.findings_micro_auc),
    "macro_auc": _of_labels(metrics.macro_auc, metrics.findings_macro_auc),
    "kappa": lambda a: metrics.quadratic_kappa(a["scores"], a["labels"]),
    "accuracy": lambda a: metrics.accuracy(a["scores"], a["labels"]),
    "miou": lambda a: metrics.mean_of_defined(metrics.class_iou(a["confusions"].sum(0))),
    "foreground_miou": lambda a: metrics.mean_of_defined(metrics.class_iou(a["confusions"].sum(0))[1:]),
    "dice": lambda a: metrics.mean_of_defined(metrics.class_dice(a["confusions"].sum(0))[1:]),
    "image_miou": lambda a: metrics.mean_of_defined(metrics.image_ious(a["confusions"])),
}


def select(arrays: Arrays, rows: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
    """Return the arrays of the items where `rows` (N,) is true; their patients are numbered anew from 0."""
    found = {name: values[rows] for name, values in arrays.items()}
    if "patients" in found:
        found["patients"] = np.unique(found["patients"], return_inverse=True)[1]
    return found


def group_metrics(arrays: Arrays, groups: Sequence[str], names: Iterable[str]) -> dict[str, dict[str, float]]:
    """Return the metrics `names` of each group of test items, by group; nan where one is undefined.

    `groups` (N,) are those of the items; none is returned where their number is another.
    """
    if any(len(values) != len(groups) for values in arrays.values()):
        return {}
    parts = {name: select(arrays, np.array(groups) == name) for name in sorted(set(groups))}
    known = [name for name in METRICS if name in set(names)]
    return {group: {name: METRICS[name](part) for name in known} for group, part in parts.items()}
