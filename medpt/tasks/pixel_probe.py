"""A linear model of masks on the features of single pixels: the maps of a frozen encoder at their place."""

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from medpt.data import splits
from medpt.data.arrays import Loader
from medpt.data.augment import normalise
from medpt.identity import stream_seed
from medpt.losses import DEFAULT_WEIGHTING, IGNORE, class_weights
from medpt.metrics import class_iou, mean_of_defined
from medpt.normalisation import IMAGENET, Normalisation
from medpt.protocol import TrainingProtocol
from medpt.tasks import linear
from medpt.tasks.segment import image_confusions
from medpt.tasks.supervised import counts

if TYPE_CHECKING:
    from medpt.models.encoders import Encoder

BATCH = 16
PIXELS_PER_IMAGE = 100


@torch.no_grad()
def fit_pixels(
    encoder: "Encoder",
    loader: Loader,
    rows: NDArray[np.int64],
    device: str,
    normalisation: Normalisation = IMAGENET,
) -> linear.LinearModel:
    """Fit to pixels of these images, with the C of the highest mean IoU on a fifth of the groups.

    Classes are weighted as in the training of a segmentation network.
    """
    index = loader.index
    features, labels, image = _drawn_pixels(encoder, loader, rows, device, normalisation)
    clip = TrainingProtocol().weight_clip
    weights = class_weights(counts(index, rows), DEFAULT_WEIGHTING["segmentation"], clip).numpy()
    classes, best = len(index.classes), linear.STRENGTHS[len(linear.STRENGTHS) // 2]
    train, val = splits.validation(None, index.groups[rows].tolist(), linear.VALIDATION, 0)
    if len(val):
        fitted, held = np.isin(image, train), np.isin(image, val)

        def iou(strength: float) -> float:
            model = linear.fit_classes(features[fitted], labels[fitted], classes, strength, weights)
            guesses = model.scores(features[held]).argmax(1)
            pairs = np.bincount(labels[held] * classes + guesses, minlength=classes**2)
            return mean_of_defined(class_iou(pairs.reshape(classes, classes)))

        best = max(linear.STRENGTHS, key=iou)
    return linear.fit_classes(features, labels, classes, best, weights)


def _drawn_pixels(
    encoder: "Encoder", loader: Loader, rows: NDArray[np.int64], device: str, normalisation: Normalisation
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Return features (M, d) and classes (M,) of labelled pixels, and the place of their image in `rows`."""
    generator = np.random.default_rng(stream_seed(0, "probe", "pixels"))
    features, labels = [], []
    for images, targets in loader.scan(rows, BATCH):
        maps = _maps(encoder, images.to(device), normalisation)
        for number, mask in enumerate(targets.cpu().numpy()):
            y, x = np.nonzero(mask != IGNORE)
            drawn = generator.permutation(len(y))[:PIXELS_PER_IMAGE]
            places = torch.from_numpy(np.stack([x[drawn], y[drawn]], axis=1)).to(device)
            features.append(_sample([m[number] for m in maps], places, mask.shape[0]).cpu())
            labels.append(mask[y[drawn], x[drawn]].astype(np.int64))
    image = np.repeat(np.arange(len(labels)), [len(drawn) for drawn in labels])
    return torch.cat(features).double().numpy(), np.concatenate(labels), image


def _maps(encoder: "Encoder", images: Tensor, normalisation: Normalisation = IMAGENET) -> list[Tensor]:
    with torch.autocast(images.device.type, torch.bfloat16, enabled=images.is_cuda):
        maps = encoder(normalise(images, normalisation))
    return [m.float().relu() for m in maps]


def _sample(maps: list[Tensor], places: Tensor, size: int) -> Tensor:
    """Sample maps (C, H, W) at pixels (x, y) of an image of `size`: (M, sum of C)."""
    grid = ((2 * places.float() + 1) / size - 1)[None, None]
    sampled = [
        F.grid_sample(m[None], grid, padding_mode="border", align_corners=False)[0, :, 0] for m in maps
    ]
    return torch.cat(sampled).T


@torch.no_grad()
def confusions(
    encoder: "Encoder",
    loader: Loader,
    rows: NDArray[np.int64],
    model: linear.LinearModel,
    device: str,
    normalisation: Normalisation = IMAGENET,
) -> NDArray[np.int64]:
    """Return the confusion matrix of each image, (N, K, K).

    The model is applied to each map before it is enlarged: for a linear model that is the same, and cheaper.
    """
    weights, bias = (torch.from_numpy(a).float().to(device) for a in (model.weights, model.bias))
    found = []
    for images, targets in loader.scan(rows, BATCH):
        maps = _maps(encoder, images.to(device), normalisation)
        logits = bias[None, :, None, None]
        for part, m in zip(weights.split([m.shape[1] for m in maps]), maps, strict=True):
            small = torch.einsum("bchw,ck->bkhw", m, part)
            logits = logits + F.interpolate(small, targets.shape[1:], mode="bilinear", align_corners=False)
        guesses = logits.argmax(1)
        found.append(image_confusions(guesses, targets.to(device), logits.shape[1]).cpu().numpy())
    return np.concatenate(found)
