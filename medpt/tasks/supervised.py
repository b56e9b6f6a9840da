"""Supervised training on a dataset's labels: network, task, training and validation rows.

Fine-tuning and supervised pre-training differ only in their rows.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from medpt.data.arrays import Loader
from medpt.data.manifest import Index
from medpt.data.splits import strata, validation
from medpt.errors import InputError, did_you_mean
from medpt.identity import stream_seed
from medpt.losses import DEFAULT_WEIGHTING, WEIGHTINGS, class_weights, edge_target
from medpt.models.registry import architectures, build_network
from medpt.protocol import EDGE_NETWORK, UNWEIGHTED, TrainingProtocol, losses_of
from medpt.specs import CLASSIFIER, Finetune, Pretrain
from medpt.tasks.base import Task, TrainingSetup, sizes
from medpt.tasks.classify import Classify
from medpt.tasks.findings import Findings
from medpt.tasks.segment import Segment

SCAN_BATCH = 64


def set_up(loader: Loader, rows: np.ndarray, spec: Pretrain | Finetune) -> TrainingSetup:
    """Set up training on `rows` of a dataset, of which a validation set is held out by group.

    The network's random initialization depends on `seed` only, so that equal seeds give equal encoders under
    every decoder. Raises InputError if architecture, task and weighting do not fit together.
    """
    model = network(loader.index, spec.backbone, spec.architecture, spec.seed)
    metric, by = (spec.metric, spec.evaluate_by) if isinstance(spec, Finetune) else (None, None)
    fraction = spec.protocol.validation_fraction
    train_rows, val_rows = hold_out(loader.index, rows, fraction, spec.seed, metric=metric)
    task, weights = _task(loader, train_rows, spec.architecture, spec.protocol)
    if isinstance(task, Classify | Findings):
        patients = loader.index.groups[val_rows] if by else None
        task = replace(task, metric=metric or task.metric, patients=patients)
    record = weights | sizes(model, train_rows, val_rows)
    return TrainingSetup(model, task, loader, train_rows, val_rows, record)


def network(index: Index, backbone: str, architecture: str, seed: int) -> nn.Module:
    """Build a network with random weights for the classes of `index`."""
    accepted = architectures() if index.task == "segmentation" else (CLASSIFIER,)
    if architecture not in accepted:
        names = ", ".join(accepted)
        raise InputError(
            f"architecture: {architecture!r} does not fit {index.task} ({index.dataset}); accepted: {names}"
        )
    torch.manual_seed(stream_seed(seed, "init"))
    return build_network(architecture, backbone, len(index.classes))


def hold_out(
    index: Index, rows: np.ndarray, fraction: float, seed: int, *, metric: str | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Split `rows` into training and validation rows, ascending; disjoint by group, stratified by class.

    With a `metric` that needs two classes, raises InputError for a validation set of one class.
    """
    known, groups = labels(index, rows), index.groups[rows]
    train, val = validation(known, groups, fraction, seed, two_classes=bool(metric))
    if metric:
        _check_classes(index, rows[val], metric)
    return rows[train], rows[val]


def _check_classes(index: Index, val_rows: np.ndarray, metric: str) -> None:
    """Raise InputError for a validation set of one class, by which `metric` cannot choose weights."""
    present = np.unique(index.labels[val_rows])
    if len(present) == 1 and index.task == "classification":
        raise InputError(
            f"{index.dataset}: the {len(val_rows)} validation images are all of the class "
            f"`{index.classes[present[0]]}`, and {metric} needs two; use a larger `validation_fraction`, "
            "or 0 to keep the last weights"
        )


def labels(index: Index, rows: np.ndarray) -> np.ndarray | None:
    """Return the class that each row is stratified by, or None if images have no class."""
    return None if index.task == "segmentation" else strata(index.labels[rows])


def _task(
    loader: Loader, rows: np.ndarray, architecture: str, protocol: TrainingProtocol
) -> tuple[Task, dict[str, Any]]:
    """Return the task, with weights counted on `rows`, and a record of the weights."""
    index = loader.index
    loss, weighting = protocol.value("loss"), _weighting(index, protocol)
    if loss not in losses_of(index.task, architecture):
        accepted = ", ".join(losses_of(index.task, architecture))
        raise InputError(f"loss: {loss} does not fit {index.task} by {architecture}; accepted: {accepted}")
    if index.task == "multilabel":
        weights = finding_weights(index, rows, weighting, protocol.weight_clip)
    else:
        weights = class_weights(counts(index, rows), weighting, protocol.weight_clip)
    record = {"loss": loss, "weighting": weighting, "class_weights": weights.tolist()}
    if index.task == "multilabel":
        return Findings(weights, criterion=loss), record
    if index.task == "classification":
        return Classify(weights, criterion=loss), record
    if architecture != EDGE_NETWORK:
        return Segment(weights, criterion=loss), record
    edge_weights = class_weights(edge_counts(loader, rows), weighting, protocol.weight_clip)
    return Segment(weights, edge_weights, protocol.edge_loss), record | {
        "edge_weights": edge_weights.tolist()
    }


def _weighting(index: Index, protocol: TrainingProtocol) -> str:
    if protocol.loss in UNWEIGHTED:
        return "none"
    weighting = protocol.weighting or DEFAULT_WEIGHTING[index.task]
    if weighting not in WEIGHTINGS:
        raise InputError(f"weighting: no {weighting!r}; {did_you_mean(weighting, WEIGHTINGS)}")
    return weighting


def counts(index: Index, rows: np.ndarray) -> Tensor:
    """Count the images or pixels of each class among `rows`, (K,)."""
    if index.pixels is not None:
        return torch.from_numpy(index.pixels[rows].sum(0))
    return torch.from_numpy(np.bincount(index.labels[rows], minlength=len(index.classes)))


def finding_weights(index: Index, rows: np.ndarray, weighting: str, clip: tuple[float, float]) -> Tensor:
    """Return the weights (K, 2) of findings that are absent and present, counted where they are known."""
    known = index.labels[rows]
    each = [torch.tensor([np.count_nonzero(column == side) for side in (0, 1)]) for column in known.T]
    unknown = torch.ones(2)
    return torch.stack([class_weights(c if c.sum() else unknown, weighting, clip) for c in each])


def edge_counts(loader: Loader, rows: np.ndarray) -> Tensor:
    """Count the pixels off and on the edges of the masks of `rows`, (2,)."""
    return torch.stack(list(_edges(loader, rows))).sum(0)


def _edges(loader: Loader, rows: np.ndarray) -> Iterator[Tensor]:
    for _, masks in loader.scan(rows, SCAN_BATCH):
        band = edge_target(masks)
        yield torch.tensor([int((band == side).sum()) for side in (0, 1)])
