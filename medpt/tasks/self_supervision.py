"""What self-supervised tasks share: a validation part cut without labels, and numbers drawn for images."""

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
    """(training rows, validation rows) of the feed, ascending; disjoint by group."""
    train, val = validation(None, index.groups[rows], protocol.validation_fraction, seed)
    return rows[train], rows[val]


def uniform(images: Tensor, width: int, generator: torch.Generator | None = None) -> Tensor:
    """`width` numbers in [0, 1) an image, float64 (B, width), on the device of the images.

    Without `generator` from the device's own; with one of the CPU the numbers are the same on every device
    and however the images are cut into batches.
    """
    shape = (len(images), width)
    if generator is None:
        return torch.rand(shape, dtype=torch.float64, device=images.device)
    return torch.rand(shape, dtype=torch.float64, generator=generator).to(images.device)


def fixed_generator(seed: int) -> torch.Generator:
    """The generator of evaluation's numbers: the same at every evaluation of a run."""
    return torch.Generator().manual_seed(stream_seed(seed, "evaluation"))


def integers(draws: Tensor, low: int, high: int | Tensor) -> Tensor:
    """Numbers in [0, 1) as integers in low..high, both included."""
    return low + (draws * (high - low + 1)).long()


def sizes(model: nn.Module, train_rows: np.ndarray, val_rows: np.ndarray) -> dict[str, int]:
    """For the record."""
    return {
        "train_images": len(train_rows),
        "val_images": len(val_rows),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }
