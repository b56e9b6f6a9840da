"""Classification with one class per image: balanced cross entropy, micro-averaged AUC."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medpt.losses import LOSSES
from medpt.metrics import accuracy, macro_auc, micro_auc, quadratic_kappa
from medpt.tasks.base import Batches, forward
from medpt.tasks.patients import mean_by_patient


@dataclass(frozen=True)
class Classify:
    """The task of networks (B, 3, S, S) to logits (B, K), with targets int64 (B,).

    `weights` (K,) are those of medpt.losses.class_weights. `metric` is one of `metrics`.
    """

    weights: Tensor
    metric: str = "auc"
    patients: NDArray[np.str_] | None = None  # of the images that `evaluate` gets; their scores are averaged
    criterion: str = "balanced_ce"  # one of LOSSES
    higher_is_better: ClassVar = True

    def loss(self, model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        (logits,) = forward(model, images)
        return LOSSES[self.criterion](logits, targets, self.weights.to(logits.device, non_blocking=True))

    def evaluate(self, model: nn.Module, batches: Batches) -> Iterator[tuple[str, float]]:
        softmax, labels = scores(model, batches)
        if self.patients is not None:
            softmax, labels = mean_by_patient(softmax, labels, self.patients)
        return classification_metrics(softmax, labels, self.metric)


@torch.no_grad()
def scores(model: nn.Module, batches: Batches) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return softmax scores (N, K) and labels (N,) of all images, in the order of the batches."""
    model.eval()
    pairs = [(forward(model, images)[0].softmax(1), targets) for images, targets in batches]
    softmax, labels = (torch.cat(parts).cpu().numpy() for parts in zip(*pairs, strict=True))
    return softmax, labels


def classification_metrics(
    softmax: NDArray[Any], labels: NDArray[Any], headline: str = "auc"
) -> Iterator[tuple[str, float]]:
    """Yield auc (micro-averaged), macro_auc and accuracy, as fractions; nan where undefined.

    Grades, whose `headline` metric it is, have their quadratic kappa as well.
    """
    yield "auc", micro_auc(softmax, labels)
    yield "macro_auc", macro_auc(softmax, labels)
    yield "accuracy", accuracy(softmax, labels)
    if headline == "kappa":
        yield "kappa", quadratic_kappa(softmax, labels)
