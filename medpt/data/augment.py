"""Flips, rotations, zoom, light and normalisation, as operations on whole batches on any device.

Element t of the dihedral group D4, for t in 0..7: flip left-right if t >= 4, then turn by t % 4 quarters
counter-clockwise (numpy: rot90(fliplr(x) if t >= 4 else x, t % 4)). 0 is the identity; 1, 2, 3 turn; 4 and 6
flip the horizontal and the vertical axis; 5 and 7 flip the diagonals (transpose and anti-transpose).
Wen et al. 2021, section 2.2.
"""

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from medpt.normalisation import IMAGENET, Normalisation

ELEMENTS = 8
ZOOM, LIGHT = 0.2, 0.2  # most that `zoom` cuts from a side, and that `change_light` changes

# Element t = transpose first, then reverse the rows, then reverse the columns, each or not.
TRANSPOSE = (False, True, False, True, False, True, False, True)
FLIP_ROWS = (False, True, True, False, False, False, True, True)
FLIP_COLUMNS = (False, False, True, True, True, False, False, True)
INVERSE = (0, 3, 2, 1, 4, 5, 6, 7)


def dihedral(batch: Tensor, transforms: Tensor) -> Tensor:
    """Applies element transforms[b] to item b of images (B, C, S, S) or masks (B, S, S) of any type.

    `transforms` (B,) of integers in 0..7, on the device of `batch`. Six passes over the batch whatever the
    elements are, and no synchronisation with a GPU; the memory format stays. Not differentiable.
    Raises ValueError where the last two sizes differ.
    """
    if batch.shape[-1] != batch.shape[-2]:
        raise ValueError(f"quarter turns need square images, these are {tuple(batch.shape[-2:])}")
    transpose, rows, columns = _table(batch.device)[:, transforms].reshape(3, -1, *[1] * (batch.ndim - 1))
    batch = torch.where(transpose, batch.mT, batch, out=torch.empty_like(batch))
    batch = torch.where(rows, batch.flip(-2), batch)
    return torch.where(columns, batch.flip(-1), batch)


def inverse(transforms: Tensor) -> Tensor:
    """The elements that undo `transforms`."""
    return _inverses(transforms.device)[transforms]


def augment(
    images: Tensor, targets: Tensor, transforms: Tensor, normalisation: Normalisation, how: str | None
) -> tuple[Tensor, Tensor]:
    """Return normalised images (B, 3, S, S) of uint8 (B, S, S, 3), and targets; masks move with their images.

    `how` is that of a protocol: None for `dihedral` alone, "standard" for `change_light` and `zoom` as well,
    "none" for neither. Draws are those of the CPU's generator.
    """
    masks = targets.ndim == 3
    if how == "none":
        return normalise(images, normalisation), targets
    if how == "standard":
        draws = torch.rand(len(images), 5).to(images.device, non_blocking=True)
        images = zoom(normalise(change_light(images, draws[:, 3:]), normalisation), draws[:, :3])
        targets = zoom(targets, draws[:, :3], "nearest") if masks else targets
    else:
        images = normalise(images, normalisation)
    return dihedral(images, transforms), dihedral(targets, transforms) if masks else targets


def change_light(images: Tensor, draws: Tensor) -> Tensor:
    """Change contrast and brightness of images (B, S, S, 3), values 0 to 255, each by a factor of 0.8 to 1.2.

    `draws` (B, 2) are uniform in [0, 1). Contrast is the distance from the image's mean. Returns float32,
    clipped to the range.
    """
    contrast, brightness = (1 - LIGHT + 2 * LIGHT * draws).T.reshape(2, -1, 1, 1, 1)
    values = images.float()
    mean = values.mean((1, 2, 3), keepdim=True)
    return ((values - mean) * contrast + mean).mul(brightness).clamp(0, 255)


def zoom(batch: Tensor, draws: Tensor, mode: str = "bilinear") -> Tensor:
    """Enlarge a window of images (B, C, S, S) or, with mode "nearest", masks (B, S, S) to the full size.

    `draws` (B, 3) are uniform in [0, 1): of the window's side, 0.8 to 1 of the image's, and of its place from
    left to right and from top to bottom. Differentiable; the type stays.
    """
    side = 1 - ZOOM * draws[:, 0]
    shift = (2 * draws[:, 1:] - 1) * (1 - side)[:, None]
    turns = side[:, None, None] * torch.eye(2, device=draws.device)
    theta = torch.cat([turns, shift[:, :, None]], 2)
    images = batch if batch.ndim == 4 else batch[:, None]
    places = F.affine_grid(theta, list(images.shape), align_corners=False)
    enlarged = F.grid_sample(images.float(), places, mode=mode, padding_mode="border", align_corners=False)
    return enlarged.reshape(batch.shape).to(batch.dtype)


def normalise(images: Tensor, normalisation: Normalisation = IMAGENET) -> Tensor:
    """uint8 (B, S, S, 3) RGB to float32 (B, 3, S, S), scaled as the network's weights expect.

    Contiguous on the CPU; on a CUDA device in the channels_last memory format, which costs no copy.
    """
    scale, offset = affine(normalisation, images.device)
    values = torch.addcmul(offset, images.permute(0, 3, 1, 2).float(), scale)
    layout = torch.channels_last if images.is_cuda else torch.contiguous_format
    return values.contiguous(memory_format=layout)


@lru_cache
def _table(device: torch.device) -> Tensor:
    return torch.tensor([TRANSPOSE, FLIP_ROWS, FLIP_COLUMNS], device=device)


@lru_cache
def _inverses(device: torch.device) -> Tensor:
    return torch.tensor(INVERSE, device=device)


@lru_cache
def affine(normalisation: Normalisation, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return scale and offset, (1, 3, 1, 1) each, that normalise pixels from 0 to 255."""
    mean, std = (torch.tensor(v, dtype=torch.float64) for v in (normalisation.mean, normalisation.std))
    low, high = normalisation.value_range
    scale, offset = (high - low) / (255 * std), (low - mean) / std
    return tuple(x.float().to(device).reshape(1, 3, 1, 1) for x in (scale, offset))  # type: ignore[return-value]
