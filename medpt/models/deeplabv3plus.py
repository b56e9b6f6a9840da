"""DeepLabV3+ (Chen et al. 2018) at output stride 16, after jfzhang95/pytorch-deeplab-xception.

Decisions for small backbones: no multi-grid (ResNet-18's last stage has two blocks); `align_corners` False.
On a 16×16 map most taps of the branches with rates 12 and 18 fall outside the map; the published rates are
kept nevertheless.
"""

import torch
from torch import Tensor, nn

from medpt.models.encoders import Encoder
from medpt.models.layers import conv_bn_relu, resize_to

OUTPUT_STRIDE = 16  # of the encoder
WIDTH = 256
RATES = (6, 12, 18)
LOW_LEVEL = 48


class DeepLabV3Plus(nn.Module):
    """Map images (N, 3, H, W) to logits (N, num_classes, H, W); sides from 32 pixels up.

    Training needs N ≥ 2, because batch norm after the image pooling sees 1×1 maps.
    """

    def __init__(self, encoder: Encoder, num_classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.aspp = AtrousPyramid(encoder.channels[-1])
        self.low_level = conv_bn_relu(encoder.channels[1], LOW_LEVEL, 1)
        self.decoder = nn.Sequential(
            conv_bn_relu(WIDTH + LOW_LEVEL, WIDTH, 3),
            nn.Dropout(0.5),
            conv_bn_relu(WIDTH, WIDTH, 3),
            nn.Dropout(0.1),
        )
        self.logits = nn.Conv2d(WIDTH, num_classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        _, f4, _, _, deep = self.encoder(images)
        low = self.low_level(f4)
        x = torch.cat([resize_to(self.aspp(deep), low), low], dim=1)
        return resize_to(self.logits(self.decoder(x)), images)


class AtrousPyramid(nn.Module):
    """Atrous spatial pyramid pooling: (N, inputs, h, w) to (N, WIDTH, h, w)."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        atrous = [conv_bn_relu(inputs, WIDTH, 3, dilation=rate) for rate in RATES]
        self.branches = nn.ModuleList([conv_bn_relu(inputs, WIDTH, 1), *atrous])
        self.pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), conv_bn_relu(inputs, WIDTH, 1))
        self.project = nn.Sequential(conv_bn_relu(5 * WIDTH, WIDTH, 1), nn.Dropout(0.5))

    def forward(self, x: Tensor) -> Tensor:
        maps = [branch(x) for branch in self.branches]
        return self.project(torch.cat([*maps, resize_to(self.pooled(x), x)], dim=1))
