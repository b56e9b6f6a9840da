"""The unit `image_features`: what a frozen encoder computes of every image of a prepared dataset."""

import numpy as np
import torch
from numpy.typing import NDArray

from medpt import extensions
from medpt.data.arrays import Loader
from medpt.data.augment import normalise
from medpt.errors import DivergedError
from medpt.files import replacing
from medpt.models.weights import build_encoder_with
from medpt.normalisation import IMAGENET
from medpt.specs import ImageFeatures
from medpt.units.base import Inputs, Job
from medpt.units.features import FEATURES
from medpt.units.probe import settle_batch_norm

BATCH = 16  # larger ones leave the cache of a CPU: ResNet-50 gets slower from 32 on
SETTLING_IMAGES = 2_000


def run(spec: ImageFeatures, inputs: Inputs, job: Job) -> dict[str, float]:
    """Compute the features of all images, of the training and the test set.

    Writes features.npy, float32 (N, d), in the order of the dataset's rows: the averages over the last maps,
    which a classifier's linear layer gets. The batch norm of random networks gets its statistics from 2,000
    training images, without their labels. The metrics are N and d. Raises DivergedError if a feature is not
    finite.
    """
    extensions.require(spec.extensions)
    loader, weights = inputs.loader(spec.data), inputs.weights(spec)
    encoder = build_encoder_with(spec.backbone, weights, spec.seed).to(job.device)
    if weights is None:
        settle_batch_norm(encoder, loader, settling_rows(loader), job.device)
    values = features_of_all(encoder.eval(), loader, spec, job.device)
    if not np.isfinite(values).all():
        raise DivergedError("a feature of the encoder is not a finite number")
    with replacing(job.folder / FEATURES) as temporary, temporary.open("wb") as file:
        np.save(file, values, allow_pickle=False)
    return {"images": float(len(values)), "dimensions": float(values.shape[1])}


def settling_rows(loader: Loader) -> NDArray[np.int64]:
    """Return up to SETTLING_IMAGES training images, the same ones for all networks and target sizes."""
    rows = loader.index.rows("train")
    return np.sort(np.random.default_rng(0).permutation(rows)[:SETTLING_IMAGES])


@torch.no_grad()
def features_of_all(
    encoder: torch.nn.Module, loader: Loader, spec: ImageFeatures, device: str
) -> NDArray[np.float32]:
    """Return the features (N, d) of all images of the loader."""
    normalisation, parts = spec.normalisation or IMAGENET, []
    for images, _ in loader.scan(np.arange(len(loader.index)), BATCH):
        with torch.autocast(device, torch.bfloat16, enabled=spec.precision == "bf16"):
            maps = encoder(normalise(images.to(device), normalisation))
        parts.append(maps[-1].float().mean(dim=(2, 3)).cpu())
    return torch.cat(parts).numpy()
