"""Per-layer SVCCA of one network before and after training, on the same images (Wen et al. 2021, Fig. 6a).

The raw outputs of the convolutions, before batch norm, and the pooled features are compared. A row is a
position of an image, a variable a channel. Positions are drawn per image, the same in both networks: 40 rows
per channel and at least 20,000, if the images have so many. Covariances are accumulated over batches, so that
memory does not depend on the number of images.
"""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from medpt.analysis.svcca import Covariances
from medpt.data.augment import normalise
from medpt.errors import InputError
from medpt.identity import stream_seed
from medpt.models import weights
from medpt.models.encoders import Encoder
from medpt.models.registry import BACKBONES, build_encoder
from medpt.normalisation import IMAGENET, Normalisation

ROWS, ROWS_A_CHANNEL = 20_000, 40
STATISTICS_IMAGES = 1_000  # that batch norm of an untrained network sees
BATCH = 32
POOLED = "pooled"  # the last layer: global average of the last map, the classifier's input

Images = NDArray[np.uint8]


@dataclass(frozen=True)
class Similarity:
    """SVCCA of one layer: 1 for equal up to a rotation, `floor` for independent rows.

    `weights`, in [-1, 1], is the correlation of the flattened kernels, a reading of the paper's
    section 1 ("weight similarity"); nan for a layer without kernels.
    """

    layer: str
    similarity: float
    floor: float
    n: int  # rows
    p: int  # channels
    weights: float


def layer_similarities(
    before: Encoder,
    after: Encoder,
    images: Images,
    *,
    seed: int = 0,
    device: str = "cpu",
    normalisation: Normalisation = IMAGENET,
) -> list[Similarity]:
    """Compare two states of one network, layer by layer in the order of the forward pass; ResNet-18 has 18.

    `images` are uint8 (N, S, S, 3), preprocessed as for training; they may be mapped from disk. Both networks
    are given them in the `normalisation` of the weights. `before` is untrained: its batch norm gets
    statistics from up to 1,000 of the images in random order, on a copy: images of one dataset follow each
    other, and batches of one kind of image have other statistics than all images together. `seed` draws this
    order and the positions. Raises InputError if the networks differ in layers or widths, or if N is below 2.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or len(images) < 2:
        raise InputError(f"{images.dtype} {images.shape}; two or more uint8 images (N, S, S, 3) are accepted")
    networks = [deepcopy(network).to(device).eval() for network in (before, after)]
    order = np.random.default_rng(stream_seed(seed, "svcca settle")).permutation(len(images))
    settle(networks[0], images[order[:STATISTICS_IMAGES]], normalisation)
    found: dict[str, Covariances] = {}
    for start in range(0, len(images), BATCH):
        batch = _batch(images[start : start + BATCH], device, normalisation)
        sampling = _Sampling(len(images), seed, start)
        left, right = (sampled(network, batch, sampling) for network in networks)
        _same_layers(left, right)
        for layer, rows in left.items():
            found.setdefault(layer, Covariances()).add(rows, right[layer])
    kernels = _kernel_correlations(before, after)
    points = []
    for layer, covariances in found.items():
        canonical, p = covariances.canonical(), covariances.widths[0]
        values = (canonical.mean, canonical.floor, canonical.rows, p, kernels.get(layer, float("nan")))
        points.append(Similarity(layer, *values))
    return points


def _kernel_correlations(before: Encoder, after: Encoder) -> dict[str, float]:
    pairs = zip(convolutions(before), convolutions(after), strict=True)
    return {name: _correlation(old.weight, new.weight) for (name, old), (_, new) in pairs}


def _correlation(a: Tensor, b: Tensor) -> float:
    return float(
        torch.corrcoef(torch.stack([a.detach().double().ravel(), b.detach().double().ravel()]))[0, 1]
    )


def _same_layers(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> None:
    shapes = [{layer: rows.shape[1] for layer, rows in side.items()} for side in (left, right)]
    if shapes[0] != shapes[1]:
        raise InputError("before and after differ in layers or widths; give two states of one network")


def _batch(images: Images, device: str, normalisation: Normalisation) -> Tensor:
    return normalise(torch.tensor(images).to(device), normalisation)


def settle(network: nn.Module, images: Images, normalisation: Normalisation = IMAGENET) -> None:
    """Set batch norm's statistics to plain averages over `images`; leave `network` in evaluation mode.

    A last batch of one image is excluded.
    """
    device = str(next(network.parameters()).device)
    starts = range(0, len(images) - 1, BATCH)
    batches = (_batch(images[start : start + BATCH], device, normalisation) for start in starts)
    update_bn(batches, network)
    network.eval()


@dataclass(frozen=True)
class _Sampling:
    """The positions that are read of each layer in the batch that begins at image `start`."""

    images: int
    seed: int
    start: int

    def __call__(self, layer: str, maps: Tensor) -> Tensor:
        """Return rows (B · q, C) of maps (B, C, h, w)."""
        channels, area = maps.shape[1], maps.shape[2] * maps.shape[3]
        rows = max(ROWS, ROWS_A_CHANNEL * channels)
        each = min(area, -(-rows // self.images))
        generator = torch.Generator().manual_seed(stream_seed(self.seed, "svcca", layer, self.start))
        chosen = torch.rand(len(maps), area, generator=generator).topk(each, dim=1).indices.to(maps.device)
        flat = maps.flatten(2)
        return flat.gather(2, chosen[:, None].expand(-1, channels, -1)).transpose(1, 2).flatten(0, 1)


@torch.no_grad()
def sampled(network: Encoder, images: Tensor, sampling: _Sampling) -> dict[str, Tensor]:
    """Return rows (n, channels) by layer, in the order of the forward pass."""
    found: dict[str, Tensor] = {}

    def hook(layer: str) -> object:
        def read(module: nn.Module, inputs: object, output: Tensor) -> None:
            found[layer] = sampling(layer, output)

        return read

    handles = [module.register_forward_hook(hook(name)) for name, module in convolutions(network)]  # type: ignore[arg-type]
    try:
        last = network(images)[-1]
    finally:
        for handle in handles:
            handle.remove()
    found[POOLED] = last.mean(dim=(2, 3))
    return found


def convolutions(network: nn.Module) -> Iterator[tuple[str, nn.Conv2d]]:
    """Yield names and convolutions without ResNet's 1 × 1 shortcuts, which Fig. 6a does not count."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d) and "downsample" not in name:
            yield name, module


def first_filters(network: nn.Module) -> NDArray[np.float64]:
    """Return the weights (m, 3, k, k) of the first convolution."""
    layer = next(module for _, module in convolutions(network))
    return layer.weight.detach().double().cpu().numpy()


def read_encoder(file: Path) -> tuple[str, Encoder]:
    """Return the backbone's name and its encoder with the weights of a file of medpt.models.weights.

    Raises InputError if the file is missing or damaged, or if its encoder is not a built-in backbone's.
    """
    state = {
        name.removeprefix(weights.ENCODER): tensor
        for name, tensor in weights.encoder_state(weights.load(file)).items()
    }
    for backbone in BACKBONES:
        with torch.device("meta"):
            encoder = build_encoder(backbone)
        if not weights.differences(encoder.state_dict(), state):
            encoder.load_state_dict(state, assign=True)
            return backbone, encoder.eval()
    raise InputError(f"{file}: its encoder is not one of {', '.join(BACKBONES)}")
