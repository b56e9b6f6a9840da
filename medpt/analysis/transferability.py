"""How well the features of a frozen encoder carry labels, without training on them.

A row of features belongs to an image or, for masks, to a pixel. A few pixels of each mask are read, drawn
evenly over the classes that the image shows, so that small classes count. Scores compare networks on the same
images: higher is better, and only their order means something. Scores are too high if n is not well above d.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from medpt.data.augment import normalise
from medpt.data.dataset import IGNORE
from medpt.errors import InputError
from medpt.identity import stream_seed
from medpt.normalisation import IMAGENET, Normalisation

BATCH = 32
PIXELS = 16  # read of an image with a mask
RANGE = 1e8  # the noise is sought between a RANGE-th and RANGE times the largest variance of the features
GRID = 161

Images = NDArray[np.uint8]
Matrix = NDArray[np.float64]


def transferability(
    network: nn.Module, images: Images, targets: NDArray[np.integer], normalisation: Normalisation = IMAGENET
) -> float:
    """Return LogME of an encoder's features for the targets; higher is better.

    `images` are uint8 (N, S, S, 3), preprocessed as for training. `targets` are labels (N,), for pooled
    features, or masks (N, S, S), for features at pixels. Raises InputError if the targets show one class
    only, or all features are 0.
    """
    if targets.ndim == 1:
        return logme(pooled(network, images, normalisation), targets)
    places = pixels(targets)
    rows = np.repeat(np.arange(len(targets)), PIXELS)
    known = targets[rows, places[..., 0].ravel(), places[..., 1].ravel()]
    labelled = known != IGNORE
    return logme(at_pixels(network, images, places, normalisation)[labelled], known[labelled])


@torch.no_grad()
def pooled(network: nn.Module, images: Images, normalisation: Normalisation = IMAGENET) -> Matrix:
    """Return the global average of the last map, (N, C), which is a classifier's input."""
    maps = (_maps(network, part, normalisation)[-1] for part in _batches(images))
    return np.concatenate([last.mean((2, 3)).cpu().double() for last in maps])


@torch.no_grad()
def at_pixels(
    network: nn.Module, images: Images, places: NDArray[np.intp], normalisation: Normalisation = IMAGENET
) -> Matrix:
    """Return the values of all maps at the rows and columns `places` (N, q, 2), (N · q, sum of widths).

    The maps one below another at a pixel are its hypercolumn (Hariharan et al. 2015). Each is read at the
    position that holds the pixel, without interpolation.
    """
    found = []
    for part, where in zip(_batches(images), _batches(places), strict=True):
        columns = [_read(layer, where, images.shape[1]) for layer in _maps(network, part, normalisation)]
        found.append(torch.cat(columns, dim=1).cpu().double().numpy())
    return np.concatenate(found)


def pixels(masks: NDArray[np.integer]) -> NDArray[np.intp]:
    """Draw rows and columns (N, PIXELS, 2) with replacement; all classes of an image are equally likely.

    A mask of nothing but IGNORE gives pixels of IGNORE.
    """
    rng = np.random.default_rng(stream_seed(0, "pixels"))
    drawn = [_drawn(mask.ravel(), rng) for mask in masks]
    return np.stack(np.unravel_index(np.array(drawn), masks.shape[1:]), axis=-1)


def _drawn(mask: NDArray[np.integer], rng: np.random.Generator) -> NDArray[np.intp]:
    classes, place, sizes = np.unique(mask, return_inverse=True, return_counts=True)
    share = np.where(classes == IGNORE, 0.0, 1 / sizes)
    weights = share[place] if share.any() else np.ones(len(mask))
    return rng.choice(len(mask), PIXELS, p=weights / weights.sum())


def _batches(rows: NDArray) -> list[NDArray]:
    return [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]


def _maps(network: nn.Module, images: Images, normalisation: Normalisation) -> list[Tensor]:
    device = next(network.parameters()).device
    maps: list[Tensor] = network(normalise(torch.tensor(images).to(device), normalisation))
    return maps


def _read(layer: Tensor, places: NDArray[np.intp], side: int) -> Tensor:
    """Return a map (B, C, h, w) at pixels (B, q, 2) of images with sides of `side` pixels, (B · q, C)."""
    height, width = layer.shape[2:]
    rows, columns = (torch.from_numpy(places[..., axis]).to(layer.device) for axis in (0, 1))
    flat = rows * height // side * width + columns * width // side
    return layer.flatten(2).gather(2, flat[:, None].expand(-1, layer.shape[1], -1)).mT.flatten(0, 1)


def logme(features: ArrayLike, labels: ArrayLike) -> float:
    """Return the log of the maximum evidence of a linear model per sample, mean over one-vs-rest classes.

    You, Liu, Wang & Long 2021 (LogME, section 4): y ~ N(F w, 1/beta), w ~ N(0, 1/alpha), no intercept, both
    precisions at their maximum. They are found on the profile over alpha/beta, which needs one SVD and one
    search in one dimension, instead of the authors' fixed point; both reach the same evidence. `features`
    are (n, d), `labels` (n,); the score is any real number. Raises InputError for other shapes, for values
    that are not finite, and for fewer than two classes.
    """
    F, classes, place = _parse(features, labels)
    U, singular, _ = np.linalg.svd(F, full_matrices=False)
    targets = (place[:, None] == np.arange(len(classes))).astype(float)
    inside = (U.T @ targets) ** 2
    outside = np.maximum((targets**2).sum(0) - inside.sum(0), 0)
    return float(
        np.mean([_evidence(singular**2, z, rest, len(F)) for z, rest in zip(inside.T, outside, strict=True)])
    )


def _evidence(variances: Matrix, inside: Matrix, outside: float, n: int) -> float:
    """Maximum over alpha/beta of log N(y; 0, (I + F Fᵀ beta/alpha)/beta)/n, with 1/beta at its best.

    `inside` are the squares of y along the left singular vectors, `outside` is what they leave.
    """
    from scipy.optimize import minimize_scalar

    def loss(log_ratio: float) -> float:
        ratio = np.exp(log_ratio)
        noise = ((inside * ratio / (ratio + variances)).sum() + outside) / n
        return float(np.log(2 * np.pi * noise) + 1 + np.log1p(variances / ratio).sum() / n) / 2

    middle = np.log(variances.max())
    grid = middle + np.linspace(-np.log(RANGE), np.log(RANGE), GRID)
    best = int(np.argmin([loss(point) for point in grid]))
    around = (grid[max(best - 1, 0)], grid[min(best + 1, GRID - 1)])
    return -float(minimize_scalar(loss, bounds=around, method="bounded", options={"xatol": 1e-6}).fun)


def _parse(features: ArrayLike, labels: ArrayLike) -> tuple[Matrix, NDArray[Any], NDArray[np.intp]]:
    F, y = np.asarray(features), np.asarray(labels)
    if F.ndim != 2 or y.ndim != 1 or len(F) != len(y) or 0 in F.shape:
        raise InputError(f"features {F.shape} and labels {y.shape}; (n, d) and (n,) are accepted")
    F = F.astype(np.float64)
    classes, place = np.unique(y, return_inverse=True)
    problems = []
    if not np.isfinite(F).all():
        problems.append("features are not finite")
    elif not F.any():
        problems.append("features are 0 throughout")
    if len(classes) < 2:
        problems.append(f"labels are all {classes[0]}; two classes or more are needed")
    if problems:
        raise InputError(problems)
    return F, classes, place
