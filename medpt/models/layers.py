"""What several decoders are made of.

Every layer made here starts ready for the ReLU that follows it: weights Kaiming normal (fan_out, as
torch.nn.init counts it, groups ignored), biases 0, batch norm 1 and 0. A plain `nn.Conv2d` in a decoder is
one that no ReLU follows (gates, logits): it keeps PyTorch's default, Kaiming uniform.
"""

from typing import TypeVar

import torch.nn.functional as F
from torch import Tensor, nn

Convolution = TypeVar("Convolution", bound=nn.Conv2d | nn.ConvTranspose2d)


def rectified(layer: Convolution) -> Convolution:
    """The same layer, initialised for a ReLU after it."""
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def bn_relu(layer: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
    """`layer`, batch norm, ReLU."""
    return nn.Sequential(rectified(layer), nn.BatchNorm2d(layer.out_channels), nn.ReLU(inplace=True))


def conv_bn_relu(inputs: int, outputs: int, kernel: int, dilation: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution that keeps the resolution, without bias; batch norm; ReLU."""
    padding = dilation * (kernel // 2)
    return bn_relu(
        nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, groups=groups, bias=False)
    )


def resize_to(x: Tensor, reference: Tensor) -> Tensor:
    """(N, C, h, w) to the height and width of `reference`, bilinear between pixel centres (align_corners
    False).
    """
    return F.interpolate(x, size=reference.shape[-2:], mode="bilinear", align_corners=False)
