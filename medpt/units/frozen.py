"""The unit `frozen`: a target predicted from fixed features, by logistic regression or nearest neighbours.

C or k is chosen on the validation set that a fine-tuning of the same seed has. The test set is seen once, by
the model of the chosen value, which is fitted to training and validation set together.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medpt.data.manifest import Index
from medpt.files import write_json
from medpt.specs import Frozen
from medpt.tasks import linear
from medpt.tasks.findings import image_metrics
from medpt.tasks.nearest import find_neighbours
from medpt.tasks.patients import mean_by_patient
from medpt.tasks.supervised import hold_out
from medpt.units import finetune
from medpt.units.base import Files, Inputs, Job, Tested
from medpt.units.finetune import test_scores, training_rows

RECORD = "record.json"
PAPER_METRIC = "auc"

Rows = NDArray[np.int64]
Scores = NDArray[np.floating]


def run(spec: Frozen, inputs: Inputs, job: Job) -> dict[str, float]:
    """Choose C or k, fit, and return the metrics of the test set, as fractions.

    Writes record.json (the values, their validation scores, the chosen one, and how many images there are),
    and scores.npz and items.npz as a fine-tuning does. The metrics are those of a fine-tuning without its
    steps; val_METRIC is that of the chosen value. Without a validation set (`validation_fraction` 0) the
    middle value is taken. Raises InputError if there are no training or test images, or if the validation set
    has one class.
    """
    loader, features = inputs.loader(spec.data), inputs.features(spec.features)
    index, metric = loader.index, spec.metric or PAPER_METRIC
    rows, values = training_rows(spec, loader), spec.strengths or spec.neighbours or ()
    train, val = hold_out(index, rows, spec.validation_fraction, spec.seed, metric=spec.metric)
    found = [
        validation_score(scores, index, val, metric, spec.evaluate_by)
        for scores in (predict(spec, features, index, (train, val), values) if len(val) else ())
    ]
    chosen = best_position(found, len(values))
    record = {"mode": spec.mode, "values": values, "chosen": values[chosen], f"val_{metric}": found}
    write_json(job.folder / RECORD, record | {"train_images": len(train), "val_images": len(val)})
    (scores,) = predict(spec, features, index, (rows, index.rows("test")), values[chosen : chosen + 1])
    metrics = test_scores(scores.astype(np.float32), loader, job, spec.evaluate_by, metric)
    return metrics | ({f"val_{metric}": found[chosen]} if found else {})


def stored_metrics(spec: Frozen, files: Files, tested: Tested) -> dict[str, dict[str, float]]:
    """Return the metrics that items.npz and the record determine."""
    found, record = finetune.stored_metrics(spec, files, tested), files.get(RECORD, {})
    name = f"val_{spec.metric or PAPER_METRIC}"
    scores, values = record.get(name) or (), record.get("values") or ()
    if scores and len(scores) == len(values):
        found[RECORD] = {name: scores[best_position(scores, len(values))]}
    return found


def predict(
    spec: Frozen, features: NDArray[Any], index: Index, rows: tuple[Rows, Rows], values: Sequence[float]
) -> list[Scores]:
    """Fit to the first rows, and return the scores (M, K) of the second ones for each value of C or k."""
    fitted, tested = features[rows[0]], features[rows[1]]
    labels, classes = index.labels[rows[0]], len(index.classes)
    if spec.neighbours:
        nearest, temperature = find_neighbours(fitted, tested, int(max(values))), spec.temperature or 1.0
        return [nearest.scores(labels, classes, int(count), temperature) for count in values]
    return [linear.fit_strength(fitted, labels, classes, value).scores(tested) for value in values]


def validation_score(scores: Scores, index: Index, rows: Rows, metric: str, by: str | None) -> float:
    """Return a metric of the scores of validation images, or of their patients if `by` says so."""
    labels = index.labels[rows]
    if by:
        scores, labels = mean_by_patient(scores, labels, index.groups[rows])
    return dict(image_metrics(scores, labels, metric))[metric]


def best_position(found: Sequence[float], count: int) -> int:
    """Return the position of the highest score, the first of equal ones; the middle one without a score."""
    return count // 2 if np.isnan(found).all() else int(np.nanargmax(found))
