"""What self-supervised tasks share: their one dataset, validation rows, random numbers for each image."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from medpt.data.arrays import Loader
from medpt.data.manifest import Index
from medpt.data.splits import validation
from medpt.errors import InputError
from medpt.identity import stream_seed
from medpt.protocol import TrainingProtocol
from medpt.specs import CLASSIFIER, Pretrain

ARCHITECTURES = (CLASSIFIER, "unet")


def only_dataset(spec: Pretrain, loaders: Sequence[Loader]) -> tuple[Loader, np.ndarray]:
    """Return the one dataset of a self-supervised pre-training, and its training rows.

    Raises InputError for several datasets, for one without training images, and for a segmentation network
    other than the U-Net, whose one run all of them share.
    """
    problems = []
    if len(loaders) != 1:
        given = ", ".join(spec.datasets)
        problems.append(f"method: {spec.method} takes one dataset, not {len(loaders)}: {given}")
    if spec.architecture not in ARCHITECTURES:
        accepted = " (classification targets) or ".join(ARCHITECTURES)
        problems.append(
            f"architecture: {spec.architecture!r}; {spec.method} has one run for all segmentation "
            f"networks: {accepted} (segmentation targets) is accepted"
        )
    problems += [
        f"{loader.index.dataset}: no training image"
        for loader in loaders
        if not len(loader.index.rows("train"))
    ]
    if problems:
        raise InputError(problems)
    return loaders[0], loaders[0].index.rows("train")


def hold_out(
    index: Index, rows: np.ndarray, protocol: TrainingProtocol, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Split `rows` into training and validation rows, ascending and disjoint by group."""
    train, val = validation(None, index.groups[rows], protocol.validation_fraction, seed)
    return rows[train], rows[val]


def uniform(images: Tensor, width: int, generator: torch.Generator | None = None) -> Tensor:
    """Draw `width` numbers in [0, 1) per image, float64 (B, width), on the device of the images.

    Without `generator` they come from the device's generator. With a generator of the CPU they are the same
    on every device and for every batch size.
    """
    shape = (len(images), width)
    if generator is None:
        return torch.rand(shape, dtype=torch.float64, device=images.device)
    return torch.rand(shape, dtype=torch.float64, generator=generator).to(images.device)


def fixed_generator(seed: int) -> torch.Generator:
    """Return a generator whose numbers are the same at every evaluation of a run."""
    return torch.Generator().manual_seed(stream_seed(seed, "evaluation"))


def integers(draws: Tensor, low: int, high: int | Tensor) -> Tensor:
    """Scale numbers in [0, 1) to integers in low..high, both included."""
    return low + (draws * (high - low + 1)).long()
