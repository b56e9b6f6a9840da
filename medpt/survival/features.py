"""Features of patches: a network's last maps through ReLU and global average pooling, float16.

A patch has 512 features by ResNet-18, 1024 by DenseNet-121 and ShuffleNet V2. The network is in evaluation
mode, so that a patch's features do not depend on other patches. Images are normalised as in training
(medpt/data/augment.py).

The batch norm of a random network has no statistics yet: one pass in training mode over 2,000 training
patches sets them. Pre-trained networks keep theirs.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from medpt.data.augment import normalise
from medpt.errors import DivergedError
from medpt.identity import stream_seed
from medpt.normalisation import IMAGENET, Normalisation

BATCH = 64
SETTLING_PATCHES = 2_000


def extract(
    encoder: nn.Module,
    images: NDArray[np.uint8],
    device: str | torch.device = "cpu",
    *,
    settle_on: NDArray[np.intp] | None = None,
    normalisation: Normalisation = IMAGENET,
) -> NDArray[np.float16]:
    """Return features (n, d) of uint8 images (n, S, S, 3), which may be mapped from disk.

    One batch is read at a time. For a random network, `settle_on` are the rows of patches that set its batch
    norm, as `settling_rows` draws them. Leaves the encoder on the device, in evaluation mode. Raises
    DivergedError if a feature is not a finite float16 number.
    """
    encoder.to(device)
    if settle_on is not None:
        settle_batch_norm(encoder, images, settle_on, device)
    encoder.eval()
    with np.errstate(over="ignore"):  # infinity is refused below
        values = embed(
            lambda batch: pooled(encoder, batch),
            images,
            np.arange(len(images)),
            device,
            normalisation,
            np.float16,
        )
    if not np.isfinite(values).all():
        raise DivergedError("a feature of the encoder is not a finite float16 number")
    return values


def pooled(encoder: nn.Module, normalised: Tensor) -> Tensor:
    """Map normalised images (B, 3, S, S) to features float32 (B, d); bfloat16 inside on a CUDA device."""
    with torch.autocast(normalised.device.type, torch.bfloat16, enabled=normalised.is_cuda):
        maps = encoder(normalised)
    return maps[-1].float().relu().mean(dim=(2, 3))


def load(
    images: NDArray[np.uint8],
    rows: NDArray[np.intp],
    device: str | torch.device,
    normalisation: Normalisation = IMAGENET,
) -> Tensor:
    """Return these rows of the images, normalised float32 (B, 3, S, S), on the device."""
    return normalise(torch.from_numpy(np.ascontiguousarray(images[rows])).to(device), normalisation)


@torch.no_grad()
def embed(
    network: Callable[[Tensor], Tensor],
    images: NDArray[np.uint8],
    rows: NDArray[np.intp],
    device: str | torch.device,
    normalisation: Normalisation,
    kind: type[np.floating] = np.float32,
) -> NDArray[np.floating]:
    """Apply `network` to the normalised image of each row, batch by batch: (len(rows), ...)."""
    batches = [
        network(load(images, part, device, normalisation)).cpu().numpy().astype(kind) for part in _parts(rows)
    ]
    return np.concatenate(batches)


def settling_rows(rows: NDArray[np.intp], seed: int, shuffled: bool = True) -> NDArray[np.intp]:
    """Draw 2,000 of the rows of training patches, or all, in random order.

    Without `shuffled` they are in the order of the patches: those of one slide fill a batch, and their spread
    is less than that of all. Results that were computed so are of older specifications.
    """
    generator = np.random.default_rng(stream_seed(seed, "settle"))
    drawn = generator.permutation(rows)[:SETTLING_PATCHES]
    return drawn if shuffled else np.sort(drawn)


def settle_batch_norm(
    encoder: nn.Module, images: NDArray[np.uint8], rows: NDArray[np.intp], device: str | torch.device
) -> None:
    """Set batch norm's statistics to plain averages over batches of `rows`, in their order.

    An incomplete last batch is excluded unless it is the only one.
    """
    kept = rows[: len(rows) // BATCH * BATCH] if len(rows) > BATCH else rows
    update_bn((load(images, part, device) for part in _parts(kept)), encoder)


def _parts(rows: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    return [rows[start : start + BATCH] for start in range(0, max(len(rows), 1), BATCH)]
