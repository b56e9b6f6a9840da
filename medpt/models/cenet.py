"""CE-Net (Gu et al. 2019), after the authors' code: dense atrous convolution, residual multi-kernel pooling.

The original uses ResNet-34. ResNet-18 has the same channels, so its decoder is the original one. On other
backbones each decoder block ends with the channels of the map that is added to it. The authors' sigmoid,
Dice loss and regulariser are not part of this network.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medpt.models.encoders import Encoder
from medpt.models.layers import bn_relu, rectified, resize_to

POOLS = (2, 3, 5, 6)
WIDTH = 64
HEAD = 32
SMALLEST = 192  # the deepest map must hold the largest pool


class CENet(nn.Module):
    """Map images (N, 3, H, W) to logits (N, num_classes, H, W).

    H and W are multiples of 32 from 192 up; other sizes raise ValueError.
    """

    def __init__(self, encoder: Encoder, num_classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        _, f4, f8, f16, f32 = encoder.channels
        self.dac = DenseAtrous(f32)
        self.rmp = MultiKernelPool(f32)
        widths = (f32 + len(POOLS), f16, f8, f4, WIDTH)
        self.blocks = nn.ModuleList(_block(inputs, outputs) for inputs, outputs in pairwise(widths))
        self.head = nn.Sequential(
            rectified(nn.ConvTranspose2d(WIDTH, HEAD, 4, stride=2, padding=1)),
            nn.ReLU(inplace=True),
            rectified(nn.Conv2d(HEAD, HEAD, 3, padding=1)),
            nn.ReLU(inplace=True),
        )
        self.logits = nn.Conv2d(HEAD, num_classes, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        if min(height, width) < SMALLEST or height % 32 or width % 32:
            raise ValueError(
                f"CE-Net: images of {height}×{width} pixels; multiples of 32 from {SMALLEST} up are accepted"
            )
        _, f4, f8, f16, f32 = self.encoder(images)
        x = self.rmp(self.dac(f32))
        for block, skip in zip(self.blocks[:-1], (f16, f8, f4), strict=True):
            x = block(x) + skip
        return self.logits(self.head(self.blocks[-1](x)))


class DenseAtrous(nn.Module):
    """Dense atrous convolution: (N, C, h, w) to the same shape.

    Four branches share four convolutions; there is no batch norm.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.a = rectified(_atrous(channels, 1))
        self.b = _atrous(channels, 3)
        self.c = _atrous(channels, 5)
        self.p = rectified(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        a = self.a(x)
        ba = self.b(a)
        near = F.relu(a) + F.relu(self.p(self.b(x)))
        far = F.relu(self.p(ba)) + F.relu(self.p(self.c(ba)))
        return x + near + far


def _atrous(channels: int, rate: int) -> nn.Conv2d:
    layer = nn.Conv2d(channels, channels, 3, padding=rate, dilation=rate)
    nn.init.zeros_(layer.get_parameter("bias"))
    return layer


class MultiKernelPool(nn.Module):
    """Residual multi-kernel pooling: (N, C, h, w) to (N, 4 + C, h, w); all pools share one convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = [resize_to(self.squeeze(F.max_pool2d(x, size)), x) for size in POOLS]
        return torch.cat([*pooled, x], dim=1)


def _block(inputs: int, outputs: int) -> nn.Sequential:
    """A decoder block: (N, inputs, h, w) to (N, outputs, 2h, 2w)."""
    middle = inputs // 4
    return nn.Sequential(
        bn_relu(nn.Conv2d(inputs, middle, 1)),
        bn_relu(nn.ConvTranspose2d(middle, middle, 3, stride=2, padding=1, output_padding=1)),
        bn_relu(nn.Conv2d(middle, outputs, 1)),
    )
