"""The jigsaw network: one encoder for nine tiles, and a head that names the order they are in.

Noroozi & Favaro 2016, figure 3, on the backbones of this package.
"""

import torch
from torch import Tensor, nn

from medpt.models.permutations import TILES
from medpt.models.registry import build_encoder

TILE_FEATURES = 512


class JigsawNetwork(nn.Module):
    """Tiles (N, 9, 3, T, T) to logits (N, number of permutations).

    `permutations` (K, 9) says what a class means and is stored with the weights. The encoder sees tiles of
    all positions as one batch. `hidden` is the width of fc7: 4096 as published, 1024 for small targets.
    """

    def __init__(self, backbone: str, permutations: Tensor, hidden: int = 1024) -> None:
        super().__init__()
        self.encoder = build_encoder(backbone)
        self.fc6 = _dense(self.encoder.channels[-1], TILE_FEATURES)
        self.fc7 = _dense(TILES * TILE_FEATURES, hidden)
        self.logits = nn.Linear(hidden, len(permutations))
        self.register_buffer("permutations", permutations.to(torch.uint8))

    def forward(self, tiles: Tensor) -> Tensor:
        features = self.encoder(tiles.flatten(0, 1))[-1].mean(dim=(2, 3))
        return self.logits(self.fc7(self.fc6(features).view(len(tiles), -1)))


def _dense(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, outputs), nn.ReLU(inplace=True), nn.Dropout(0.5))
