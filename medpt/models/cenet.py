"""CE-Net (Gu et al. 2019), after the authors' code: dense atrous convolution, residual multi-kernel pooling.

The original stands on ResNet-34; ResNet-18 has the same channels, so its decoder is the original one. On
other backbones each decoder block ends with the channels of the map that is added to it. The authors'
sigmoid, Dice loss and regulariser stay outside.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medpt.models import build_encoder
from medpt.models.layers import bn_relu, rectified, resize_to

POOLS = (2, 3, 5, 6)
WIDTH = 64
HEAD = 32
SMALLEST = 192  # the deepest map must hold the largest pool


class CENet(nn.Module):
    """Images (N, 3, H, W) to logits (N, num_classes, H, W); ValueError unless H, W ≥ 192 are multiples of
    32.
    """

    def __init__(self, backbone: str, num_classes: int) -> None:
        super().__init__()
        self.encoder = build_encoder(backbone)
        _, f4, f8, f16, f32 = self.encoder.channels
        self.dac = DenseAtrous(f32)
        self.rmp = MultiKernelPool(f32)
        widths = (f32 + len(POOLS), f16, f8, f4, WIDTH)
        self.blocks = nn.ModuleList(
            _block(inputs, outputs) for inputs, outputs in zip(widths, widths[1:], strict=False)
        )
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
        for block, skip in zip(self.blocks, (f16, f8, f4), strict=False):
            x = block(x) + skip
        return self.logits(self.head(self.blocks[-1](x)))


class DenseAtrous(nn.Module):
    """Dense atrous convolution block: four convolutions, shared by the cascades 1×1∘…, of one shape in and
    out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.a, self.b, self.c = (_atrous(channels, rate) for rate in (1, 3, 5))
        self.p = rectified(nn.Conv2d(channels, channels, 1))
        rectified(self.a)

    def forward(self, x: Tensor) -> Tensor:
        a = self.a(x)
        ba = self.b(a)
        cascades = (a, self.p(self.b(x)), self.p(ba), self.p(self.c(ba)))
        return x + torch.stack([F.relu(cascade) for cascade in cascades]).sum(dim=0)


def _atrous(channels: int, rate: int) -> nn.Conv2d:
    layer = nn.Conv2d(channels, channels, 3, padding=rate, dilation=rate)
    nn.init.zeros_(layer.bias)
    return layer


class MultiKernelPool(nn.Module):
    """Residual multi-kernel pooling: (N, C, h, w) to (N, 4 + C, h, w), the pooled maps through one
    convolution.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = [resize_to(self.squeeze(F.max_pool2d(x, size)), x) for size in POOLS]
        return torch.cat([*pooled, x], dim=1)


def _block(inputs: int, outputs: int) -> nn.Sequential:
    """(N, inputs, h, w) to (N, outputs, 2h, 2w)."""
    middle = inputs // 4
    return nn.Sequential(
        bn_relu(nn.Conv2d(inputs, middle, 1)),
        bn_relu(nn.ConvTranspose2d(middle, middle, 3, stride=2, padding=1, output_padding=1)),
        bn_relu(nn.Conv2d(middle, outputs, 1)),
    )
