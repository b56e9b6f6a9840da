"""HyNet (reconstruction): Wen et al. (BIBM 2020) published neither code nor layers.

One sentence is known: atrous convolutions with parallel up-sampling paths, deep fusion across levels, less
dilution. Here hybrid rates 1, 2, 5 leave no gaps, and each level has its own up-sampling path to stride 2.
Report results as "HyNet (reconstruction)"; they do not replicate the paper's row of that name.
"""

import torch
from torch import Tensor, nn

from medpt.models.encoders import Encoder
from medpt.models.layers import conv_bn_relu, resize_to

WIDTH = 64
RATES = (1, 2, 5)


class HyNet(nn.Module):
    """Map images (N, 3, H, W) to logits (N, num_classes, H, W); sides from 32 pixels up."""

    def __init__(self, encoder: Encoder, num_classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        finest, *deeper = encoder.channels
        self.lateral = conv_bn_relu(finest, WIDTH, 1)
        self.blocks = nn.ModuleList(HybridAtrous(channels) for channels in deeper)
        self.paths = nn.ModuleList(UpsamplingPath(level) for level in range(1, 1 + len(deeper)))
        self.fusion = nn.Sequential(
            conv_bn_relu((1 + len(deeper)) * WIDTH, WIDTH, 3), conv_bn_relu(WIDTH, WIDTH, 3)
        )
        self.logits = nn.Conv2d(WIDTH, num_classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        finest, *deeper = self.encoder(images)
        levels = [self.lateral(finest)]
        levels += [block(x) for block, x in zip(self.blocks, deeper, strict=True)]
        fused = self.fusion(torch.cat([levels[0], *(path(levels) for path in self.paths)], dim=1))
        return resize_to(self.logits(fused), images)


class HybridAtrous(nn.Module):
    """A cascade of rates 1, 2, 5, all joined, with a residual: (N, inputs, h, w) to (N, WIDTH, h, w)."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.reduce = conv_bn_relu(inputs, WIDTH, 1)
        self.cascade = nn.ModuleList(conv_bn_relu(WIDTH, WIDTH, 3, dilation=rate) for rate in RATES)
        self.join = conv_bn_relu((1 + len(RATES)) * WIDTH, WIDTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        stages = [self.reduce(x)]
        for atrous in self.cascade:
            stages.append(atrous(stages[-1]))
        return self.join(torch.cat(stages, dim=1)) + stages[0]


class UpsamplingPath(nn.Module):
    """Up-sampling from one level to stride 2: at each step enlarge, add the level of that size, convolve."""

    def __init__(self, level: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(conv_bn_relu(WIDTH, WIDTH, 3) for _ in range(level))

    def forward(self, levels: list[Tensor]) -> Tensor:
        start = len(self.convs)
        x = levels[start]
        for conv, finer in zip(self.convs, reversed(levels[:start]), strict=True):
            x = conv(resize_to(x, finer) + finer)
        return x
