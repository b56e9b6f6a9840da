"""U-Net on a classification encoder, with the layers and parameter counts of segmentation_models.pytorch.

This is not the network of Ronneberger et al. 2015, for whose encoder there are no ImageNet weights.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medpt.models.encoders import Encoder
from medpt.models.layers import conv_bn_relu

WIDTHS = (256, 128, 64, 32, 16)


class UNet(nn.Module):
    """Map images (N, 3, H, W) to logits (N, num_classes, H, W), for any side from 32 pixels up."""

    def __init__(self, encoder: Encoder, num_classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        *skips, deepest = encoder.channels
        inputs = (deepest, *WIDTHS[:-1])
        self.blocks = nn.ModuleList(
            (nn.Sequential(conv_bn_relu((deep + skip), width, 3), conv_bn_relu(width, width, 3)))
            for deep, skip, width in zip(inputs, (*reversed(skips), 0), WIDTHS, strict=True)
        )
        self.logits = nn.Conv2d(WIDTHS[-1], num_classes, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        *skips, x = self.encoder(images)
        for block, skip in zip(self.blocks[:-1], reversed(skips), strict=True):
            x = block(torch.cat([_enlarge(x, skip), skip], dim=1))
        return self.logits(self.blocks[-1](_enlarge(x, images)))


def _enlarge(x: Tensor, reference: Tensor) -> Tensor:
    return F.interpolate(x, size=reference.shape[-2:], mode="nearest")
