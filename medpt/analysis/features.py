"""What a frozen encoder makes of labelled images: a row an image or, of masks, a row a pixel.

Rows are for medpt.analysis.transferability. Of a mask a few pixels an image are read, drawn evenly over the
classes that the image shows, so that a class of few pixels is heard. Nothing is trained.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medpt.analysis.transferability import logme
from medpt.data.augment import normalise
from medpt.data.dataset import IGNORE
from medpt.identity import stream_seed

BATCH = 32
PIXELS = 16  # read of an image with a mask

Images = NDArray[np.uint8]
Matrix = NDArray[np.float64]


def transferability(network: nn.Module, images: Images, targets: NDArray[np.integer]) -> float:
    """LogME (medpt.analysis.transferability) of an encoder's features for the targets; higher is better.

    images: uint8 (N, S, S, 3), preprocessed as for training. targets: labels (N,), which pooled features are
    held against, or masks (N, S, S), which features at their pixels are. Raises InputError where the targets
    show one class alone, or the features are 0 throughout.
    """
    if targets.ndim == 1:
        return logme(pooled(network, images), targets)
    places = pixels(targets)
    rows = np.repeat(np.arange(len(targets)), PIXELS)
    known = targets[rows, places[..., 0].ravel(), places[..., 1].ravel()]
    labelled = known != IGNORE
    return logme(at_pixels(network, images, places)[labelled], known[labelled])


@torch.no_grad()
def pooled(network: nn.Module, images: Images) -> Matrix:
    """(N, C): the global average of the last map, which is a classifier's input."""
    return np.concatenate([_maps(network, part)[-1].mean((2, 3)).cpu().double() for part in _batches(images)])


@torch.no_grad()
def at_pixels(network: nn.Module, images: Images, places: NDArray[np.intp]) -> Matrix:
    """(N · q, sum of all widths): what every map says at the rows and columns `places` (N, q, 2) of an image.

    The maps one below another at a pixel are its hypercolumn (Hariharan et al. 2015); each is read at the
    position that holds the pixel, without interpolation.
    """
    found = []
    for part, where in zip(_batches(images), _batches(places), strict=True):
        columns = [_read(layer, where, images.shape[1]) for layer in _maps(network, part)]
        found.append(torch.cat(columns, dim=1).cpu().double().numpy())
    return np.concatenate(found)


def pixels(masks: NDArray[np.integer], count: int = PIXELS, seed: int = 0) -> NDArray[np.intp]:
    """Rows and columns (N, count, 2), with replacement; each class of an image is as likely as another.

    A mask of nothing but IGNORE gives pixels of IGNORE.
    """
    rng = np.random.default_rng(stream_seed(seed, "pixels"))
    found = [_drawn(mask.ravel(), count, rng) for mask in masks]
    return np.stack(np.unravel_index(np.array(found), masks.shape[1:]), axis=-1)


def _drawn(mask: NDArray[np.integer], count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    classes, place, sizes = np.unique(mask, return_inverse=True, return_counts=True)
    share = np.where(classes == IGNORE, 0.0, 1 / sizes)
    weights = share[place] if share.any() else np.ones(len(mask))
    return rng.choice(len(mask), count, p=weights / weights.sum())


def _batches(rows: NDArray) -> list[NDArray]:
    return [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]


def _maps(network: nn.Module, images: Images) -> list[Tensor]:
    device = next(network.parameters()).device
    maps: list[Tensor] = network(normalise(torch.tensor(images).to(device)))
    return maps


def _read(layer: Tensor, places: NDArray[np.intp], side: int) -> Tensor:
    """(B, C, h, w) at pixels (B, q, 2) of images of that side, as (B · q, C)."""
    height, width = layer.shape[2:]
    rows, columns = (torch.from_numpy(places[..., axis]).to(layer.device) for axis in (0, 1))
    flat = rows * height // side * width + columns * width // side
    return layer.flatten(2).gather(2, flat[:, None].expand(-1, layer.shape[1], -1)).mT.flatten(0, 1)
