"""What self-supervised tasks share: a validation set chosen without labels, and random numbers per image."""

import numpy as np
import torch
from torch import Tensor, nn

from medpt.data.manifest import Index
from medpt.data.splits import validation
from medpt.identity import stream_seed
from medpt.protocol import TrainingProtocol


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


def sizes(model: nn.Module, train_rows: np.ndarray, val_rows: np.ndarray) -> dict[str, int]:
    """Return the numbers of images and parameters, for the record."""
    return {
        "train_images": len(train_rows),
        "val_images": len(val_rows),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }
