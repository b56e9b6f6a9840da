"""Classification with any number of findings per image: balanced binary cross entropy, macro-averaged AUC."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medpt.losses import FINDING_LOSSES
from medpt.metrics import findings_macro_auc, findings_micro_auc
from medpt.tasks.base import Batches, forward
from medpt.tasks.classify import classification_metrics
from medpt.tasks.patients import mean_by_patient


@dataclass(frozen=True)
class Findings:
    """The task of networks (B, 3, S, S) to logits (B, K), with targets float32 (B, K): 1, 0 or nan (unknown).

    `weights` (K, 2) are those of medpt.losses.class_weights of each finding, absent and present. `metric` is
    one of `findings_metrics`.
    """

    weights: Tensor
    metric: str = "auc"
    patients: NDArray[np.str_] | None = None  # as in Classify
    criterion: str = "balanced_ce"  # one of FINDING_LOSSES
    higher_is_better: ClassVar = True

    def loss(self, model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        (logits,) = forward(model, images)
        weights = self.weights.to(logits.device, non_blocking=True)
        return FINDING_LOSSES[self.criterion](logits, targets, weights)

    def evaluate(self, model: nn.Module, batches: Batches) -> Iterator[tuple[str, float]]:
        sigmoid, labels = finding_scores(model, batches)
        if self.patients is not None:
            sigmoid, labels = mean_by_patient(sigmoid, labels, self.patients)
        return findings_metrics(sigmoid, labels)


@torch.no_grad()
def finding_scores(model: nn.Module, batches: Batches) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return sigmoid scores and labels, (N, K) each, of all images, in the order of the batches."""
    model.eval()
    pairs = [(forward(model, images)[0].sigmoid(), targets) for images, targets in batches]
    scores, labels = (torch.cat(parts).cpu().numpy() for parts in zip(*pairs, strict=True))
    return scores, labels


def findings_metrics(scores: NDArray[Any], labels: NDArray[Any]) -> Iterator[tuple[str, float]]:
    """Yield auc (micro-averaged) and macro_auc over known labels, as fractions; nan where undefined."""
    yield "auc", findings_micro_auc(scores, labels)
    yield "macro_auc", findings_macro_auc(scores, labels)


def image_metrics(
    scores: NDArray[Any], labels: NDArray[Any], headline: str = "kappa"
) -> Iterator[tuple[str, float]]:
    """Yield the metrics of scores (N, K) of images with one class, labels (N,), or several, labels (N, K).

    `headline` is as in classification_metrics.
    """
    if labels.ndim == 2:
        return findings_metrics(scores, labels)
    return classification_metrics(scores, labels, headline)
