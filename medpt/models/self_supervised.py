"""Networks of self-supervised pre-training: jigsaw puzzles and context restoration."""

import torch
from torch import Tensor, nn

from medpt.models.encoders import Encoder
from medpt.models.layers import bn_relu
from medpt.models.permutations import TILES
from medpt.models.unet import WIDTHS

TILE_FEATURES = 512
HIDDEN = 1024  # width of fc7; Noroozi & Favaro publish 4096, for 1.3 million images


class JigsawNetwork(nn.Module):
    """Map tiles (N, 9, 3, T, T) to logits (N, K), one for each order that the tiles may be in.

    Noroozi & Favaro 2016, figure 3, on the backbones of this package. `permutations` (K, 9) says what each
    class means and is stored with the weights. The encoder sees the tiles of all positions as one batch.
    """

    def __init__(self, encoder: Encoder, permutations: Tensor) -> None:
        super().__init__()
        self.encoder = encoder
        self.fc6 = _dense(encoder.channels[-1], TILE_FEATURES)
        self.fc7 = _dense(TILES * TILE_FEATURES, HIDDEN)
        self.logits = nn.Linear(HIDDEN, len(permutations))
        self.register_buffer("permutations", permutations.to(torch.uint8))

    def forward(self, tiles: Tensor) -> Tensor:
        features = self.encoder(tiles.flatten(0, 1))[-1].mean(dim=(2, 3))
        return self.logits(self.fc7(self.fc6(features).view(len(tiles), -1)))


def _dense(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, outputs), nn.ReLU(inplace=True), nn.Dropout(0.5))


class Restorer(nn.Module):
    """Map images (N, 3, H, W), sides multiples of 32, to images (N, 3, H, W) on a linear scale.

    A light decoder without skip connections: Chen et al. 2019 (context restoration, section 3.1) use a few
    deconvolution layers for classification targets.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder
        inputs = (encoder.channels[-1], *WIDTHS[:-1])
        self.blocks = nn.Sequential(*map(_upsampling, inputs, WIDTHS))
        self.logits = nn.Conv2d(WIDTHS[-1], 3, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        return self.logits(self.blocks(self.encoder(images)[-1]))


def _upsampling(inputs: int, outputs: int) -> nn.Sequential:
    return bn_relu(nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False))
