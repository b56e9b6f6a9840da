"""Self-supervision by jigsaw puzzles: classify in which of K orders the nine tiles of an image are.

Noroozi & Favaro 2016, with the changes of their code and of later ones. Puzzles are made on the device, a
batch at once. In training every view of an image is a new puzzle; all evaluations use the same puzzles.
Labels and masks are not read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medpt.data.arrays import Loader
from medpt.data.augment import normalise
from medpt.errors import InputError
from medpt.identity import stream_seed
from medpt.models.permutations import TILES, maximin, spread
from medpt.models.registry import build_encoder
from medpt.models.self_supervised import JigsawNetwork
from medpt.normalisation import IMAGENET
from medpt.specs import Pretrain
from medpt.tasks.base import Batches, TrainingSetup, forward, sizes
from medpt.tasks.self_supervision import fixed_generator, hold_out, integers, only_dataset, uniform

SMALL_SET = 1_000  # training images below which there are 100 permutations instead of 1,000
EVALUATED = 256  # puzzles at least, so that the accuracy on two validation images has more than three values
SAMPLED = 256  # images at most in which flat tiles are counted
GREY = 0.3  # share of the puzzles without colour
LUMA = (0.299, 0.587, 0.114)
JITTER = 2  # grey levels up or down, for each channel of a tile
DRAWS = 1 + 1 + 2 + 2 * TILES + 3 * TILES  # class, grey, crop, position of each tile, jitter of each channel
SMALLEST_TILE = {  # for other backbones, the largest of these
    "resnet18": 8,
    "shufflenet_v2": 8,
    "densenet121": 32,
    "resnet50": 8,
    "mobilenet_v2": 8,
}


def set_up(spec: Pretrain, loaders: Sequence[Loader]) -> TrainingSetup:
    """Set up training on the one dataset of `loaders`, of which a validation set is held out by group.

    Figures: `chance`, the accuracy of guessing, and `flat_tiles`, the fraction of tiles without any contrast
    in a sample of training images. If it is above 2 of 9, the puzzles cannot be solved. Raises InputError if
    the images are too small for the backbone.
    """
    loader, rows = only_dataset(spec, loaders)
    tile = tile_side(loader.index.size)
    orders = maximin(permutation_count(len(rows)))
    torch.manual_seed(stream_seed(spec.seed, "init"))
    model = JigsawNetwork(build_encoder(spec.backbone), torch.tensor(orders))
    smallest = SMALLEST_TILE.get(spec.backbone, max(SMALLEST_TILE.values()))
    if tile < smallest:
        raise InputError(f"jigsaw: tiles of {tile} pixels; {spec.backbone} needs {smallest} or more")
    train_rows, val_rows = hold_out(loader.index, rows, spec.protocol, spec.seed)
    task = Jigsaw(spec.seed, rounds=-(-EVALUATED // max(1, len(val_rows))))
    record = sizes(model, train_rows, val_rows) | {"permutations": describe(orders)}
    figures = {"chance": 1 / len(orders), "flat_tiles": flat_tiles(loader, train_rows, model, spec.seed)}
    return TrainingSetup(model, task, Mirrored(loader), train_rows, val_rows, record, figures)


def permutation_count(train_images: int) -> int:
    """Return the number of permutations for a number of training images."""
    return 100 if train_images < SMALL_SET else 1_000


def describe(orders: np.ndarray) -> dict[str, Any]:
    """Return the number, the sha256 and the Hamming distances of permutations, for the record."""
    mean, least = spread(orders)
    digest = sha256(orders.tobytes()).hexdigest()
    return {"count": len(orders), "sha256": digest, "mean_distance": mean, "least_distance": least}


@dataclass(frozen=True)
class Jigsaw:
    """The task of medpt.models.self_supervised.JigsawNetwork; targets are not read.

    An evaluation makes `rounds` puzzles of each image, drawn from `seed`.
    """

    seed: int
    rounds: int
    metric: ClassVar = "accuracy"
    higher_is_better: ClassVar = True

    def loss(self, model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        tiles, classes, _ = puzzles(images, model.get_buffer("permutations"), uniform(images, DRAWS))
        return F.cross_entropy(forward(model, tiles)[0], classes)

    @torch.no_grad()
    def evaluate(self, model: nn.Module, batches: Batches) -> Iterator[tuple[str, float]]:
        """Yield accuracy, the fraction of puzzles classified correctly, and loss, the mean cross entropy."""
        model.eval()
        generator = fixed_generator(self.seed)
        parts = [self._solve(model, images, generator) for images, _ in batches]
        correct, losses = (torch.cat(part) for part in zip(*parts, strict=True))
        loss = float(losses.mean())
        yield "accuracy", float(correct.double().mean()) if np.isfinite(loss) else float("nan")
        yield "loss", loss

    def _solve(self, model: nn.Module, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return whether each puzzle of a batch is classified correctly, and its cross entropy."""
        draws = uniform(images, self.rounds * DRAWS, generator).view(len(images), self.rounds, DRAWS)
        correct, losses = [], []
        for numbers in draws.unbind(1):
            tiles, classes, _ = puzzles(images, model.get_buffer("permutations"), numbers)
            logits = forward(model, tiles)[0]
            correct.append(logits.argmax(1) == classes)
            losses.append(F.cross_entropy(logits.double(), classes, reduction="none"))
        return torch.cat(correct), torch.cat(losses)


