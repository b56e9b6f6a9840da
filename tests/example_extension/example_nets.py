"""A backbone of five convolutions, and a segmentation network that stands on any backbone."""

from itertools import pairwise

from torch import Tensor, nn

from medpt.models.layers import bn_relu, resize_to
from medpt.models.registry import build_encoder


class FiveBlocks(nn.Module):
    channels = (16, 24, 32, 48, 64)

    def __init__(self, output_stride: int) -> None:
        super().__init__()
        strides = [2 if 2**level <= output_stride else 1 for level in range(1, 6)]
        widths = zip(pairwise((3, *self.channels)), strides, strict=True)
        self.blocks = nn.ModuleList(
            bn_relu(nn.Conv2d(*pair, 3, step, 1, bias=False)) for pair, step in widths
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = [images]
        for block in self.blocks:
            maps.append(block(maps[-1]))
        return maps[1:]


class FCN(nn.Module):
    def __init__(self, backbone: str, num_classes: int) -> None:
        super().__init__()
        self.encoder = build_encoder(backbone)
        self.logits = nn.Conv2d(self.encoder.channels[-1], num_classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        return resize_to(self.logits(self.encoder(images)[-1]), images)
