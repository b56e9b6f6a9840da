"""Segmentation with one class per pixel: balanced cross entropy, ET-Net's edge losses, and mean IoU."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medpt.further_metrics import outline_metrics
from medpt.losses import ET_LOSSES, IGNORE, LOSSES, edge_target
from medpt.metrics import class_dice, class_iou, image_ious, mean_of_defined
from medpt.tasks.base import Batches, forward


@dataclass(frozen=True)
class Segment:
    """The task of networks (B, 3, S, S) to logits (B, K, S, S), with targets uint8 (B, S, S), 255 ignored.

    A network that returns (logits, edge logits (B, 1, S, S)) is trained with ET_LOSSES[et_loss] and needs
    `edge_weights` (2,); its evaluation uses the logits only.
    """

    weights: Tensor
    edge_weights: Tensor | None = None
    et_loss: str = "alpha"
    criterion: str = "balanced_ce"  # one of LOSSES, of networks without edges
    metric: ClassVar = "miou"
    higher_is_better: ClassVar = True

    def loss(self, model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        logits, *edges = forward(model, images)
        weights = self.weights.to(logits.device, non_blocking=True)
        if self.edge_weights is None:
            return LOSSES[self.criterion](logits, targets, weights)
        edge_weights = self.edge_weights.to(logits.device, non_blocking=True)
        band = edge_target(targets)
        return ET_LOSSES[self.et_loss](logits, edges[0], targets, band, weights, edge_weights)

    def evaluate(self, model: nn.Module, batches: Batches) -> Iterator[tuple[str, float]]:
        return segmentation_metrics(*confusions(model, batches))


@torch.no_grad()
def confusions(model: nn.Module, batches: Batches) -> tuple[NDArray[np.int64], bool]:
    """Return the confusion matrix of each image (N, K, K), and whether all logits were finite."""
    model.eval()
    found, finite = [], True
    for images, targets in batches:
        logits = forward(model, images)[0]
        finite &= bool(logits.isfinite().all())
        found.append(image_confusions(logits.argmax(1), targets, logits.shape[1]).cpu().numpy())
    return np.concatenate(found), finite


@torch.no_grad()
def predictions(model: nn.Module, batches: Batches) -> NDArray[np.uint8]:
    """Return the most probable class of every pixel, (N, S, S), in the order of the batches."""
    model.eval()
    maps = [forward(model, images)[0].argmax(1).to(torch.uint8).cpu() for images, _ in batches]
    return torch.cat(maps).numpy()


@torch.no_grad()
def outlines(model: nn.Module, batches: Batches, classes: int) -> Iterator[tuple[str, float]]:
    """Yield hd95, in pixels, and surface_dice, each the mean over images and classes but 0 that have one."""
    model.eval()
    found = []
    for images, targets in batches:
        guesses = forward(model, images)[0].argmax(1).cpu().numpy()
        pairs = zip(guesses, targets.cpu().numpy(), strict=True)
        found += [outline_metrics(guess, mask, classes) for guess, mask in pairs]
    for name, values in zip(("hd95", "surface_dice"), zip(*found, strict=True), strict=True):
        yield name, mean_of_defined(np.concatenate(values))


@torch.no_grad()
def full_frame_miou(model: nn.Module, batches: Batches, outside: NDArray[np.float64]) -> float:
    """Mean IoU in [0, 1] over complete photographs, for a network that sees a square cut from each.

    `outside` (K,) counts the pixels per class outside the squares, at the scale of the prepared images; they
    all count as predicted to be background.
    """
    model.eval()
    total = np.zeros((len(outside), len(outside)))
    for images, targets in batches:
        answers = forward(model, images)[0].argmax(1)
        total += image_confusions(answers, targets, len(outside)).sum(0).cpu().numpy()
    total[:, 0] += outside
    return mean_of_defined(class_iou(total))


def image_confusions(prediction: Tensor, target: Tensor, num_classes: int) -> Tensor:
    """Return `medpt.metrics.confusion_matrix` of each image, (B, K, K), on the device of the inputs."""
    size = num_classes**2
    images = torch.arange(len(target), device=target.device)[:, None, None]
    places = images * size + target.long() * num_classes + prediction
    counts = places[target != IGNORE].bincount(minlength=len(target) * size)
    return counts.reshape(len(target), num_classes, num_classes)


def segmentation_metrics(images: NDArray[Any], finite: bool) -> Iterator[tuple[str, float]]:
    """Yield the metrics of the confusion matrices of images (N, K, K).

    All are fractions; nan where undefined, and where the logits were not `finite`. Pixels of all images count
    together, but in image_miou, the mean over images. foreground_miou and dice leave class 0 out.
    background_miou is the score of predicting background everywhere, the lower bound to compare miou with.
    """
    total = images.sum(0)
    background = np.zeros_like(total)
    background[:, 0] = total.sum(1)
    found = {
        "miou": class_iou(total),
        "foreground_miou": class_iou(total)[1:],
        "image_miou": image_ious(images),
        "dice": class_dice(total)[1:],
        "background_miou": class_iou(background),
    }
    for name, values in found.items():
        yield name, mean_of_defined(values) if finite else float("nan")