def tile_side(side: int) -> int:
    """Return the side of a tile, 64 for images of 256 pixels; tiles keep gaps between them."""
    return round(side // 3 * 64 / 85)


def puzzles(images: Tensor, permutations: Tensor, draws: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return shuffled tiles (B, 9, 3, T, T), their class int64 (B,), and which are flat, bool (B, 9).

    images: normalised (B, 3, S, S); permutations (K, 9); draws (B, DRAWS) in [0, 1). Tile t of a puzzle of
    class k is tile permutations[k, t] of the image, row by row. Each lies anywhere in its cell of S // 3
    pixels and has mean 0 and standard deviation 1 in each channel; a channel without contrast is 0, and a
    tile is flat if all its channels are.
    """
    number, grey, crop, places, jitter = draws.split((1, 1, 2, 2 * TILES, 3 * TILES), 1)
    tiles = _cut(_perhaps_grey(pixels(images), grey < GREY), crop, places)
    shifts = integers(jitter, -JITTER, JITTER).view(-1, TILES, 3, 1, 1)
    tiles, flat = standardised((tiles + shifts).clamp(0, 255))
    classes = integers(number[:, 0], 0, len(permutations) - 1)
    order = permutations[classes].long()
    item = torch.arange(len(images), device=images.device)[:, None]
    return tiles[item, order], classes, flat[item, order]


def pixels(images: Tensor) -> Tensor:
    """Undo the scaling of medpt.data.augment.normalise: whole numbers from 0 to 255."""
    mean, std = (_channels(values, images.device) for values in (IMAGENET.mean, IMAGENET.std))
    return ((images * std + mean) * 255).round()


@lru_cache
def _channels(values: tuple[float, float, float], device: torch.device) -> Tensor:
    """Return (3, 1, 1), kept on the device, since a copy at each step would wait for the step before."""
    return torch.tensor(values, device=device).view(3, 1, 1)


def _perhaps_grey(images: Tensor, grey: Tensor) -> Tensor:
    luma = (images * _channels(LUMA, images.device)).sum(1, keepdim=True).round()
    return torch.where(grey[:, :, None, None], luma, images)


def _cut(images: Tensor, crop: Tensor, places: Tensor) -> Tensor:
    """Cut tiles (B, 9, 3, T, T) from images (B, 3, S, S), in order."""
    side, batch = images.shape[-1], len(images)
    cell, tile = side // 3, tile_side(side)
    number = torch.arange(TILES, device=images.device)
    corner = cell * torch.stack([number // 3, number % 3], -1) + integers(crop, 0, side - 3 * cell)[:, None]
    start = corner + integers(places, 0, cell - tile).view(-1, TILES, 2)
    y, x = (start[..., None] + torch.arange(tile, device=images.device)).unbind(2)
    item = torch.arange(batch, device=images.device)[:, None, None, None]
    return images[item, :, y[..., None], x[:, :, None]].movedim(-1, 2)


def standardised(tiles: Tensor) -> tuple[Tensor, Tensor]:
    """Scale each channel of tiles (B, 9, 3, T, T) to mean 0 and deviation 1; return also the flat ones."""
    deviation, mean = torch.std_mean(tiles, (-2, -1), correction=0, keepdim=True)
    constant = tiles.amax((-2, -1), keepdim=True) == tiles.amin((-2, -1), keepdim=True)
    values = (tiles - mean) / deviation.where(~constant, 1)
    return values.where(~constant, 0), constant.flatten(2).all(2)


def flat_tiles(loader: Loader, rows: np.ndarray, model: JigsawNetwork, seed: int) -> float:
    """Return the fraction of flat tiles in one puzzle of each of up to SAMPLED rows, evenly spaced."""
    sample = rows[np.unique(np.linspace(0, len(rows) - 1, SAMPLED).astype(int))]
    generator = fixed_generator(seed)
    flat = [
        puzzles(normalise(images), model.get_buffer("permutations").to(images.device), draws)[2]
        for images, _ in loader.scan(sample, 32)
        for draws in [uniform(images, DRAWS, generator)]
    ]
    return float(torch.cat(flat).double().mean())


@dataclass(frozen=True)
class Mirrored:
    """A loader that mirrors images left to right but never rotates them, which would change the classes."""

    loader: Loader

    def batches(
        self, rows: np.ndarray, batch_size: int, seed: int, start: int = 0, augment: bool = True
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for images, targets, transforms in self.loader.batches(rows, batch_size, seed, start, augment):
            yield images, targets, transforms // 4 * 4

    def steps_per_epoch(self, rows: np.ndarray, batch_size: int, augment: bool = True) -> int:
        return self.loader.steps_per_epoch(rows, batch_size, augment)

    def scan(self, rows: np.ndarray, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        return self.loader.scan(rows, batch_size)
