"""Building blocks of several decoders.

Layers made here are initialised for the ReLU that follows them: weights Kaiming normal (fan_out, as
torch.nn.init counts it, groups ignored), biases 0, batch norm 1 and 0. A plain `nn.Conv2d` in a decoder has
no ReLU after it (gates, logits) and keeps PyTorch's default, Kaiming uniform.
"""

from typing import TypeVar

import torch.nn.functional as F
from torch import Tensor, nn

Convolution = TypeVar("Convolution", bound=nn.Conv2d | nn.ConvTranspose2d)


def rectified(layer: Convolution) -> Convolution:
    """Initialise `layer` for a ReLU after it, and return it."""
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def bn_relu(layer: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
    """`layer`, initialised for the ReLU, then batch norm and ReLU."""
    return nn.Sequential(rectified(layer), nn.BatchNorm2d(layer.out_channels), nn.ReLU(inplace=True))


def conv_bn_relu(inputs: int, outputs: int, kernel: int, dilation: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution without bias that keeps the resolution, then batch norm and ReLU."""
    padding = dilation * (kernel // 2)
    return bn_relu(
        nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, groups=groups, bias=False)
    )


def resize_to(x: Tensor, reference: Tensor) -> Tensor:
    """Resize (N, C, h, w) to the height and width of `reference`, bilinear with align_corners False."""
    return F.interpolate(x, size=reference.shape[-2:], mode="bilinear", align_corners=False)
