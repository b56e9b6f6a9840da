"""HyNet (reconstruction): nothing public says how Wen et al. (BIBM 2020) built theirs.

What is known is one sentence: atrous convolutions with parallel up-sampling paths, deep fusion across
levels, less dilution. Here: hybrid rates 1, 2, 5 leave no holes, and every level climbs to stride 2 on a
path of its own. Call results "HyNet (reconstruction)"; they do not replicate the paper's row of that name.
"""

import torch
from torch import Tensor, nn

from medpt.models.layers import conv_bn_relu, resize_to
from medpt.models.registry import build_encoder

WIDTH = 64
RATES = (1, 2, 5)


class HyNet(nn.Module):
    """Reconstruction. Images (N, 3, H, W) to logits (N, num_classes, H, W); sides from 32 pixels up."""

    def __init__(self, backbone: str, num_classes: int) -> None:
        super().__init__()
        self.encoder = build_encoder(backbone)
        finest, *deeper = self.encoder.channels
        self.lateral = conv_bn_relu(finest, WIDTH, 1)
        self.blocks = nn.ModuleList(HybridAtrous(channels) for channels in deeper)
        self.paths = nn.ModuleList(Climb(level) for level in range(1, 1 + len(deeper)))
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
    """(N, inputs, h, w) to (N, WIDTH, h, w): a cascade of rates 1, 2, 5, all joined, and a residual."""

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


class Climb(nn.Module):
    """From one level to stride 2: at each step enlarge, add that resolution's level, convolve."""

    def __init__(self, level: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(conv_bn_relu(WIDTH, WIDTH, 3) for _ in range(level))

    def forward(self, levels: list[Tensor]) -> Tensor:
        start = len(self.convs)
        x = levels[start]
        for conv, finer in zip(self.convs, reversed(levels[:start]), strict=True):
            x = conv(resize_to(x, finer) + finer)
        return x
