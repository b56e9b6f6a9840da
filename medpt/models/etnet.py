"""ET-Net (Zhang et al. 2019): an edge module on the shallow maps guides the segmentation of the deep ones.

The official repository holds no code. The paper gives the edge module on the first two encoder blocks, three
decoder blocks, their aggregation by gates that pool globally, and edge features joined before the last
convolution. The widths are a reconstruction.
"""

from functools import reduce

import torch
from torch import Tensor, nn

from medpt.models.encoders import Encoder
from medpt.models.layers import conv_bn_relu, rectified, resize_to

WIDTHS = (256, 128, 64)
EDGE = 64


class ETNet(nn.Module):
    """Map images (N, 3, H, W) to logits (N, num_classes, H, W) and edge logits (N, 1, H, W).

    Prediction needs the first output only. Sides are 32 pixels or more.
    """

    def __init__(self, encoder: Encoder, num_classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        _, f4, f8, f16, f32 = encoder.channels
        self.edge = EdgeGuidance(f4, f8)
        inputs = (f32 + f16, WIDTHS[0] + f8, WIDTHS[1] + f4)
        self.blocks = nn.ModuleList(_block(i, o) for i, o in zip(inputs, WIDTHS, strict=True))
        self.gates = nn.ModuleList(Gate(width) for width in WIDTHS)
        self.logits = nn.Conv2d(2 * EDGE, num_classes, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        _, f4, f8, f16, f32 = self.encoder(images)
        edge_features, edge_logits = self.edge(f4, f8)
        x = self._decode(f32, (f16, f8, f4))
        logits = self.logits(torch.cat([x, edge_features], dim=1))
        return resize_to(logits, images), resize_to(edge_logits, images)

    def _decode(self, x: Tensor, skips: tuple[Tensor, ...]) -> Tensor:
        """Run the decoder from deep to shallow and return the sum of its gated maps, (N, EDGE, H/4, W/4)."""
        gated: list[Tensor] = []
        for block, gate, skip in zip(self.blocks, self.gates, skips, strict=True):
            x = block(torch.cat([resize_to(x, skip), skip], dim=1))
            gated.append(gate(x))
        return reduce(lambda total, finer: resize_to(total, finer) + finer, gated)


class EdgeGuidance(nn.Module):
    """Edge features (N, EDGE, H/4, W/4) and edge logits (N, 1, H/4, W/4) of the maps at strides 4 and 8."""

    def __init__(self, f4: int, f8: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(conv_bn_relu(inputs, EDGE, 1), conv_bn_relu(EDGE, EDGE, 3)) for inputs in (f4, f8)
        )
        self.features = conv_bn_relu(2 * EDGE, EDGE, 1)
        self.logits = nn.Conv2d(2 * EDGE, 1, 1)

    def forward(self, f4: Tensor, f8: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.cat([self.branches[0](f4), self.branches[1](resize_to(f8, f4))], dim=1)
        return self.features(x), self.logits(x)


class Gate(nn.Module):
    """Reduce (N, inputs, h, w) to (N, EDGE, h, w) and scale each channel by a weight in (0, 1)."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.reduce = conv_bn_relu(inputs, EDGE, 1)
        self.weigh = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            rectified(nn.Conv2d(EDGE, EDGE, 1)),
            nn.ReLU(inplace=True),
            nn.Conv2d(EDGE, EDGE, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.reduce(x)
        return x * self.weigh(x)


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(conv_bn_relu(inputs, inputs, 3, groups=inputs), conv_bn_relu(inputs, outputs, 1))
