"""The random network F of the modality distance: a backbone without ReLU, batch norm, dropout and bias.

After its max-pool F is linear: each output is a weighted sum of the outputs of the max-pool. Two backward
passes give the weights, and an image then needs the first convolution only. With an average pool instead of
the max-pool all of F is linear: an image needs one dot product, and a point of cmv is a projection of a mean
image. Weights, also of the head, are Kaiming (fan in, gain √2), orthogonal (gain 1) or Xavier (gain 1).
"""

from collections import OrderedDict
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medpt.analysis.settings import Settings
from medpt.errors import InputError
from medpt.identity import stream_seed
from medpt.models.registry import build_encoder

BATCH = 16
OUTPUTS = 2

Images = NDArray[np.uint8]
Initialiser = Callable[[Tensor, torch.Generator], object]

INITIALISERS: dict[tuple[str, str], Initialiser] = {
    ("kaiming", "normal"): lambda w, g: nn.init.kaiming_normal_(w, nonlinearity="relu", generator=g),
    ("kaiming", "uniform"): lambda w, g: nn.init.kaiming_uniform_(w, nonlinearity="relu", generator=g),
    ("orthogonal", "normal"): lambda w, g: nn.init.orthogonal_(w, generator=g),
    ("orthogonal", "uniform"): lambda w, g: nn.init.orthogonal_(w, generator=g),
    ("xavier", "normal"): lambda w, g: nn.init.xavier_normal_(w, generator=g),
    ("xavier", "uniform"): lambda w, g: nn.init.xavier_uniform_(w, generator=g),
}


class Projection:
    """F of one init and seed for images of one size (height, width); `network` has its layers."""

    def __init__(
        self, settings: Settings, init: str, seed: int, sides: tuple[int, int], device: str = "cpu"
    ) -> None:
        self.settings, self.device = settings, device
        initialise = INITIALISERS[init, settings.distribution]
        generator = torch.Generator().manual_seed(stream_seed(seed, "cmd", init))
        network = linear_network(settings)
        for parameter in network.parameters():
            initialise(parameter, generator)
        self.network = network.requires_grad_(False).to(device)
        self.stem, tail = self._halves()
        self.all_channels = settings.head == "pca"  # more outputs than backward passes are worth
        self.weights = None if self.all_channels else self._weights(tail, sides)

    def __call__(self, images: Images) -> NDArray[np.float64]:
        """Return F of uint8 images (N, H, W, 3), scaled to [0, 1]: (N, 2), or all channels for head pca."""
        parts = [self._batch(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
        return torch.cat(parts).double().cpu().numpy()

    @torch.no_grad()
    def _batch(self, images: Images) -> Tensor:
        pixels = torch.tensor(images, device=self.device).permute(0, 3, 1, 2).float() / 255
        if self.weights is None:
            return self.network(pixels)
        return self.stem(pixels).flatten(1) @ self.weights.T

    def _halves(self) -> tuple[nn.Sequential, nn.Sequential]:
        """Return the layers up to the max-pool, if there is one, and those after it."""
        children = list(self.network.children())
        cut = 1 + max((n for n, c in enumerate(children) if isinstance(c, nn.MaxPool2d)), default=-1)
        return nn.Sequential(*children[:cut]), nn.Sequential(*children[cut:])

    def _weights(self, tail: nn.Sequential, sides: tuple[int, int]) -> Tensor:
        """Return the gradients of both outputs with respect to the linear part's input, (2, C · h · w)."""
        with torch.no_grad():
            entry = self.stem(torch.zeros(1, 3, *sides, device=self.device))
        outputs = tail(entry.requires_grad_())[0]
        gradients = (torch.autograd.grad(output, entry, retain_graph=True)[0] for output in outputs)
        return torch.cat(list(gradients)).flatten(1)


def linear_network(settings: Settings) -> nn.Sequential:
    """Build the backbone with global average pooling and the head; weights are not set."""
    with torch.device("meta"):
        encoder = build_encoder(settings.network)
        pooled: list[tuple[str, nn.Module]] = [("gap", nn.AdaptiveAvgPool2d(1)), ("flatten", nn.Flatten())]
        pooled += [("head", _head(settings, encoder.channels[-1]))]
        network = nn.Sequential(OrderedDict([*encoder.named_children(), *pooled]))
    _linearise(network, settings.maxpool)
    return network.to_empty(device="cpu")


def _head(settings: Settings, channels: int) -> nn.Module:
    heads = {"linear": nn.Linear(channels, OUTPUTS, bias=False), "first": _First(), "pca": nn.Identity()}
    return heads[settings.head]


class _First(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        return features[:, :OUTPUTS]


def _linearise(module: nn.Module, maxpool: str) -> None:
    """Replace the layers that F leaves out by identities; InputError if a layer has a bias."""
    for name, child in module.named_children():
        if isinstance(child, nn.ReLU | nn.BatchNorm2d | nn.Dropout):
            setattr(module, name, nn.Identity())
        elif isinstance(child, nn.MaxPool2d) and maxpool == "avg":
            setattr(module, name, nn.AvgPool2d(child.kernel_size, child.stride, child.padding))
        elif getattr(child, "bias", None) is not None:
            raise InputError(f"{name}: a layer with a bias; F has none")
        else:
            _linearise(child, maxpool)
