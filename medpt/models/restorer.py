"""An encoder and a light decoder without skip connections that paints the image again.

Chen et al. 2019 (context restoration, section 3.1) use a few deconvolution layers for classification targets.
"""

from torch import Tensor, nn

from medpt.models.layers import bn_relu
from medpt.models.registry import build_encoder
from medpt.models.unet import WIDTHS


class Restorer(nn.Module):
    """Images (N, 3, H, W), sides multiples of 32, to images (N, 3, H, W) on a linear scale."""

    def __init__(self, backbone: str) -> None:
        super().__init__()
        self.encoder = build_encoder(backbone)
        inputs = (self.encoder.channels[-1], *WIDTHS[:-1])
        self.blocks = nn.Sequential(*map(_enlarging, inputs, WIDTHS))
        self.logits = nn.Conv2d(WIDTHS[-1], 3, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        return self.logits(self.blocks(self.encoder(images)[-1]))


def _enlarging(inputs: int, outputs: int) -> nn.Sequential:
    return bn_relu(nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False))
