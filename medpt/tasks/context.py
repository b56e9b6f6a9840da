"""Self-supervision by context restoration: restore an image in which patches were swapped.

Chen et al. 2019. A corrupted image has exactly the pixels of the original. In training every view is
corrupted anew; all evaluations use the same corruption. Labels and masks are not read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medpt.data.arrays import Loader
from medpt.errors import InputError
from medpt.identity import stream_seed
from medpt.models.registry import build_encoder, build_segmenter
from medpt.models.self_supervised import Restorer
from medpt.specs import CLASSIFIER, Pretrain
from medpt.tasks.base import Batches, TrainingSetup, forward, sizes
from medpt.tasks.self_supervision import fixed_generator, hold_out, integers, only_dataset, uniform

FEWEST, MOST = 10, 20  # swaps per image
TRIES = 50  # to place two patches side by side
SMALL, LARGE = 16, 8  # sides of a patch from 1/16 to 1/8 of the image's: 16 to 32 pixels of 256
DRAWS = 1 + MOST * (2 + 4 * TRIES)  # number of swaps; height and width; corners of both patches per try
DIVISOR = 32  # of the sides that the decoder without skip connections can restore


def set_up(spec: Pretrain, loaders: Sequence[Loader]) -> TrainingSetup:
    """Set up training on the one dataset of `loaders`, of which a validation set is held out by group.

    For classification targets the decoder has no skip connections; for segmentation targets it is that of the
    U-Net, whichever network is fine-tuned afterwards.
    """
    loader, rows = only_dataset(spec, loaders)
    size = loader.index.size
    if size % DIVISOR:
        raise InputError(f"context: images of {size} pixels; multiples of {DIVISOR} are accepted")
    torch.manual_seed(stream_seed(spec.seed, "init"))
    if spec.architecture == CLASSIFIER:
        model: nn.Module = Restorer(build_encoder(spec.backbone))
    else:
        model = build_segmenter("unet", spec.backbone, 3)
    train_rows, val_rows = hold_out(loader.index, rows, spec.protocol, spec.seed)
    record = sizes(model, train_rows, val_rows)
    return TrainingSetup(model, Context(spec.seed), loader, train_rows, val_rows, record)


@dataclass(frozen=True)
class Context:
    """The task of networks that map images (B, 3, S, S) to images on the normalised scale.

    Targets are not read.
    """

    seed: int
    metric: ClassVar = "mse"
    higher_is_better: ClassVar = False

    def loss(self, model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        source = sources(swaps(uniform(images, DRAWS), images.shape[-1]), images.shape[-1])
        return F.mse_loss(forward(model, rearranged(images, source))[0], images)

    @torch.no_grad()
    def evaluate(self, model: nn.Module, batches: Batches) -> Iterator[tuple[str, float]]:
        """Yield mean squared errors over all pixels and channels, and over the swapped ones.

        mse and mse_swapped are those of the network, mse_identity and mse_identity_swapped those of leaving
        the corrupted image as it is. A network has learned something if mse_swapped < mse_identity_swapped.
        """
        model.eval()
        generator = fixed_generator(self.seed)
        sums = torch.stack([_sums(model, images, generator) for images, _ in batches]).sum(0)
        error, error_swapped, identity, count, count_swapped = sums.tolist()
        yield "mse", error / count
        yield "mse_swapped", error_swapped / count_swapped
        yield "mse_identity", identity / count
        yield "mse_identity_swapped", identity / count_swapped


def _sums(model: nn.Module, images: Tensor, generator: torch.Generator) -> Tensor:
    """Sums of squared errors (all, swapped, identity) and numbers of values (all, swapped), float64 (5,)."""
    side = images.shape[-1]
    source = sources(swaps(uniform(images, DRAWS, generator), side), side)
    corrupted = rearranged(images, source)
    moved = (source != torch.arange(side**2, device=source.device)).view(-1, 1, side, side)
    error = (forward(model, corrupted)[0] - images).double() ** 2
    identity = (corrupted - images).double() ** 2
    counts = (error.new_tensor(error.numel()), 3 * moved.sum().double())
    return torch.stack([error.sum(), (error * moved).sum(), identity.sum(), *counts])


def swaps(draws: Tensor, side: int) -> Tensor:
    """Choose the swaps of each image, int64 (B, 20, 6), from draws (B, DRAWS) in [0, 1).

    A swap is top and left of one patch, top and left of the other, height and width of both; a height of 0 is
    no swap. There are 10 to 20 per image. The patches of a swap lie inside the image and do not overlap.
    """
    number, shapes, corners = draws.split((1, 2 * MOST, 4 * MOST * TRIES), 1)
    shape = integers(shapes.view(-1, MOST, 2), side // SMALL, side // LARGE)
    room = (side - shape).repeat(1, 1, 2)[:, :, None]
    candidates = integers(corners.view(-1, MOST, TRIES, 4), 0, room)
    apart = ((candidates[..., :2] - candidates[..., 2:]).abs() >= shape[:, :, None]).any(-1)
    first = apart.int().argmax(2)[:, :, None, None].expand(-1, -1, 1, 4)
    wanted = torch.arange(MOST, device=draws.device) < integers(number, FEWEST, MOST)
    shape = shape * (wanted & apart.any(2))[..., None]
    return torch.cat([candidates.gather(2, first)[:, :, 0], shape], 2)


def sources(swaps: Tensor, side: int) -> Tensor:
    """Return the pixel that each place shows after the swaps, done in order; int64 (B, side²), row by row."""
    nowhere = side**2
    places = torch.arange(nowhere + 1, device=swaps.device).repeat(len(swaps), 1)
    window = torch.arange(side // LARGE, device=swaps.device)
    for top, left, other_top, other_left, height, width in swaps[..., None, None].permute(1, 2, 0, 3, 4):
        inside = (window[:, None] < height) & (window < width)

        def patch(top: Tensor, left: Tensor, inside: Tensor = inside) -> Tensor:
            cells = (top + window[:, None]) * side + left + window
            return cells.where(inside, nowhere).flatten(1)

        one, other = patch(top, left), patch(other_top, other_left)
        at_one, at_other = places.gather(1, one), places.gather(1, other)
        places.scatter_(1, one, at_other).scatter_(1, other, at_one)
    return places[:, :-1]


def rearranged(images: Tensor, source: Tensor) -> Tensor:
    """Return images (B, C, S, S) whose place p shows pixel source[b, p] of images[b], in all channels."""
    return images.flatten(2).gather(2, source[:, None].expand(-1, images.shape[1], -1)).view_as(images)
